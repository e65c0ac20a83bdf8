//! Inputs of a plan from a results.json of the bench: the measured cold starts, with those of
//! bursts for many simultaneous starts, and variants of them with image acceleration or with the
//! smallest image. A phase is removed from each sample; a total is never scaled.

use super::cold::ColdTable;
use super::distribution::Distribution;
use crate::results::{PageCache, Results, Run, Sample, Scenario, Variant};

/// Cold starts and service times of a run of the bench.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Cold starts under several circumstances; as measured comes first.
    pub colds: Vec<(String, ColdTable)>,
    /// Requests to ready instances.
    pub service: Option<Distribution>,
    /// Image, engine and day.
    pub describe: String,
    /// What a reader must know.
    pub notes: Vec<String>,
}

/// The link that is taken where several were measured: registry and function in one region.
const LINK: &str = "same-region";

/// Reads the first image's cold starts.
///
/// # Errors
/// One line: what the results lack.
pub fn read(results: &Results) -> Result<Measured, String> {
    let variant = results.variants.first().ok_or("the results have no image")?;
    let colds: Vec<&Run> = variant
        .runs
        .iter()
        .filter(|r| r.scenario == Scenario::Cold && r.page_cache == PageCache::Warm)
        .filter(|r| !totals(r, |_| 0).is_empty())
        .collect();
    let alone = colds
        .iter()
        .find(|r| r.burst == 1 && r.link == LINK)
        .or_else(|| colds.iter().find(|r| r.burst == 1))
        .ok_or("the results have no cold start; run the bench with `--scenario cold`")?;
    let measured = table(&colds, alone, |_| 0).ok_or("the results have no cold start")?;
    let mut tables = vec![("as measured".to_owned(), measured)];
    let pull = |s: &Sample| s.pull_ns.unwrap_or(0);
    tables.extend(table(&colds, alone, pull).map(|t| ("with image acceleration".to_owned(), t)));
    let size = |s: &Sample| s.pull_ns.unwrap_or(0) + s.unpack_ns.unwrap_or(0);
    tables.extend(table(&colds, alone, size).map(|t| ("with an image of no size".to_owned(), t)));
    let n = totals(alone, |_| 0).len();
    let mut notes = vec![format!(
        "cold starts: {n} of `{}` over {}; with image acceleration each sample is without its \
             pull, with an image of no size also without its unpack: the most that either can do",
        variant.name, alone.link
    )];
    let bursts: Vec<String> = tables[0].1.bursts().map(|n| n.to_string()).collect();
    notes.push(match bursts.is_empty() {
        true => "the bench measured no burst: starts that happen together are drawn as if each \
                 were alone, which understates their tail (`just bench-coldstart --burst auto`)"
            .into(),
        false => format!(
            "starts that happen together are drawn from the measured bursts of {}",
            bursts.join(", ")
        ),
    });
    if results.variants.len() > 1 {
        notes.push(format!("of {} images the first is taken", results.variants.len()));
    }
    Ok(Measured {
        colds: tables,
        service: service(variant),
        describe: format!("{} ({}, {})", variant.name, results.engine, results.host.date),
        notes,
    })
}

fn service(variant: &Variant) -> Option<Distribution> {
    let ready = |r: &&Run| r.scenario == Scenario::Provisioned && r.burst == 1;
    let run = variant.runs.iter().find(ready)?;
    Distribution::of_samples(totals(run, |_| 0))
}

/// The totals of a run, each less what is left out of it.
fn totals(run: &Run, without: impl Fn(&Sample) -> u64) -> Vec<u64> {
    let good = run.samples.iter().filter(|s| s.counts());
    good.filter_map(|s| Some(s.total_ns?.saturating_sub(without(s)))).collect()
}

fn table(
    colds: &[&Run],
    alone: &Run,
    without: impl Fn(&Sample) -> u64 + Copy,
) -> Option<ColdTable> {
    let mut table = ColdTable::of(Distribution::of_samples(totals(alone, without))?);
    for run in colds.iter().filter(|r| r.burst > 1 && r.link == alone.link) {
        if let Some(distribution) = Distribution::of_samples(totals(run, without)) {
            table = table.with_burst(run.burst, distribution);
        }
    }
    Some(table)
}
