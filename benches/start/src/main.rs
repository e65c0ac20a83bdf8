//! The command line of the start bench. It alone prints, reads the environment and chooses exit codes: 0 fine, 1 the
//! measured thing failed, 2 usage, 4 the bench itself could not run.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use start_bench::program::{self, Places, Program};
use start_bench::report::{Report, Run, Summary};
use start_bench::sample::Starter;
use start_bench::table;

/// From exec to the first byte: our function, the floor and the peers, interleaved in random order.
#[derive(Parser)]
struct Arguments {
    /// Starts of each program
    #[arg(long, default_value_t = 300)]
    starts: usize,
    /// Only these of the built-in programs, comma-separated
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// One more program: any static ELF that listens on PORT and gives the same reply; repeatable
    #[arg(long, value_name = "NAME=PATH")]
    program: Vec<String>,
    /// Seed of the order
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(4)
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let places = Places::find(std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from))?;
    let mut programs: Vec<Program> = Vec::new();
    let named: Vec<_> = arguments.program.iter().filter_map(|text| text.split_once('=')).collect();
    for name in program::ALL {
        if (arguments.only.is_empty() || arguments.only.iter().any(|only| only == name))
            && !named.iter().any(|(other, _)| *other == name)
        {
            eprintln!("building {name}");
            programs.push(places.build(name)?);
        }
    }
    for (name, path) in named {
        programs.push(places.stage(name, &PathBuf::from(path))?);
    }
    let mut cores = CpuSet::new();
    cores.set(0)?;
    sched_setaffinity(Pid::from_raw(0), &cores)?;
    let mut report = Report::new(&programs);
    for variant in &mut report.variants {
        variant.runs.push(Run {
            page_cache: "warm".into(),
            summary: Summary::default(),
            samples: Vec::new(),
            errors: Vec::new(),
        });
    }
    let mut random = fastrand::Rng::with_seed(arguments.seed);
    let mut starter = Starter::new(Some(1));
    let mut order: Vec<usize> = (0..programs.len()).collect();
    for program in &programs {
        for _ in 0..3 {
            starter.sample(program)?;
        }
    }
    for _ in 0..arguments.starts {
        random.shuffle(&mut order);
        for &index in &order {
            let run = &mut report.variants[index].runs[0];
            match starter.sample(&programs[index]) {
                Ok(sample) => run.samples.push(Some(sample)),
                Err(error) => {
                    run.samples.push(None);
                    run.errors.push(error.to_string());
                }
            }
        }
    }
    report.summarise();
    println!("{}", table::draw(&report));
    for variant in &report.variants {
        for run in &variant.runs {
            if let Some(error) = run.errors.first() {
                eprintln!(
                    "{} of {} starts of `{}` failed, the first: {error}",
                    run.errors.len(),
                    run.samples.len(),
                    variant.name
                );
            }
            let last = run.samples.iter().flatten().last();
            eprintln!("{} {last:?}", variant.name);
        }
    }
    Ok(())
}
