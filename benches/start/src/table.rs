//! The terminal's table. It reads a finished report only.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use crate::report::{Report, Run, Variant};
use crate::stats::{Quantiles, Ratio};

/// The tables of a report, as text.
pub fn draw(report: &Report) -> String {
    let mut text = String::new();
    for cache in report.page_caches() {
        text += &format!(
            "\npage cache {cache}: microseconds from execve, and ratios with their 95 % interval; lower is better\n"
        );
        text += &times(report, &cache);
    }
    text
}

fn times(report: &Report, cache: &str) -> String {
    let header = [
        "program",
        "n",
        "listen p25",
        "p50",
        "p99",
        "first byte p25",
        "p50",
        "p99",
        "/ floor p25",
        "/ floor p50",
        "/ axum p25",
        "/ axum p50",
    ];
    let mut table = table(&header);
    for variant in &report.variants {
        let Some(run) = variant.runs.iter().find(|run| run.page_cache == cache) else { continue };
        table.add_row(row(variant, run));
    }
    format!("{table}\n")
}

fn row(variant: &Variant, run: &Run) -> Vec<String> {
    let micro = |q: &Option<Quantiles>, of: fn(&Quantiles) -> f64| {
        q.as_ref().map_or_else(|| "–".into(), |q| format!("{:.0}", of(q) / 1000.0))
    };
    let p25 = |r: &Option<Ratio>| r.map_or_else(|| "–".into(), |r| format!("{:.2}", r.of_p25));
    let p50 = |r: &Option<Ratio>| {
        r.map_or_else(
            || "–".into(),
            |r| format!("{:.2} [{:.2}, {:.2}]", r.of_p50, r.ci95_low_of_p50, r.ci95_high_of_p50),
        )
    };
    let (listen, first) = (&run.summary.listen, &run.summary.first_byte);
    vec![
        variant.name.clone(),
        first.as_ref().map_or(0, |q| q.n).to_string(),
        micro(listen, |q| q.p25_ns),
        micro(listen, |q| q.p50_ns),
        micro(listen, |q| q.p99_ns),
        micro(first, |q| q.p25_ns),
        micro(first, |q| q.p50_ns),
        micro(first, |q| q.p99_ns),
        p25(&run.summary.first_byte_to_floor),
        p50(&run.summary.first_byte_to_floor),
        p25(&run.summary.first_byte_to_axum),
        p50(&run.summary.first_byte_to_axum),
    ]
}

/// An empty table: names left, numbers right.
fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(header.iter().copied());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
