//! The terminal's table. It reads a finished report only.

use bench_kit::stats::paired::Ratio;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use crate::load::Mode;
use crate::report::Report;

const DASH: &str = "-";

/// One table a mode, as text.
pub fn draw(report: &Report) -> String {
    let mut text = String::new();
    for mode in [Mode::KeepAlive, Mode::NewConnection, Mode::Close] {
        if !report.cases.iter().any(|case| case.mode == mode) {
            continue;
        }
        let name = match mode {
            Mode::KeepAlive => "connections kept alive",
            Mode::NewConnection => {
                "a new connection for each request, reset by the client after the reply"
            }
            Mode::Close => "a new connection for each request, which says `Connection: close`",
        };
        text += &format!(
            "\n{name}: {} at once, closed loop; medians of rounds of {} ms; ratios with 95 % \
             interval\n{}\n",
            report.connections,
            report.time_ms,
            table(report, mode)
        );
    }
    text
}

fn table(report: &Report, mode: Mode) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    let header = [
        "program",
        "n",
        "requests/s",
        "min .. max",
        "/ axum",
        "/ minihttp",
        "p50 µs",
        "p99 µs",
        "p99 / minihttp",
    ];
    table.set_header(header.into_iter().chain(["CPU µs/request", "RSS KiB"]));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for case in report.cases.iter().filter(|case| case.mode == mode) {
        let Some(summary) = &case.summary else {
            table.add_row([case.program.as_str(), "0"]);
            continue;
        };
        table.add_row([
            case.program.clone(),
            summary.n.to_string(),
            format!("{:.0}", summary.requests_per_s),
            format!("{:.0} .. {:.0}", summary.requests_per_s_min, summary.requests_per_s_max),
            ratio(&summary.rate_to_axum),
            ratio(&summary.rate_to_minihttp),
            format!("{:.1}", summary.p50_ns / 1e3),
            format!("{:.1}", summary.p99_ns / 1e3),
            ratio(&summary.p99_to_minihttp),
            format!("{:.2}", summary.cpu_ns_per_request / 1e3),
            format!("{:.0}", summary.rss_bytes as f64 / 1024.0),
        ]);
    }
    table
}

fn ratio(ratio: &Option<Ratio>) -> String {
    ratio.map_or_else(
        || DASH.into(),
        |r| format!("{:.2} [{:.2}, {:.2}]", r.of_p50, r.ci95_low_of_p50, r.ci95_high_of_p50),
    )
}
