//! Sections of the report with text and tables: advice, numbers, failures, machine.

use super::{number, time};
use crate::phase::Phase;
use crate::plot::Group;
use crate::results::{Guidance, PageCache, Results, Run, Scenario, Unit};
use crate::table;
use crate::units::{bytes, percent, times};
use bench_kit::stats;
use maud::{Markup, html};

/// Gain of each piece of the platform's advice, grouped by advice.
pub fn guidance(results: &Results) -> Markup {
    let mut ids: Vec<&str> = Vec::new();
    for row in &results.guidance {
        if !ids.contains(&row.id.as_str()) {
            ids.push(&row.id);
        }
    }
    if ids.is_empty() {
        return html! {};
    }
    html! {
        section {
            h2 { "What the platform's advice would buy" }
            p.muted {
                "Per advice: what was measured for each image, the share of its cold start that \
                 the advice can remove at most, and a verdict. Modelled rows rest on a modelled \
                 link or on prices."
            }
            @for id in ids {
                @let rows = results.guidance.iter().filter(|g| g.id == id);
                @let rows: Vec<&Guidance> = rows.collect();
                @let same = rows.iter().all(|g| g.advice == rows[0].advice);
                div.advice {
                    h3 { (heading(id)) }
                    p.muted { @if same { (rows[0].advice) " · " } (rows[0].source) }
                    @for row in rows { (advice(row, !same)) }
                }
            }
        }
    }
}

fn heading(id: &str) -> String {
    let words = id.replace('-', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn advice(row: &Guidance, with_text: bool) -> Markup {
    html! {
        div.row {
            div {
                div { (row.variant) }
                @if let Some(link) = &row.link { span.tag { (link) } " " }
                @if row.modelled { span.tag { "modelled" } }
            }
            div {
                @if with_text { div.small.muted { (row.advice) } }
                div.verdict { (row.verdict) }
                div.small.muted {
                    (row.measured)
                    @if let Some(interval) = row.ci95 {
                        " · 95 % CI " (interval_of(interval, row.unit))
                    }
                }
                @if let Some(text) = &row.explanation { div.small.muted { (text) } }
            }
            div.share {
                @if let Some(share) = row.max_share {
                    "removes at most " (number(share, &percent(share)))
                    span.track { i style=(format!("width:{:.1}%", share * 100.0)) {} }
                }
            }
        }
    }
}

fn interval_of([low, high]: [f64; 2], unit: Option<Unit>) -> Markup {
    let shown = |value: f64| match unit {
        Some(Unit::Ns) => time(value),
        Some(Unit::Bytes) => number(value, &bytes(value as u64)),
        Some(Unit::Times) | None => number(value, &times(value)),
    };
    html! { (shown(low)) " to " (shown(high)) }
}

/// Values of a platform's own log, and samples that are not counted.
pub fn platform(results: &Results) -> Markup {
    let lines = table::on_platform(results);
    html! { @if !lines.is_empty() {
        section {
            h2 { "On the platform" }
            p.muted {
                "Medians by the platform's own log; the round trip and the rest by this client's \
                 clock. Samples that are aside are kept in results.json and not counted."
            }
            ul { @for line in lines { li.derived { (line) } } }
        }
    } }
}

/// Every run in figures.
pub fn numbers(results: &Results) -> Markup {
    html! {
        section {
            h2 { "All numbers" }
            p.muted {
                "Totals are measured on their own, from the sample's beginning to the last byte of \
                 the first correct reply; phases are medians. Lower is better."
            }
            div.scroll {
                table {
                    thead { tr {
                        th { "image" } th.left { "circumstances" } th { "n" } th { "median" }
                        th { "95 % CI" } th { "p90" } th { "p99" } th { "min" } th { "max" }
                        @for phase in Phase::all() { th { (phase.name()) } }
                        th { "listen" } th { "requests" } th { "bytes" }
                    } }
                    tbody {
                        @for group in Group::all(&results.variants) {
                            @for (variant, run) in group.runs(&results.variants) {
                                tr { td { (variant.name) } td.left { (group.name()) } (cells(run)) }
                            }
                        }
                    }
                }
            }
            (noise(results))
        }
    }
}

fn cells(run: &Run) -> Markup {
    let s = &run.summary;
    let count = |n: u64| number(n as f64, &n.to_string());
    let cold = run.scenario == Scenario::Cold;
    html! {
        td { (count(s.n as u64)) }
        td { (maybe(s.median_ns)) }
        td { (maybe(s.ci95_low_ns)) " to " (maybe(s.ci95_high_ns)) }
        @for ns in [s.p90_ns, s.p99_ns, s.min_ns, s.max_ns] { td { (maybe(ns)) } }
        @for (_, ns) in run.phase_medians_ns() { td { (maybe(ns)) } }
        td { (maybe(stats::median(&run.times_ns(|s| s.listen_ns)))) }
        td { @if cold { (count(run.requests)) } @else { "-" } }
        td { @if cold { (number(run.bytes as f64, &bytes(run.bytes))) } @else { "-" } }
    }
}

fn maybe(ns: Option<f64>) -> Markup {
    html! { @if let Some(ns) = ns { (time(ns)) } @else { "-" } }
}

/// Runs that are not reliable.
fn noise(results: &Results) -> Markup {
    let groups = Group::all(&results.variants);
    let noisy: Vec<String> = groups
        .iter()
        .flat_map(|group| {
            group
                .runs(&results.variants)
                .map(move |(v, r)| (format!("{}, {}", v.name, group.name()), r))
        })
        .filter_map(|(what, run)| Some(format!("{what}: {}", run.noise()?)))
        .collect();
    html! { @if !noisy.is_empty() {
        p { strong { "Noisy: " } "repeat these on a quiet machine before you use them." }
        ul { @for line in noisy { li.derived { (line) } } }
    } }
}

/// Failures, grouped by message.
pub fn failures(results: &Results) -> Markup {
    let mut found: Vec<(String, String, Vec<usize>)> = Vec::new();
    for group in Group::all(&results.variants) {
        for (variant, run) in group.runs(&results.variants) {
            for sample in &run.samples {
                let Some(error) = &sample.error else { continue };
                let what = format!("{}, {}, phase {}", variant.name, group.name(), error.phase);
                match found.iter_mut().find(|(w, m, _)| *w == what && *m == error.message) {
                    Some((_, _, orders)) => orders.push(sample.order),
                    None => found.push((what, error.message.clone(), vec![sample.order])),
                }
            }
        }
    }
    html! { @if !found.is_empty() {
        section {
            h2 { "Failures" }
            @for (what, message, orders) in found {
                div.failure {
                    strong { (what) } " (" span.derived { (orders.len()) }
                    " samples; in the order taken: " span.derived { (first_of(&orders)) } "): "
                    (message)
                }
            }
        }
    } }
}

/// The first few numbers of samples, and that there are more.
fn first_of(orders: &[usize]) -> String {
    let mut text =
        orders.iter().take(10).map(|order| format!("#{order}")).collect::<Vec<_>>().join(", ");
    if orders.len() > 10 {
        text.push_str(", …");
    }
    text
}

/// The machine, the overhead, the notes.
pub fn machine(results: &Results) -> Markup {
    let host = &results.host;
    let overhead = &results.overhead;
    let count = |n: usize| number(n as f64, &n.to_string());
    let size = |n: u64| number(n as f64, &bytes(n));
    let share = |of_one: f64| number(of_one, &percent(of_one));
    let evicted =
        results.variants.iter().flat_map(|v| &v.runs).any(|r| r.page_cache == PageCache::Evicted);
    html! {
        section {
            h2 { "Machine and method" }
            dl {
                dt { "processor" } dd { (host.cpu_model) ", " (count(host.cores)) " cores" }
                dt { "memory" } dd { (size(host.memory_bytes)) }
                dt { "system" } dd { (host.os) ", Linux " (host.kernel) }
                dt { "built with" } dd { (host.rustc) }
                dt { "images" } dd { @for v in &results.variants { div {
                    (v.name) ": "
                    @if let Some(sent) = v.compressed_bytes { (size(sent)) " compressed" }
                    @else { "size not known" }
                    @if let Some(unpacked) = v.uncompressed_bytes {
                        ", " (size(unpacked)) " unpacked"
                    }
                    ", layers: " (count(v.layers)) " (" (v.reference) ")"
                } } }
                dt { "floor" } dd {
                    @if let Some(ns) = overhead.start_ns_median {
                        "the smallest static program starts in " (time(ns)) " here, n = "
                        (count(overhead.n))
                    } @else { "not measured" }
                    @let before = overhead.before_start_ns();
                    @for (at, (phase, ns)) in before.iter().flatten().enumerate() {
                        @if at == 0 { "; its image takes " } @else { ", " }
                        (time(*ns)) " to " (phase.name())
                        @if *phase == Phase::Pull { " over loopback" }
                    }
                }
                @if let Some(own) = results.own_share() {
                    dt { "overhead" } dd {
                        "a listener is noticed at most one turn of the connect loop late, "
                        (time(own.step_ns)) ": " (share(own.share)) ", on average "
                        (share(own.share / 2.0)) " of the smallest start (" (own.variant) ", "
                        (time(own.start_ns)) ")"
                    }
                }
                dt { "page cache" } dd {
                    @if evicted { "as each run says" } @else { "warm: as unpacking leaves it" }
                }
            }
            ul.small.muted { @for note in &results.notes { li { (note) } } }
        }
    }
}
