//! report.html: one self-contained page made of results.json alone, light and dark, wide and
//! narrow. It measures nothing and downloads nothing. Every number has its raw value (`<data
//! value>` or `data-value`), which a test compares with the results.

pub mod plan;
mod sections;

use crate::plot;
use crate::results::{EngineKind, PageCache, Results, Run, Scenario, Variant};
use crate::units::duration;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("report/style.css");
/// Captions of the plots.
const PHASES: &str = "Median of each phase. Bars of one group have one scale; groups differ, read \
                      the numbers.";
const SAMPLES: &str = "One dot a sample on a logarithmic axis; shaded: 95 % interval of the \
                       median; rings: flagged as outliers, none dropped.";
/// Plots are drawn twice; the page shows the one that fits.
const WIDE: f64 = 880.0;
const NARROW: f64 = 340.0;

/// The whole page.
pub fn render(results: &Results) -> String {
    let title = format!("Cold start: {}", names(results));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style {
                    (PreEscaped(plot::colours())) (PreEscaped(plot::style())) (PreEscaped(STYLE))
                }
            }
            body {
                main {
                    (header(results))
                    (figure("Where the time goes", PHASES, |width| plot::phases(results, width)))
                    (sections::guidance(results))
                    (figure("Every sample", SAMPLES, |width| plot::samples(results, width)))
                    (bursts(results))
                    (sections::platform(results))
                    (sections::numbers(results))
                    (sections::failures(results))
                    (sections::machine(results))
                }
            }
        }
    };
    page.into_string()
}

fn names(results: &Results) -> String {
    results.variants.iter().map(|v| v.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// A number of nanoseconds.
fn time(ns: f64) -> Markup {
    number(ns, &duration(ns))
}

/// A number as shown, with its raw value.
fn number(raw: f64, shown: &str) -> Markup {
    html! { data value=(raw) { (shown) } }
}

fn header(results: &Results) -> Markup {
    let engine = match results.engine {
        EngineKind::Embedded => "embedded engine",
        EngineKind::Docker => "Docker Engine",
        EngineKind::Scf => "Tencent Cloud SCF",
        EngineKind::Lambda => "AWS Lambda, imported",
        EngineKind::Fc => "Alibaba Cloud Function Compute, imported",
        EngineKind::Podman => "Podman",
        EngineKind::Containerd => "containerd",
    };
    html! {
        header {
            h1 { "Where a cold start goes" }
            p.muted {
                (names(results)) " · " (engine)
                " · " (results.host.date) " · " (results.host.git_describe)
            }
            div.cards {
                @for variant in &results.variants {
                    @for run in &variant.runs {
                        @if run.burst == 1 && run.scenario == Scenario::Cold {
                            (card(variant, run))
                        }
                    }
                }
            }
        }
    }
}

/// One cold start as a large card; nothing if no sample succeeded.
fn card(variant: &Variant, run: &Run) -> Markup {
    let s = &run.summary;
    let (Some(median), Some(low), Some(high)) = (s.median_ns, s.ci95_low_ns, s.ci95_high_ns) else {
        return html! {};
    };
    html! {
        div.card {
            div.muted {
                (variant.name) ", " (run.link)
                @if run.page_cache == PageCache::Evicted { ", evicted" }
            }
            div.hero { (time(median)) }
            div.small.muted {
                (time(low)) " to " (time(high)) ", "
                span.whole { "n = " (number(s.n as f64, &s.n.to_string())) }
            }
        }
    }
}

fn figure(title: &str, caption: &str, draw: impl Fn(f64) -> String) -> Markup {
    html! {
        section {
            h2 { (title) }
            p.muted { (caption) }
            div.wide { (PreEscaped(draw(WIDE))) }
            div.narrow { (PreEscaped(draw(NARROW))) }
        }
    }
}

fn bursts(results: &Results) -> Markup {
    let (wide, narrow) = (plot::bursts(results, WIDE / 2.0 - 12.0), plot::bursts(results, NARROW));
    if wide.is_empty() {
        return html! {};
    }
    html! {
        section {
            h2 { "Many at once" }
            p.muted {
                "Latency from the intended start, on a fixed schedule that waits for no instance; \
                 the link to the registry is shared."
            }
            ul { @for sentence in crate::burst::saturation(results) { li.derived { (sentence) } } }
            div.wide.pairs { @for plot in wide { (PreEscaped(plot)) } }
            div.narrow { @for plot in narrow { (PreEscaped(plot)) } }
        }
    }
}
