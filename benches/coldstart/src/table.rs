//! Table for the terminal: one row per run, phases as stacked bars, every number with its unit. A
//! pure function from results to text.

use crate::burst;
use crate::phase::Phase;
use crate::results::{Aside, ColdBy, PageCache, PlatformTimes, Results, Run, Scenario, Variant};
use crate::units::{duration, percent};
use bench_kit::stats;
use comfy_table::{Cell, CellAlignment, Table, presets};

/// Cells of a full bar: the longest total of the table.
const BAR_CELLS: f64 = 28.0;
/// Number of columns before the phases; the columns after them, up to the bar, are numbers too.
const IN_FRONT: [&str; 3] = ["variant", "scenario", "link"];
const BEHIND: [&str; 5] = ["total", "95 % CI", "p99", "n", ""];

/// The whole table, with notes for the reader below it.
pub fn render(results: &Results) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let phases = Phase::all().iter().map(|phase| phase.name());
    let head: Vec<&str> = IN_FRONT.into_iter().chain(phases).chain(BEHIND).collect();
    let numbers = IN_FRONT.len()..head.len() - 1;
    table.set_header(head.into_iter().map(Cell::new));
    let runs = || results.variants.iter().flat_map(|v| v.runs.iter().map(move |r| (v, r)));
    let longest = runs().filter_map(|(_, r)| r.summary.median_ns).fold(0.0, f64::max);
    for (variant, run) in runs() {
        table.add_row(row(variant, run, longest));
    }
    for column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = format!("{table}\n");
    text.push_str(&format!("\n{}  (medians; bar: share of the longest total)\n", legend()));
    text.push_str(&verdicts(results));
    for line in remarks(results) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// Gain of each piece of the platform's advice: one line per verdict of the report.
fn verdicts(results: &Results) -> String {
    if results.guidance.is_empty() {
        return String::new();
    }
    let mut text = "\nwhat the platform's advice would buy (why: report.html)\n".to_owned();
    let lines: Vec<_> = results
        .guidance
        .iter()
        .map(|row| {
            let link = row.link.as_ref().map(|link| format!(", {link}")).unwrap_or_default();
            (format!("{}, {}{link}", row.id, row.variant), &row.verdict)
        })
        .collect();
    let width = lines.iter().map(|(what, _)| what.chars().count()).max().unwrap_or(0);
    for (what, verdict) in lines {
        text.push_str(&format!("  {what:width$}  {verdict}\n"));
    }
    text.push('\n');
    text
}

fn row(variant: &Variant, run: &Run, longest: f64) -> Vec<String> {
    let medians = run.phase_medians_ns();
    let mut cells = vec![variant.name.clone(), scenario(run), link(run)];
    cells.extend(medians.iter().map(|(_, ns)| ns.map_or_else(|| "-".into(), duration)));
    let s = &run.summary;
    // An imported log has no total, although nothing failed.
    let good = run.samples.iter().filter(|sample| sample.counts()).count();
    let none = if good > 0 || run.aside() > 0 { "-" } else { "failed" };
    cells.push(s.median_ns.map_or_else(|| none.into(), duration));
    cells.push(match (s.ci95_low_ns, s.ci95_high_ns) {
        (Some(low), Some(high)) => format!("{} .. {}", duration(low), duration(high)),
        _ => "-".into(),
    });
    cells.push(s.p99_ns.map_or_else(|| "-".into(), duration));
    cells.push(good.to_string());
    cells.push(bar(&medians, longest));
    cells
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

/// A stacked bar in which each present phase is visible.
fn bar(medians: &[(Phase, Option<f64>)], longest: f64) -> String {
    medians
        .iter()
        .filter_map(|&(phase, ns)| Some((phase, ns.filter(|&ns| ns > 0.0 && longest > 0.0)?)))
        .flat_map(|(phase, ns)| {
            let cells = (ns / longest * BAR_CELLS).round().max(1.0) as usize;
            std::iter::repeat_n(phase.glyph(), cells)
        })
        .collect()
}

fn legend() -> String {
    let phases = Phase::all().iter().map(|phase| format!("{} {phase}", phase.glyph()));
    phases.collect::<Vec<_>>().join("  ")
}

fn remarks(results: &Results) -> Vec<String> {
    let runs = || results.variants.iter().flat_map(|v| &v.runs);
    let mut lines = Vec::new();
    let overhead = &results.overhead;
    lines.extend(on_platform(results));
    match overhead.start_ns_median {
        None if results.engine.is_platform() => {}
        Some(floor) => lines.push(format!(
            "floor: the smallest static program starts in {} here (median of {})",
            duration(floor),
            overhead.n,
        )),
        // `failed:` says why the run ended before it.
        None if runs().flat_map(|run| &run.samples).all(|s| s.error.is_some()) => {}
        None => {
            lines.push("floor: not measured, no C compiler that links statically was found".into())
        }
    }
    if let Some(phases) = overhead.before_start_ns() {
        let parts = phases.iter().map(|&(phase, ns)| match phase {
            Phase::Pull => format!("{} to pull over loopback", duration(ns)),
            _ => format!("{} to {phase}", duration(ns)),
        });
        lines.push(format!("floor: its image takes {}", parts.collect::<Vec<_>>().join(", ")));
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

/// Values of the platform's own log besides the phases, and samples that do not count: two lines
/// per run.
pub(crate) fn on_platform(results: &Results) -> Vec<String> {
    let mut lines = Vec::new();
    for (variant, run) in results.variants.iter().flat_map(|v| v.runs.iter().map(move |r| (v, r))) {
        let Some(platform) = &run.on_platform else { continue };
        let what = format!("{} {}", variant.name, run.name());
        let middle = |ns: &dyn Fn(&PlatformTimes) -> Option<u64>| {
            stats::median(&run.times_ns(|s| ns(s.on_platform.as_ref()?)))
                .map_or_else(|| "-".to_owned(), duration)
        };
        let residuals: Vec<f64> = run
            .samples
            .iter()
            .filter(|s| s.counts())
            .filter_map(|s| s.on_platform.as_ref()?.residual_ns)
            .map(|ns| ns as f64)
            .collect();
        let by = platform.cold_by.map_or("", ColdBy::name);
        lines.push(format!(
            "platform: {what}: its own start {}, handler {}, warm round trip {}, the rest \
             (scheduling, gateway) {}{}{by}",
            middle(&|of| of.platform_ns),
            middle(&|of| of.handler_ns),
            middle(&|of| of.warm_round_trip_ns),
            stats::median(&residuals).map_or_else(|| "-".to_owned(), duration),
            if by.is_empty() { "" } else { "; by " }
        ));
        if let Some(ahead) =
            stats::median(&platform.ahead_ns.iter().map(|&ns| ns as f64).collect::<Vec<_>>())
        {
            lines.push(format!(
                "platform: {what}: {} starts were done ahead, {} each (median)",
                platform.ahead_ns.len(),
                duration(ahead)
            ));
        }
        let aside: Vec<String> = Aside::ALL
            .iter()
            .map(|&why| (why, run.samples.iter().filter(|s| s.aside() == Some(why)).count()))
            .filter(|(_, n)| *n > 0)
            .map(|(why, n)| format!("{} {n}", why.name()))
            .collect();
        if !aside.is_empty() {
            lines.push(format!(
                "aside: {what}: {} of {} samples, kept and not counted: {}",
                run.aside(),
                run.samples.len(),
                aside.join(", ")
            ));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guidance::{Load, advise};
    use crate::results::Results;

    /// Regression: only report.html had the verdicts.
    #[test]
    fn each_verdict_of_the_report_is_a_line_under_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../record");
        let mut records: Vec<_> = std::fs::read_dir(path)
            .expect("the history")
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                path.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with("coldstart-"))
            })
            .filter_map(|path| Results::load(&path).ok())
            .collect();
        let mut results = records.pop().expect("a recorded run");
        results.guidance = advise(&results, Load::default());
        let text = render(&results);
        assert!(results.guidance.len() >= 5);
        for row in &results.guidance {
            let line = text.lines().find(|line| {
                line.trim_start().starts_with(&format!("{}, {}", row.id, row.variant))
                    && line.ends_with(&row.verdict)
            });
            assert!(line.is_some(), "{row:?}\n{text}");
            assert!(row.verdict.chars().count() <= 240, "a verdict is short: {}", row.verdict);
        }
    }

    #[test]
    fn every_present_phase_is_visible_in_the_bar() {
        let medians: Vec<_> =
            Phase::all().iter().zip(1..).map(|(&phase, n)| (phase, Some(f64::from(n)))).collect();
        let drawn = bar(&medians, 1e9);
        assert_eq!(drawn, Phase::all().iter().map(|phase| phase.glyph()).collect::<String>());
        let some = [
            (Phase::Pull, Some(900.0)),
            (Phase::Unpack, Some(1.0)),
            (Phase::Create, None),
            (Phase::Start, Some(100.0)),
        ];
        assert_eq!(bar(&some, 1000.0), format!("{}▓░░░", "█".repeat(25)));
    }
}
