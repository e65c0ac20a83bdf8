//! Program start: only this file prints, reads the environment and chooses exit codes.

#![forbid(unsafe_code)]

mod cli;

use bench_kit::cores::{self, Cores};
use clap::Parser;
use cli::Arguments;
use start_bench::gate::GateLimits;
use start_bench::host::HostState;
use start_bench::launch::Place;
use start_bench::program::{self, Places, Program};
use start_bench::report::{PageCache, Plan, Report};
use start_bench::sample::Starter;
use start_bench::trace::{self, Arrival};
use start_bench::{calls, plot, precedence, record, run, step, table};
use std::error::Error;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A measured program failed.
const FAILED: u8 = 1;
/// The bench could not run.
const UNABLE: u8 = 4;
/// Load from which a note is printed: the harness and the programs need a core each.
const BUSY: f64 = 0.5;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match (&arguments.trace, &arguments.order) {
        (Some(name), _) => list_calls(&arguments, name),
        (None, Some(file)) => write_order(file),
        (None, None) if arguments.gate => gate(&arguments),
        (None, None) if arguments.calls => calls(&arguments),
        (None, None) => bench(&arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(UNABLE)
    })
}

/// The whole bench.
fn bench(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let programs = programs(arguments, &arguments.only)?;
    if let Some(name) = &arguments.against {
        program::require(&programs, name)?;
    }
    let cores = Cores::choose();
    let place = Place { core: cores.instance, realtime: arguments.realtime };
    let caches =
        arguments.page_cache.map_or(vec![PageCache::Warm, PageCache::Evicted], |cache| vec![cache]);
    let plan = Plan {
        seed: arguments.seed,
        against: arguments.against.clone().unwrap_or_else(|| program::OURS.to_owned()),
        requests: arguments.requests,
    };
    let mut report = Report::new(&programs, &caches, cores.harness, place, plan);
    if let Some(harness) = cores.harness {
        cores::pin(harness)?;
    }
    if arguments.realtime {
        precedence::take_precedence().map_err(|error| {
            format!("cannot run with real-time priority: {error}; leave out `--realtime`")
        })?;
    }
    if report.host.load() > BUSY && !arguments.realtime {
        eprintln!(
            "note: the load before the first start is {}; wait, or try --realtime",
            report.host.load()
        );
    }
    let mut starter = Starter::new(place);
    run::starts(&mut report, &mut starter, &programs, arguments.starts as usize, &mut progress)?;
    if arguments.requests > 1 {
        run::requests(
            &mut report,
            &mut starter,
            &programs,
            arguments.starts as usize,
            &mut progress,
        )?;
    }
    if !arguments.times_only {
        for (index, program) in programs.iter().enumerate() {
            report.variants[index].counts = run::counts(&mut starter, program)?;
            progress("tracing", index + 1, programs.len());
        }
        run::idle(&mut report, &mut starter, &programs, &mut progress)?;
    }
    report.host.finish();
    println!("{}", table::draw(&report));
    let drawing = plot::draw(&report);
    let record = arguments.record.then_some((report.bench, report.host.machine.date.as_str()));
    for path in record::keep(&report, Some(&drawing), &arguments.results, record)? {
        println!("wrote {}", path.display());
    }
    let complaints = report.complaints();
    complaints.iter().for_each(|complaint| eprintln!("error: {complaint}"));
    Ok(if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// The functions that call out.
fn calls(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let mut names: Vec<&str> = Vec::new();
    for name in calls::PAIRS.iter().flat_map(|(ours, peer)| [*ours, *peer]) {
        let is_asked = arguments.only.is_empty() || arguments.only.iter().any(|only| only == name);
        if is_asked && !names.contains(&name) {
            names.push(name);
        }
    }
    let places = places()?;
    let mut programs = Vec::new();
    for name in names {
        eprintln!("building {name}");
        programs.push(places.build(name)?);
    }
    for (name, path) in &arguments.program {
        programs.push(places.stage(name, path)?);
    }
    let mut host = HostState::describe();
    if host.load() > BUSY {
        eprintln!("note: the load before the first start is {}; wait", host.load());
    }
    let place = Place { core: Cores::choose().instance, realtime: false };
    let (starts, folder) = (arguments.starts as usize, places.target.join("start/calls"));
    let runs = calls::run(&programs, starts, place, arguments.seed, &folder, &mut progress)?;
    host.finish();
    println!("{}", calls::draw(&runs));
    let report = serde_json::json!({ "schema": 1, "bench": "calls", "host": host, "runs": runs });
    let results = arguments.results.with_file_name("calls.json");
    for path in record::keep(&report, None, &results, None)? {
        println!("wrote {}", path.display());
    }
    let errors: Vec<&String> =
        runs.iter().flat_map(|run| &run.programs).flat_map(|series| &series.errors).collect();
    errors.iter().for_each(|error| eprintln!("error: {error}"));
    Ok(if errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// The gate of continuous integration.
fn gate(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let limits = GateLimits::committed()?;
    let mut closed = false;
    for program in programs(arguments, &[program::OURS.to_owned()])? {
        let counts = run::counts(&mut Starter::new(anywhere()), &program)?;
        let steps = step::step(&mut Starter::new(anywhere()), &program)?;
        let over = limits.over(&counts, &steps);
        println!("{}: {} instructions, {} CPUID", program.name, steps.instructions, steps.cpuid);
        for counts in &counts {
            let reached = counts.to_first_byte;
            let (calls, faults) = (reached.system_calls, reached.minor_faults);
            println!(
                "{}: event sent {}: {calls} system calls, {faults} minor faults",
                program.name, counts.arrival
            );
        }
        for line in &over {
            eprintln!(
                "error: {}: {line}; `start --trace {}` lists them",
                program.name, program.name
            );
        }
        closed |= !over.is_empty();
    }
    Ok(if closed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// Writes the order in which the linker places our function's names.
fn write_order(file: &Path) -> Result<ExitCode, Box<dyn Error>> {
    let program = places()?.build_with_symbols()?;
    let steps = step::step(&mut Starter::new(anywhere()), &program)?;
    eprintln!("{} instructions to the first byte, {} CPUID", steps.instructions, steps.cpuid);
    let mut names = steps.names(&program)?;
    // The names of the function itself are left out: no other function has them, and
    // `microimage` adds them.
    names.retain(|name| !name.contains("function_template"));
    let head = "# What a start uses first, in the order of its first use, by microimage's rules \
                (build/src/order.rs).\n# Made by `just bench start --order src/order.txt`; what \
                is missing or gone costs page faults, nothing else.\n";
    std::fs::write(file, format!("{head}{}\n", names.join("\n")))?;
    println!("wrote {} names to {}", names.len(), file.display());
    Ok(ExitCode::SUCCESS)
}

/// Prints the system calls to the first byte.
fn list_calls(arguments: &Arguments, name: &str) -> Result<ExitCode, Box<dyn Error>> {
    for program in
        programs(arguments, &[name.to_owned()])?.iter().filter(|program| program.name == name)
    {
        let mut starter = Starter::new(anywhere());
        for arrival in [Arrival::AtListen, Arrival::WhenAsleep] {
            let trace = trace::trace(&mut starter, program, arrival)?;
            println!("{name}, event sent {arrival}: minor faults so far, thread, call");
            for call in &trace.calls {
                println!("{:5} {:3} {}", call.minor_faults, call.thread, call.name);
            }
            println!(
                "{:5}     first byte sent, {} calls\n",
                trace.to_first_byte.minor_faults,
                trace.calls.len()
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Place of counted starts: counts do not depend on it.
fn anywhere() -> Place {
    Place { core: Cores::choose().instance, realtime: false }
}

fn places() -> Result<Places, program::Error> {
    Places::find(std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from))
}

/// Builds the requested programs, and adds those given by path.
fn programs(arguments: &Arguments, only: &[String]) -> Result<Vec<Program>, program::Error> {
    let places = places()?;
    let given = |name: &str| arguments.program.iter().find(|(given, _)| given == name);
    let builtin = program::ALL
        .iter()
        .copied()
        .filter(|name| only.is_empty() || only.iter().any(|only| only == name));
    let further = only
        .iter()
        .map(String::as_str)
        .filter(|name| !program::ALL.contains(name) && given(name).is_none());
    let mut programs = Vec::new();
    for name in builtin.chain(further).filter(|name| given(name).is_none()) {
        eprintln!("building {name}");
        programs.push(places.build(name)?);
    }
    for (name, path) in &arguments.program {
        programs.push(places.stage(name, path)?);
    }
    Ok(programs)
}

/// Shows progress in one line, if standard error is a terminal.
fn progress(what: &str, done: usize, of: usize) {
    let mut terminal = std::io::stderr();
    if terminal.is_terminal() {
        let _ =
            write!(terminal, "\r{what}: {done} of {of}   {}", if done == of { "\n" } else { "" });
    }
}
