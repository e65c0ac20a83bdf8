//! Report of a plan: one self-contained page in the style of report.html, made of the plan alone.
//! Every number has its raw value.

use super::{NARROW, STYLE, WIDE, number, time};
use crate::plan::answer::{self, percent};
use crate::plan::document::{Cost, Header, Plan, Row};
use crate::plan::duration;
use crate::plan::sweep::Scenario;
use crate::plot;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

/// Captions of the plots.
const COLD: &str = "The share of requests that find no instance ready: cold or refused. Dashed: \
                    the target.";
const LATENCY: &str = "From the arrival to the end of the request; to the right, rarer and slower \
                       ones.";
const COST: &str = "A dot a scenario; idle instances at the upper bound.";
const INSTANCES: &str = "Provisioned and on demand together, mean of all looks.";
const NUMBERS: &str = "Quantiles that too few samples carry are withheld; the notes name them. \
                       Cost is of the simulated time.";

/// Columns of the table.
const HEAD: [&str; 14] = [
    "scenario",
    "cold",
    "95 % CI",
    "refused",
    "p50",
    "p99",
    "p99.9",
    "instances",
    "peak",
    "simulated",
    "requests",
    "compute",
    "idle",
    "total",
];

/// The whole page.
pub fn render(header: &Header, plan: &Plan, scenarios: &[Scenario]) -> String {
    let target = plot::target_line(header.target.as_deref());
    let sentence = answer::sentence(header, plan, scenarios);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Capacity plan" }
                style {
                    (PreEscaped(plot::colours())) (PreEscaped(plot::style())) (PreEscaped(STYLE))
                }
            }
            body {
                main {
                    header {
                        h1 { "Capacity plan" }
                        p.muted {
                            (header.platform) " · " (plan.requests) " requests a scenario · seed "
                            (plan.seed)
                        }
                        p { (sentence) }
                        (cards(plan, scenarios))
                    }
                    (figure("Cold starts by provisioned instances", COLD, |width| {
                        plot::cold_by_provisioned(scenarios, target, width)
                    }))
                    (figure("Latency", LATENCY, |width| {
                        Some(plot::latencies(plan, scenarios, width))
                    }))
                    (figure("Cost against tail", COST, |width| {
                        plot::cost_by_tail(plan, scenarios, width)
                    }))
                    (figure("Instances", INSTANCES, |width| {
                        Some(plot::instances_by_time(plan, scenarios, width))
                    }))
                    (numbers(plan, scenarios))
                    (rules(header))
                    (notes(plan))
                }
            }
        }
    };
    page.into_string()
}

/// The plots of the page, each with a name.
pub fn plots(header: &Header, plan: &Plan, scenarios: &[Scenario]) -> Vec<(&'static str, String)> {
    let target = plot::target_line(header.target.as_deref());
    let all = [
        ("cold", plot::cold_by_provisioned(scenarios, target, WIDE)),
        ("latency", Some(plot::latencies(plan, scenarios, WIDE))),
        ("cost", plot::cost_by_tail(plan, scenarios, WIDE)),
        ("instances", Some(plot::instances_by_time(plan, scenarios, WIDE))),
    ];
    all.into_iter().filter_map(|(name, plot)| Some((name, plot?))).collect()
}

fn figure(title: &str, caption: &str, draw: impl Fn(f64) -> Option<String>) -> Markup {
    html! {
        @if let (Some(wide), Some(narrow)) = (draw(WIDE), draw(NARROW)) {
            section {
                h2 { (title) }
                p.muted { (caption) }
                div.wide { (PreEscaped(wide)) }
                div.narrow { (PreEscaped(narrow)) }
            }
        }
    }
}

fn cards(plan: &Plan, scenarios: &[Scenario]) -> Markup {
    let answers = plan.scenarios.iter().zip(scenarios).filter(|(_, s)| !s.on_the_way);
    html! {
        div.cards {
            @for (row, _) in answers.take(6) {
                div.card {
                    div.muted { (row.name) }
                    div.hero { (number(row.cold_share.value, &percent(row.cold_share.value))) }
                    div.small.muted { "cold, p99 " (maybe(row.latency_ns.p99)) }
                }
            }
        }
    }
}

fn maybe(ns: Option<u64>) -> Markup {
    html! { @if let Some(ns) = ns { (time(ns as f64)) } @else { "-" } }
}

fn numbers(plan: &Plan, scenarios: &[Scenario]) -> Markup {
    html! {
        section {
            h2 { "All scenarios" }
            p.muted { (NUMBERS) }
            div.scroll {
                table {
                    thead { tr {
                        @for name in HEAD { th { (name) } }
                    } }
                    tbody {
                        @for (row, scenario) in plan.scenarios.iter().zip(scenarios) {
                            (cells(row, scenario))
                        }
                    }
                }
            }
        }
    }
}

fn cells(row: &Row, scenario: &Scenario) -> Markup {
    let share = |value: f64| number(value, &percent(value));
    let length_ns = scenario.tally.usage.length_ns;
    let whole_ns = length_ns / duration::SECOND_NS * duration::SECOND_NS;
    let quantiles = [row.latency_ns.p50, row.latency_ns.p99, row.latency_ns.p999];
    html! {
        tr {
            td { (row.name) }
            td { (share(row.cold_share.value)) }
            td { (share(row.cold_share.ci95_low)) " to " (share(row.cold_share.ci95_high)) }
            td { (share(row.refused_share.value)) }
            @for ns in quantiles { td { (maybe(ns)) } }
            td { (number(row.instances.mean, &format!("{:.1}", row.instances.mean))) }
            td { (number(row.instances.peak as f64, &row.instances.peak.to_string())) }
            td { (number(length_ns as f64, &duration::short(whole_ns))) }
            (cost(row.cost.as_ref()))
        }
    }
}

fn cost(cost: Option<&Cost>) -> Markup {
    let money = |units: f64| number(units, &format!("{units:.4}"));
    html! {
        @match cost {
            Some(cost) => {
                td { (cost.currency) " " (money(cost.requests)) }
                td { (money(cost.compute)) }
                td { (money(cost.idle_low)) " to " (money(cost.idle_high)) }
                td { (money(cost.total_low)) " to " (money(cost.total_high)) }
            }
            None => { @for _ in 0..4 { td { "-" } } }
        }
    }
}

fn rules(header: &Header) -> Markup {
    let empty = Vec::new();
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let rules = header.inputs["rules"].as_array().unwrap_or(&empty);
    html! {
        section {
            h2 { "The platform's rules" }
            dl {
                @for rule in rules {
                    dt { (text(&rule["rule"])) }
                    dd {
                        (text(&rule["value"])) " "
                        span.muted.small { (text(&rule["source"])) ", " (text(&rule["date"])) }
                    }
                }
            }
        }
    }
}

fn notes(plan: &Plan) -> Markup {
    html! {
        section {
            h2 { "What to know" }
            ul { @for note in &plan.notes { li { (note) } } }
        }
    }
}
