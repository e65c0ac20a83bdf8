//! Program throughput: it alone prints, reads the environment and chooses exit codes.

#![forbid(unsafe_code)]

use bench_kit::cores::{self, Cores};
use clap::Parser;
use start_bench::host::HostState;
use start_bench::launch::Place;
use start_bench::program::{self, Places};
use start_bench::record;
use start_bench::sample::Starter;
use std::error::Error;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use throughput_bench::load::Mode;
use throughput_bench::report::Report;
use throughput_bench::{run, table};

/// The measured thing failed.
const FAILED: u8 = 1;
/// The bench could not run.
const UNABLE: u8 = 4;

/// What the help ends with.
const TWO_COMMITS: &str = "\
To compare with another commit, in one interleaved run:
  git worktree add ../old COMMIT
  (cd ../old && just image --stage-only && cp target/image/root/app ../old-firstbyte)
  just bench throughput --only firstbyte --program old=../old-firstbyte --against old \\
    --connections 16,32
  git worktree remove --force ../old
An interval of the ratio that includes 1 shows no difference.";

/// Requests a second and their latency once a function runs: ours and the peers, interleaved in
/// random order.
///
/// Exit codes: 0 fine, 1 a program failed, 2 usage, 4 the bench itself could not run.
#[derive(Parser)]
#[command(after_help = TWO_COMMITS)]
struct Arguments {
    /// Rounds: in each, every program has its turn
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=500))]
    rounds: u32,
    /// Only these of the start bench's programs
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAMES",
        default_value = "firstbyte,hyper,axum,minihttp-tuned"
    )]
    only: Vec<String>,
    /// One more program: a static ELF that listens on PORT and gives the same reply; repeatable
    #[arg(long, value_name = "NAME=PATH", value_parser = named)]
    program: Vec<(String, PathBuf)>,
    /// Only this use of connections
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// Compare requests a second, 99th percentile and CPU time with this program too
    #[arg(long, value_name = "NAME")]
    against: Option<String>,
    /// Connections at once; several numbers are measured one after the other in each round
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NUMBERS",
        default_value = "16",
        value_parser = clap::value_parser!(u16).range(1..=800)
    )]
    connections: Vec<u16>,
    /// Counted time of a turn, in milliseconds
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    time: u64,
    /// Time before that, in milliseconds
    #[arg(long, default_value_t = 200)]
    warm_up: u64,
    /// Seed of the order
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the results go
    #[arg(long, value_name = "FILE", default_value = "target/throughput/results.json")]
    results: PathBuf,
    /// Keep them in benches/record too, under today's date
    #[arg(long)]
    record: bool,
}

fn main() -> ExitCode {
    bench(&Arguments::parse()).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(UNABLE)
    })
}

fn bench(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let places = Places::find(std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from))?;
    let mut programs = Vec::new();
    for name in &arguments.only {
        eprintln!("building {name}");
        programs.push(places.build(name)?);
    }
    for (name, path) in &arguments.program {
        programs.push(places.stage(name, path)?);
    }
    if let Some(name) = &arguments.against {
        program::require(&programs, name)?;
    }
    let Cores { harness: client_core, instance: program_core, .. } = Cores::choose();
    let mut report = Report {
        schema: 1,
        bench: "throughput",
        host: HostState::describe(),
        client_core,
        program_core,
        connections: usize::from(
            *arguments.connections.first().ok_or("name a number of connections")?,
        ),
        against: arguments.against.clone(),
        warm_up_ms: arguments.warm_up,
        time_ms: arguments.time,
        seed: arguments.seed,
        cases: Vec::new(),
    };
    if let Some(core) = client_core {
        cores::pin(core)?;
    }
    let modes = arguments
        .mode
        .map_or(vec![Mode::KeepAlive, Mode::NewConnection, Mode::Close], |mode| vec![mode]);
    let ways: Vec<(Mode, usize)> = modes
        .into_iter()
        .flat_map(|mode| arguments.connections.iter().map(move |&n| (mode, usize::from(n))))
        .collect();
    let mut starter = Starter::new(Place { core: program_core, realtime: false });
    run::rounds(
        &mut report,
        &mut starter,
        &programs,
        &ways,
        arguments.rounds as usize,
        &mut progress,
    );
    report.host.finish();
    println!("{}", table::draw(&report));
    let record = arguments.record.then_some((report.bench, report.host.machine.date.as_str()));
    for path in record::keep(&report, None, &arguments.results, record)? {
        println!("wrote {}", path.display());
    }
    let complaints = report.complaints();
    complaints.iter().for_each(|complaint| eprintln!("error: {complaint}"));
    Ok(if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn named(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path))
            if !name.is_empty() && !name.contains('/') && Path::new(path).is_file() =>
        {
            Ok((name.to_owned(), PathBuf::from(path)))
        }
        _ => Err(format!(
            "write it as NAME=PATH of a program; the programs here are {}",
            program::ALL.join(", ")
        )),
    }
}

/// One line that counts, where someone is looking.
fn progress(done: usize, of: usize) {
    let mut terminal = std::io::stderr();
    if terminal.is_terminal() {
        let _ = write!(terminal, "\rround {done} of {of}   {}", if done == of { "\n" } else { "" });
    }
}
