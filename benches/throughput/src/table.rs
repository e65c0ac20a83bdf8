//! Table for the terminal. It reads only a finished report.

use crate::load::Mode;
use crate::report::{Bound, Case, Report};
use bench_kit::stats::paired::Ratio;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

const DASH: &str = "-";

/// One table a mode and number of connections, as text; with `--against` a further one.
pub fn draw(report: &Report) -> String {
    let mut text = String::new();
    for mode in [Mode::KeepAlive, Mode::NewConnection, Mode::Close] {
        let name = match mode {
            Mode::KeepAlive => "connections kept alive",
            Mode::NewConnection => {
                "a new connection for each request, reset by the client after the reply"
            }
            Mode::Close => "a new connection for each request, which says `Connection: close`",
        };
        for connections in numbers(report, mode) {
            text += &format!(
                "\n{name}: {connections} at once, closed loop; medians of rounds of {} ms; ratios \
                 with 95 % interval\n{}\n",
                report.time_ms,
                table(report, mode, connections)
            );
            if let Some(against) = &report.against {
                let compared = compared(report, mode, connections);
                text += &format!("\nthe same / {against}\n{compared}\n");
            }
        }
    }
    text
}

/// The numbers of connections that a mode was measured with, in the order in which they were named.
fn numbers(report: &Report, mode: Mode) -> Vec<usize> {
    let mut numbers: Vec<usize> = Vec::new();
    for case in report.cases.iter().filter(|case| case.mode == mode) {
        if !numbers.contains(&case.connections) {
            numbers.push(case.connections);
        }
    }
    numbers
}

fn cases(report: &Report, mode: Mode, connections: usize) -> impl Iterator<Item = &Case> {
    let asked = move |case: &&Case| (case.mode, case.connections) == (mode, connections);
    report.cases.iter().filter(asked)
}

/// Ratios to the program of `--against`.
fn compared(report: &Report, mode: Mode, connections: usize) -> Table {
    let mut table = empty(&["program", "requests/s", "p99", "CPU/request"]);
    for case in cases(report, mode, connections) {
        let Some(summary) = &case.summary else { continue };
        if report.against.as_ref() != Some(&case.program) {
            table.add_row([
                case.program.clone(),
                ratio(&summary.rate_to_against),
                ratio(&summary.p99_to_against),
                ratio(&summary.cpu_to_against),
            ]);
        }
    }
    table
}

fn table(report: &Report, mode: Mode, connections: usize) -> Table {
    let mut table = empty(&[
        "program",
        "n",
        "requests/s",
        "min .. max",
        "/ axum",
        "/ minihttp",
        "p50 µs",
        "p99 µs",
        "p99 / minihttp",
        "CPU µs/request",
        "min .. max",
        "CPU / axum",
        "busy",
        "client",
        "limit",
        "RSS KiB",
    ]);
    for case in cases(report, mode, connections) {
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
            format!(
                "{:.2} .. {:.2}",
                summary.cpu_ns_per_request_min / 1e3,
                summary.cpu_ns_per_request_max / 1e3
            ),
            ratio(&summary.cpu_to_axum),
            format!("{:.0} %", summary.program_busy * 1e2),
            format!("{:.0} %", summary.client_busy * 1e2),
            match summary.bound {
                Bound::Program => "program",
                Bound::Client => "client",
                Bound::Neither => DASH,
            }
            .to_owned(),
            format!("{:.0}", summary.rss_bytes as f64 / 1024.0),
        ]);
    }
    table
}

/// A table without rows: names left, numbers right.
fn empty(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(header.iter().copied());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn ratio(ratio: &Option<Ratio>) -> String {
    ratio.map_or_else(
        || DASH.into(),
        |r| format!("{:.2} [{:.2}, {:.2}]", r.of_p50, r.ci95_low_of_p50, r.ci95_high_of_p50),
    )
}
