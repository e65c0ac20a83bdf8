//! Tables for the terminal, made of a finished report.

use crate::idle::Idle;
use crate::program::RIVAL;
use crate::report::{Counts, PageCache, Report, Run, Variant};
use crate::requests::{Request, Requests};
use bench_kit::stats::paired::{Median, Quantiles, Ratio};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

const DASH: &str = "-";

/// All tables of a report, as text.
pub fn draw(report: &Report) -> String {
    let mut text = String::new();
    for cache in report.page_caches() {
        let name = match cache {
            PageCache::Warm => "page cache warm",
            PageCache::Evicted => "page cache evicted (read from the disk again at each start)",
        };
        text += &format!(
            "\n{name}: µs from execve; ratios of medians with 95 % interval; lower is better\n"
        );
        text += &format!("{}\n", times(report, cache));
    }
    text += &beside(report);
    text += &requests(report);
    if report.variants.iter().any(|variant| !variant.counts.is_empty()) {
        text += "\ncounted by ptrace from execve on: system calls of all threads, minor faults; \
                 lower is better\n";
        text += &format!("{}\n", counts(report));
    }
    text += "\nELF pages mapped after a warm start (whole fault-around windows of 64 KiB) and \
             read at an evicted one (with read-ahead); idle after the first reply\n";
    text += &format!("{}\n", weights(report));
    if report.variants.iter().any(|variant| after_last(variant).is_some()) {
        text += &format!("\nidle after {} requests on one connection\n", report.requests);
        text += &format!("{}\n", idle_after_last(report));
    }
    text
}

/// Table of first bytes, compared with the program of `--against`.
fn beside(report: &Report) -> String {
    let against = &report.against;
    if report.variant(against).is_none() || report.variants.len() < 2 {
        return String::new();
    }
    let mut header = vec!["program"];
    for cache in report.page_caches() {
        header.extend(match cache {
            PageCache::Warm => ["warm: µs more", "ratio"],
            PageCache::Evicted => ["evicted: µs more", "ratio"],
        });
    }
    let mut table = table(&header);
    for variant in report.variants.iter().filter(|variant| variant.name != *against) {
        let mut cells = vec![variant.name.clone()];
        for run in &variant.runs {
            cells.push(run.summary.first_byte_less_against.map_or_else(
                || DASH.into(),
                |d| {
                    let [value, low, high] =
                        [d.of_p50_ns, d.ci95_low_of_p50_ns, d.ci95_high_of_p50_ns];
                    format!("{:+.0} [{:+.0}, {:+.0}]", value / 1e3, low / 1e3, high / 1e3)
                },
            ));
            cells.push(ratio(&run.summary.first_byte_to_against));
        }
        table.add_row(cells);
    }
    format!("\nfirst byte beside `{against}`: medians with 95 % interval\n{table}\n")
}

/// Tables of requests one after the other: times, then ratios.
fn requests(report: &Report) -> String {
    if report.variants.iter().all(|variant| variant.requests.is_none()) {
        return String::new();
    }
    let numbers: Vec<String> = (1..=report.requests).map(|number| number.to_string()).collect();
    let header = |first: &[&'static str]| {
        let numbers = numbers.iter().map(String::as_str);
        first.iter().copied().chain(numbers).map(str::to_owned).collect::<Vec<_>>()
    };
    let draw = |first: &[&'static str], skip: &str, cells: &dyn Fn(&Requests) -> Vec<String>| {
        let header = header(first);
        let mut table = table(&header.iter().map(String::as_str).collect::<Vec<_>>());
        for variant in report.variants.iter().filter(|variant| variant.name != skip) {
            let Some(requests) = &variant.requests else { continue };
            table.add_row([vec![variant.name.clone()], cells(requests)].concat());
        }
        table
    };
    let times = draw(&["program", "n"], "", &|requests| {
        let n = requests.samples.times().first().map_or(0, |first| first.iter().flatten().count());
        let times = requests.summary.iter().map(|request| median(&request.time));
        [n.to_string()].into_iter().chain(times).collect()
    });
    let mut text = format!(
        "\nrequests 1 to {} on one connection, each sent when the last reply is complete: µs from \
         its send to its reply's last byte, medians with 95 % interval\n{times}\n",
        report.requests
    );
    let against = Some(report.against.as_str()).filter(|against| *against != RIVAL);
    for rival in [Some(RIVAL), against].into_iter().flatten() {
        if report.variant(rival).is_some() && report.variants.len() > 1 {
            let ratios = draw(&["program"], rival, &|requests| {
                let of = |request: &Request| {
                    ratio(if rival == RIVAL { &request.to_axum } else { &request.to_against })
                };
                requests.summary.iter().map(of).collect()
            });
            text += &format!("\nthe same / {rival}\n{ratios}\n");
        }
    }
    text
}

fn after_last(variant: &Variant) -> Option<Idle> {
    variant.requests.as_ref()?.idle
}

fn idle_after_last(report: &Report) -> Table {
    let mut table =
        table(&["program", "RSS KiB", "private dirty KiB", "threads", "wake-ups/s", "settled"]);
    for variant in &report.variants {
        let Some(idle) = after_last(variant) else { continue };
        table.add_row([
            variant.name.clone(),
            kib(idle.rss_bytes),
            kib(idle.private_dirty_bytes),
            idle.threads.to_string(),
            format!("{:.1}", idle.wakeups_per_s),
            if idle.settled { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table
}

fn times(report: &Report, cache: PageCache) -> Table {
    let mut table = table(&[
        "program",
        "n",
        "listen p25",
        "p50",
        "p99",
        "/ floor",
        "first byte p25",
        "p50",
        "p99",
        "/ floor",
        "p25 / floor",
        "/ axum",
        "p25 / axum",
    ]);
    for (variant, run) in
        report.variants.iter().filter_map(|variant| Some((variant, variant.run(cache)?)))
    {
        let s = &run.summary;
        let mut cells = vec![variant.name.clone(), s.first_byte.map_or(0, |q| q.n).to_string()];
        cells.extend(micros(&s.listen));
        cells.push(ratio(&s.listen_to_floor));
        cells.extend(micros(&s.first_byte));
        for r in [&s.first_byte_to_floor, &s.first_byte_to_axum] {
            cells.push(ratio(r));
            cells.push(r.map_or_else(|| DASH.into(), |r| format!("{:.2}", r.of_p25)));
        }
        table.add_row(cells);
    }
    table
}

/// System calls and faults of a report.
fn counts(report: &Report) -> Table {
    let mut table = table(&[
        "program",
        "event sent",
        "calls to accept",
        "faults",
        "calls to first byte",
        "faults",
        "threads",
        "stable",
    ]);
    for (variant, counts) in
        report.variants.iter().flat_map(|v| v.counts.iter().map(move |counts| (v, counts)))
    {
        table.add_row(counted(&variant.name, counts));
    }
    table
}

fn counted(name: &str, counts: &Counts) -> Vec<String> {
    let (accept, first) = (counts.before_accept, counts.to_first_byte);
    let numbers = [
        accept.system_calls,
        accept.minor_faults,
        first.system_calls,
        first.minor_faults,
        first.threads,
    ];
    let mut cells = vec![name.to_owned(), counts.arrival.to_string()];
    cells.extend(numbers.map(|number| number.to_string()));
    cells.push(if counts.stable { "yes" } else { "no" }.into());
    cells
}

fn weights(report: &Report) -> Table {
    let mut table = table(&[
        "program",
        "ELF KiB",
        "mapped KiB",
        "read KiB",
        "idle RSS KiB",
        "private dirty KiB",
        "threads",
        "wake-ups/s",
    ]);
    for variant in &report.variants {
        let dash = || DASH.to_owned();
        let mapped = variant.run(PageCache::Warm).and_then(median_mapped);
        let read = variant.run(PageCache::Evicted).and_then(|run| run.read_bytes);
        table.add_row(vec![
            variant.name.clone(),
            kib(variant.elf_bytes),
            mapped.map_or_else(dash, kib),
            read.map_or_else(dash, kib),
            variant.idle.map_or_else(dash, |idle| kib(idle.rss_bytes)),
            variant.idle.map_or_else(dash, |idle| kib(idle.private_dirty_bytes)),
            variant.idle.map_or_else(dash, |idle| idle.threads.to_string()),
            variant.idle.map_or_else(dash, |idle| format!("{:.1}", idle.wakeups_per_s)),
        ]);
    }
    table
}

fn median_mapped(run: &Run) -> Option<u64> {
    let mut mapped: Vec<u64> = run.samples.mapped_bytes.iter().flatten().copied().collect();
    mapped.sort_unstable();
    mapped.get(mapped.len() / 2).copied()
}

fn kib(bytes: u64) -> String {
    format!("{:.0}", bytes as f64 / 1024.0)
}

fn micros(quantiles: &Option<Quantiles>) -> [String; 3] {
    let micros = |of: fn(&Quantiles) -> f64| {
        quantiles
            .as_ref()
            .map_or_else(|| DASH.into(), |quantiles| format!("{:.0}", of(quantiles) / 1000.0))
    };
    [micros(|q| q.p25_ns), micros(|q| q.p50_ns), micros(|q| q.p99_ns)]
}

fn median(median: &Option<Median>) -> String {
    median.map_or_else(
        || DASH.into(),
        |m| {
            let [value, low, high] =
                [m.p50_ns, m.ci95_low_of_p50_ns, m.ci95_high_of_p50_ns].map(|ns| ns / 1e3);
            format!("{value:.0} [{low:.0}, {high:.0}]")
        },
    )
}

fn ratio(ratio: &Option<Ratio>) -> String {
    ratio.map_or_else(
        || DASH.into(),
        |r| format!("{:.2} [{:.2}, {:.2}]", r.of_p50, r.ci95_low_of_p50, r.ci95_high_of_p50),
    )
}

/// An empty table, with names aligned left and numbers aligned right.
fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(header.iter().copied());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
