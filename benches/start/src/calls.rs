//! Bench of functions that call out, beside the usual alternatives. It measures the time to the
//! first byte of the reply, from execve or from an event that is sent after the program listens.
//! Starts are interleaved, in random order. The harness sleeps while it waits, because the called
//! servers need its core.

use crate::client::Caller;
use crate::launch::{Instance, Place};
use crate::program::Program;
use crate::upstream::{self, Upstream};
use bench_kit::clock::{now_ns, sleep_exactly, sleep_until_ns};
use bench_kit::stats;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;
use std::io;
use std::path::Path;
use std::time::Duration;

/// The comparisons: a function's name, and the name of the peer to which ratios are taken.
pub const PAIRS: [(&str, &str); 3] =
    [("call-redis", "axum-redis"), ("call-https", "axum-https"), ("call-ureq", "axum-https")];
/// Goal of each function: its first byte as a share of its peer's.
const GOALS: [f64; 3] = [0.70, 0.80, 0.85];
/// Goals with a head start, for functions that begin their connection early: on loopback, and with
/// a round trip.
const HEAD_START_GOALS: [(&str, f64, f64); 1] = [("call-https", 0.20, 0.25)];

/// A network between function and server, and the time of the event.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Scenario {
    /// The round trip that a relay adds; 0 for none.
    pub round_trip_us: u64,
    /// Time from listening to the event; with 0 the event is sent before the port listens.
    pub head_start_ms: u64,
}

/// The scenarios of a run.
pub const SCENARIOS: [Scenario; 3] = [
    Scenario { round_trip_us: 0, head_start_ms: 0 },
    Scenario { round_trip_us: 0, head_start_ms: 5 },
    Scenario { round_trip_us: 500, head_start_ms: 5 },
];

/// All samples of a scenario.
#[derive(Debug, Serialize)]
pub struct Run {
    /// The scenario.
    pub scenario: Scenario,
    /// The programs, in the order of the table.
    pub programs: Vec<Series>,
}

/// The samples of one program.
#[derive(Debug, Serialize)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Size of its file.
    pub elf_bytes: u64,
    /// Times to the reply's first byte, from execve, or with a head start from the event.
    pub first_byte_ns: Vec<u64>,
    /// Failures, as text.
    pub errors: Vec<String>,
}

/// Starts every program `starts` times in each scenario.
///
/// # Errors
/// If a server does not start.
pub fn run(
    programs: &[Program],
    starts: usize,
    place: Place,
    seed: u64,
    folder: &Path,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<Vec<Run>, upstream::Error> {
    sleep_exactly();
    let redis = Upstream::redis(&folder.join("redis"))?;
    let nginx = Upstream::nginx(&folder.join("nginx"))?;
    let ca = nginx.folder().join("ca.pem");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut runs = Vec::new();
    let mut port = 30_000; // as Starter's: below what the kernel takes for connecting sockets
    for scenario in SCENARIOS {
        let round_trip = Duration::from_micros(scenario.round_trip_us);
        let through = |address| {
            if round_trip.is_zero() { Ok(address) } else { upstream::relay(address, round_trip) }
        };
        let (redis, nginx) = (through(redis.address)?, through(nginx.address)?);
        let environment = [
            format!("REDIS_URL=redis://{redis}"),
            format!("UPSTREAM_URL=https://{nginx}/page"),
            format!("UPSTREAM_CA={}", ca.display()),
        ];
        let mut series: Vec<Series> = programs
            .iter()
            .map(|program| Series {
                name: program.name.clone(),
                elf_bytes: program.elf_bytes,
                first_byte_ns: Vec::new(),
                errors: Vec::new(),
            })
            .collect();
        let mut order: Vec<usize> = (0..programs.len()).collect();
        for round in 0..=starts {
            random.shuffle(&mut order);
            for &index in &order {
                port = if port == 32_000 { 30_000 } else { port + 1 };
                let sample = sample(&programs[index], port, &environment, place, scenario);
                if round == 0 {
                    continue; // the first round fills caches that belong to no program
                }
                match sample {
                    Ok(ns) => series[index].first_byte_ns.push(ns),
                    Err(error) => series[index].errors.push(error),
                }
            }
            progress("starts that call out", round, starts);
        }
        runs.push(Run { scenario, programs: series });
    }
    Ok(runs)
}

fn sample(
    program: &Program,
    port: u16,
    environment: &[String],
    place: Place,
    scenario: Scenario,
) -> Result<u64, String> {
    let mut environment = environment.to_vec();
    environment.push(format!("PORT={port}"));
    let caller = Caller::new(port).map_err(|error| error.to_string())?;
    let mut instance = Instance::start(&program.path, &environment, place, false)
        .map_err(|error| error.to_string())?;
    ask(&instance, &caller, scenario).map_err(|error| {
        format!("{}: {error}; it printed `{}`", program.name, instance.complaints())
    })
}

fn ask(instance: &Instance, caller: &Caller, scenario: Scenario) -> io::Result<u64> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let begun_ns = now_ns();
    while !caller.connect()? {
        if now_ns() - begun_ns > PATIENCE.as_nanos() as u64 || instance.has_ended() {
            return Err(io::Error::other("it does not listen"));
        }
    }
    let from_ns = if scenario.head_start_ms == 0 {
        instance.exec_ns()
    } else {
        sleep_until_ns(now_ns() + scenario.head_start_ms * 1_000_000);
        now_ns()
    };
    caller.send()?;
    let mut reply = Vec::new();
    caller.wait(PATIENCE)?;
    caller.receive(&mut reply)?;
    let first_byte_ns = now_ns();
    if !reply.starts_with(b"HTTP/1.1 200 ") {
        return Err(io::Error::other(String::from_utf8_lossy(&reply).into_owned()));
    }
    Ok(first_byte_ns - from_ns)
}

/// The tables, as text, with the goals that were missed or met.
pub fn draw(runs: &[Run]) -> String {
    let mut text = String::new();
    for run in runs {
        let Scenario { round_trip_us, head_start_ms } = run.scenario;
        let (from, network) = (
            if head_start_ms == 0 {
                "execve".to_owned()
            } else {
                format!("an event {head_start_ms} ms after the port listens")
            },
            if round_trip_us == 0 {
                "loopback".to_owned()
            } else {
                format!("a round trip of {} ms", round_trip_us as f64 / 1e3)
            },
        );
        text += &format!(
            "\n{network}: µs from {from} to the first byte; ratios of medians with 95 % interval; \
             lower is better\n"
        );
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_header(["program", "n", "p25", "median", "p75", "ratio to its peer", "goal"]);
        for series in &run.programs {
            table.add_row(row(run, series));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        text += &format!("{table}\n");
    }
    text
}

fn row(run: &Run, series: &Series) -> Vec<String> {
    let samples = in_f64(series);
    let sorted = stats::sorted(&samples);
    let at = |q| stats::quantile(&sorted, q).map_or("-".into(), |ns| format!("{:.0}", ns / 1e3));
    let mut cells =
        vec![series.name.clone(), samples.len().to_string(), at(0.25), at(0.5), at(0.75)];
    let peer = PAIRS.iter().find(|(name, _)| *name == series.name).map(|(_, peer)| *peer);
    let peer = peer.and_then(|peer| run.programs.iter().find(|series| series.name == peer));
    let ratio = peer.and_then(|peer| stats::ratio_of_medians(&samples, &in_f64(peer)));
    let Some((ratio, interval)) = ratio else {
        cells.extend(["".into(), "".into()]);
        return cells;
    };
    cells.push(format!("{ratio:.2} [{:.2}, {:.2}]", interval.low, interval.high));
    cells.push(goal(run.scenario, &series.name).map_or(String::new(), |goal| {
        let verdict = if ratio <= goal { "kept" } else { "missed" };
        format!("{goal:.2} {verdict}")
    }));
    cells
}

fn goal(scenario: Scenario, name: &str) -> Option<f64> {
    if scenario.head_start_ms == 0 {
        let place = PAIRS.iter().position(|(ours, _)| *ours == name)?;
        return Some(GOALS[place]);
    }
    let (_, near, far) = HEAD_START_GOALS.iter().find(|(ours, _, _)| *ours == name)?;
    Some(if scenario.round_trip_us == 0 { *near } else { *far })
}

fn in_f64(series: &Series) -> Vec<f64> {
    series.first_byte_ns.iter().map(|ns| *ns as f64).collect()
}
