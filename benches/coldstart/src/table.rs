//! The terminal's table: one row a run, phases as stacked bars, every number with its unit. A pure
//! function from results to text; it knows no terminal and no clock.

use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::burst;
use crate::results::{PageCache, Results, Run, Sample, Scenario, Variant};
use crate::stats::median;
use crate::units::{duration, percent};

/// Cells of a full bar: the longest total of the table.
const BAR_CELLS: f64 = 28.0;
/// One glyph a phase, in order.
const GLYPHS: [(char, &str); 4] = [('█', "pull"), ('▓', "unpack"), ('▒', "create"), ('░', "start")];

/// The whole table, with what a reader must know below it.
pub fn render(results: &Results) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let head = [
        "variant", "scenario", "link", "pull", "unpack", "create", "start", "total", "95 % CI",
        "p99", "n", "",
    ];
    table.set_header(head.map(Cell::new));
    let runs = || results.variants.iter().flat_map(|v| v.runs.iter().map(move |r| (v, r)));
    let longest = runs().filter_map(|(_, r)| r.summary.median_ns).fold(0.0, f64::max);
    for (variant, run) in runs() {
        table.add_row(row(variant, run, longest));
    }
    for column in 3..=10 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = format!("{table}\n");
    text.push_str(&format!("\n{}  (medians; bar: share of the longest total)\n", legend()));
    for line in remarks(results) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn row(variant: &Variant, run: &Run, longest: f64) -> Vec<String> {
    let phases = [
        run.phase_ns(|s| s.pull_ns),
        run.phase_ns(|s| s.unpack_ns),
        run.phase_ns(|s| s.create_ns),
        starts(run),
    ];
    let medians = phases.map(|samples| median(&samples));
    let mut cells = vec![variant.name.clone(), scenario(run), link(run)];
    cells.extend(medians.iter().map(|m| m.map_or_else(|| "-".into(), duration)));
    let s = &run.summary;
    cells.push(s.median_ns.map_or_else(|| "failed".into(), duration));
    cells.push(match (s.ci95_low_ns, s.ci95_high_ns) {
        (Some(low), Some(high)) => format!("{} .. {}", duration(low), duration(high)),
        _ => "-".into(),
    });
    cells.push(s.p99_ns.map_or_else(|| "-".into(), duration));
    cells.push(s.n.to_string());
    cells.push(bar(&medians, longest));
    cells
}

fn starts(run: &Run) -> Vec<f64> {
    run.phase_ns(|s: &Sample| s.start_ns)
}

fn scenario(run: &Run) -> String {
    let mut name = run.scenario.name().to_owned();
    if run.page_cache == PageCache::Evicted {
        name.push_str(" evicted");
    }
    if run.burst > 1 {
        name.push_str(&format!(" x{}", run.burst));
    }
    name
}

fn link(run: &Run) -> String {
    if run.scenario == Scenario::Cold { run.link.clone() } else { "-".into() }
}

/// A stacked bar: each phase at least visible when it is there at all.
fn bar(medians: &[Option<f64>; 4], longest: f64) -> String {
    GLYPHS
        .iter()
        .zip(medians)
        .filter_map(|((glyph, _), ns)| {
            ns.filter(|&ns| ns > 0.0 && longest > 0.0).map(|ns| (glyph, ns))
        })
        .flat_map(|(glyph, ns)| {
            std::iter::repeat_n(*glyph, (ns / longest * BAR_CELLS).round().max(1.0) as usize)
        })
        .collect()
}

fn legend() -> String {
    GLYPHS.map(|(glyph, name)| format!("{glyph} {name}")).join("  ")
}

fn remarks(results: &Results) -> Vec<String> {
    let mut lines = Vec::new();
    let overhead = &results.overhead;
    match overhead.start_ns_median {
        Some(floor) => lines.push(format!(
            "floor: the smallest static program starts in {} here (median of {})",
            duration(floor),
            overhead.n,
        )),
        None => {
            lines.push("floor: not measured, no C compiler that links statically was found".into())
        }
    }
    if let (Some(pull), Some(unpack), Some(create)) =
        (overhead.pull_ns_median, overhead.unpack_ns_median, overhead.create_ns_median)
    {
        lines.push(format!(
            "floor: its image takes {} to pull over loopback, {} to unpack, {} to create",
            duration(pull),
            duration(unpack),
            duration(create)
        ));
    }
    if let Some(own) = results.own_share() {
        lines.push(format!(
            "overhead: a listener is noticed at most one turn of the connect loop late, {}: {}, \
             on average {} of the smallest start ({}, {})",
            duration(own.step_ns),
            percent(own.share),
            percent(own.share / 2.0),
            own.variant,
            duration(own.start_ns)
        ));
    }
    lines.extend(
        burst::saturation(results).into_iter().map(|sentence| format!("bursts: {sentence}")),
    );
    for (variant, run) in results.variants.iter().flat_map(|v| v.runs.iter().map(move |r| (v, r))) {
        let what = format!("{} {} {}", variant.name, scenario(run), link(run));
        if let Some(why) = run.noise().filter(|_| run.summary.n > 0) {
            lines.push(format!("noisy: {what}: {why}"));
        }
        let flagged = run.samples.iter().filter(|s| s.outlier).count();
        if flagged > 0 {
            lines.push(format!(
                "outliers: {what}: {flagged} of {} flagged, none dropped",
                run.samples.len()
            ));
        }
        let failed: Vec<_> = run.samples.iter().filter(|s| s.error.is_some()).collect();
        if let Some((first, error)) = failed.first().and_then(|s| Some((s, s.error.as_ref()?))) {
            lines.push(format!(
                "failed: {what}: {} of {} samples; the first is sample {} in phase {}: {}",
                failed.len(),
                run.samples.len(),
                first.order,
                error.phase,
                error.message
            ));
        }
    }
    lines.extend(results.notes.iter().map(|note| format!("note: {note}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_that_is_there_is_seen_in_the_bar() {
        assert_eq!(
            bar(&[Some(900.0), Some(1.0), None, Some(100.0)], 1000.0),
            format!("{}▓░░░", "█".repeat(25))
        );
    }
}
