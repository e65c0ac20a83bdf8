//! Answer of a plan as text: one sentence, and the table for the terminal. Pure.

use super::document::{Cost, Header, Plan, Row};
use super::duration::{self, DAY_NS};
use super::sweep::Scenario;
use super::target::Target;
use crate::units::duration as time;
use comfy_table::{Cell, CellAlignment, Table, presets};

/// Nanoseconds of the 30 days for which costs are given.
const MONTH_NS: f64 = 30.0 * DAY_NS as f64;

/// The answer in one sentence.
pub fn sentence(header: &Header, plan: &Plan, scenarios: &[Scenario]) -> String {
    let answers: Vec<(&Row, &Scenario)> =
        plan.scenarios.iter().zip(scenarios).filter(|(_, s)| !s.on_the_way).collect();
    let Some((row, scenario)) = answers.first() else {
        return "This shard has no scenario.".into();
    };
    let mut text = match (&header.target, scenario.found, scenario.failed) {
        (Some(target), true, _) => format!(
            "{} for `{target}` with a keep-alive of {}: ",
            match row.provisioned {
                0 => "No provisioned instance is needed".into(),
                1 => "1 provisioned instance is needed".into(),
                n => format!("{n} provisioned instances are needed"),
            },
            duration::short(scenario.keep_alive_ns),
        ),
        (Some(target), _, true) => format!(
            "No number of provisioned instances up to {} meets `{target}`: at that number ",
            row.provisioned
        ),
        _ => format!(
            "With {} and a keep-alive of {}, ",
            instances(row.provisioned),
            duration::short(scenario.keep_alive_ns)
        ),
    };
    text.push_str(&format!("{} of requests meet a cold start", share(row)));
    if row.refused_share.value > 0.0 {
        text.push_str(&format!(", {} are refused", percent(row.refused_share.value)));
    }
    if let Some(p99) = row.latency_ns.p99 {
        text.push_str(&format!(", p99 is {}", time(p99 as f64)));
    }
    if let Some(cost) = &row.cost {
        text.push_str(&format!(", and 30 days cost {}", month(cost, scenario)));
    }
    let asked = header.target.as_ref().filter(|_| !scenario.found && !scenario.failed);
    if let Some(target) = asked.and_then(|text| text.parse::<Target>().ok()) {
        let met = if target.is_met(&scenario.tally) { "is met" } else { "is not met" };
        text.push_str(&format!(", so that `{target}` {met}"));
    }
    // The same question with other keep-alives: how far the unknown value changes the answer.
    let mut seen = vec![scenario.keep_alive_ns];
    let others: Vec<String> = answers[1..]
        .iter()
        .filter(|(_, other)| {
            let is_new = !seen.contains(&other.keep_alive_ns);
            seen.push(other.keep_alive_ns);
            is_new
        })
        .take(4)
        .map(|(row, other)| {
            let kept = duration::short(other.keep_alive_ns);
            match (other.found, other.failed) {
                (true, _) => format!("{kept}: {} instances", row.provisioned),
                (_, true) => format!("{kept}: none"),
                _ => format!("{kept}: {}", percent(row.cold_share.value)),
            }
        })
        .collect();
    if !others.is_empty() {
        text.push_str(&format!(" (with other keep-alives, {})", others.join(", ")));
    }
    text + "."
}

fn instances(n: u64) -> String {
    match n {
        0 => "no provisioned instance".into(),
        1 => "1 provisioned instance".into(),
        n => format!("{n} provisioned instances"),
    }
}

fn share(row: &Row) -> String {
    let s = &row.cold_share;
    format!("{} ({} to {})", percent(s.value), percent(s.ci95_low), percent(s.ci95_high))
}

/// Cost of 30 days like the simulated ones.
fn month(cost: &Cost, scenario: &Scenario) -> String {
    let factor = MONTH_NS / scenario.tally.usage.length_ns.max(1) as f64;
    let (low, high) = (cost.total_low * factor, cost.total_high * factor);
    match money(low) == money(high) {
        true => format!("{} {}", cost.currency, money(low)),
        false => format!("{} {} to {}", cost.currency, money(low), money(high)),
    }
}

/// A share in per cent with three digits, even if it is small, because cold starts are rare.
pub fn percent(share: f64) -> String {
    let p = share * 100.0;
    if p <= 0.0 || p >= 100.0 {
        return format!("{p:.0} %");
    }
    let digits = (2.0 - p.log10().floor()).clamp(0.0, 9.0) as usize;
    let text = format!("{p:.digits$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    // A share below all is never shown as 100.
    format!("{} %", if text == "100" { "99.9" } else { text })
}

fn money(units: f64) -> String {
    match units {
        u if u < 1.0 => format!("{u:.4}"),
        u if u < 1000.0 => format!("{u:.2}"),
        u => format!("{u:.0}"),
    }
}

/// The answer, one row per scenario, and notes for the reader.
pub fn table(header: &Header, plan: &Plan, scenarios: &[Scenario]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let head = [
        "scenario",
        "cold",
        "95 % CI",
        "refused",
        "p50",
        "p99",
        "p99.9",
        "instances",
        "peak",
        "30 days",
    ];
    table.set_header(head.map(Cell::new));
    let quantile = |ns: Option<u64>| ns.map_or_else(|| "-".into(), |ns| time(ns as f64));
    for (row, scenario) in plan.scenarios.iter().zip(scenarios) {
        let s = &row.cold_share;
        table.add_row([
            row.name.clone(),
            percent(s.value),
            format!("{} .. {}", percent(s.ci95_low), percent(s.ci95_high)),
            percent(row.refused_share.value),
            quantile(row.latency_ns.p50),
            quantile(row.latency_ns.p99),
            quantile(row.latency_ns.p999),
            format!("{:.1}", row.instances.mean),
            row.instances.peak.to_string(),
            row.cost.as_ref().map_or_else(|| "-".into(), |cost| month(cost, scenario)),
        ]);
    }
    for column in 1..head.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = format!("{}\n\n{table}\n\n", sentence(header, plan, scenarios));
    for note in &plan.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn small_shares_keep_their_digits() {
        for (share, text) in [
            (0.0, "0 %"),
            (1.0, "100 %"),
            (0.9996, "99.9 %"),
            (0.116_16, "11.6 %"),
            (0.018_69, "1.87 %"),
            (0.01, "1 %"),
            (0.001, "0.1 %"),
            (0.000_684, "0.0684 %"),
            (0.000_000_91, "0.000091 %"),
        ] {
            assert_eq!(percent(share), text, "{share}");
        }
    }
}
