//! Program firstbyte: new, run, invoke, deploy. All code that prints, reads the environment or
//! chooses an exit code is here: 0 is success, 1 is a failure, 2 is an invalid command line.

#![forbid(unsafe_code)]

mod args;
mod commands;
mod deploy;
mod new;

use args::{Arguments, Command};
use clap::{CommandFactory as _, Parser as _};
use commands::function::CommandContext;
use commands::{api, invoke, run};
use emulator::journal::Journal;
use microimage::cargo::{Cargo, compiler, link};
use microimage::{manual, sandbox};
use scaffold::deploy::tccli;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::env;
use std::error::Error;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

/// Variables that a user sets for a function and that change nothing but its output: `run` and
/// `invoke` pass them on. All others are set by function.toml or `--env`, as on the platform.
const LOG_VARIABLES: [&str; 3] = ["FIRSTBYTE_LOG", "FIRSTBYTE_LOG_FORMAT", "FIRSTBYTE_BOOT_TRACE"];

fn main() -> ExitCode {
    if env::args_os().nth(1).is_some_and(|argument| argument == sandbox::HELPER_SUBCOMMAND) {
        // First, because the sandbox's helper must be single-threaded.
        return sandbox::helper_main().map_or(ExitCode::from(4), |()| ExitCode::SUCCESS);
    }
    if env::args_os().nth(1).is_some_and(|argument| argument == link::FIRST_ARGUMENT) {
        return linked(); // rustc started this process as its linker, for `Cargo::build`
    }
    match command(&Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

/// Prints; a reader that closes early (`firstbyte invoke | head -1`) is not an error.
fn printed(bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("standard output cannot be written: {error}").into())
        }
        _ => Ok(()),
    }
}

fn failed(why: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {why}"); // it may be closed
    ExitCode::FAILURE
}

fn linked() -> ExitCode {
    match link::link(env::args_os().skip(1)) {
        Ok(status) => ExitCode::from(u8::from(!status.success())),
        Err(error) => failed(&error),
    }
}

fn command(command: &Command) -> Result<ExitCode, Box<dyn Error>> {
    match command {
        Command::New(arguments) => printed(new::new(arguments)?.to_string().as_bytes())?,
        Command::Run(arguments) => {
            let journal = Journal::new(Box::new(io::stdout()), Box::new(io::stderr()));
            let (journal, around, stop) = (Arc::new(journal), surroundings()?, stop()?);
            match arguments.api {
                Some(address) => api::run(address, arguments, &around, &journal, &stop)?,
                None => run::run(arguments, &around, &journal, &stop)?,
            }
        }
        Command::Invoke(arguments) => {
            // Only the result goes to standard output: the log goes to standard error.
            let journal = Arc::new(Journal::new(Box::new(io::stderr()), Box::new(io::stderr())));
            let shown = invoke::invoke(arguments, &surroundings()?, &journal, io::stdin(), stop)?;
            printed(&shown.out)?;
            let _ = write!(io::stderr(), "{}", shown.beside); // it may be closed
            return Ok(ExitCode::from(u8::from(!shown.succeeded)));
        }
        Command::Deploy(arguments) => {
            // A deployment continues if its output is closed.
            let mut unwritten = None;
            let text = deploy::deploy(arguments, &tools(), &mut |step| {
                unwritten = unwritten.take().or(printed(format!("{step}\n").as_bytes()).err());
            })?;
            printed(text.to_string().as_bytes())?;
            unwritten.map_or(Ok(()), Err)?;
        }
        Command::Completions(arguments) => {
            let script = manual::completions(Arguments::command(), arguments.shell);
            printed(script.as_bytes())?;
        }
        Command::Man(arguments) => {
            let text = manual::man(Arguments::command(), arguments)?;
            printed(text.as_bytes())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn surroundings() -> Result<CommandContext, Box<dyn Error>> {
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    Ok(CommandContext {
        here: env::current_dir().map_err(|e| {
            format!("the current directory does not exist ({e}); change to another")
        })?,
        helper: env::current_exe()?,
        cargo: Cargo {
            program: env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from),
            home: cargo_home.ok_or("cargo's home directory is unknown; set CARGO_HOME or HOME")?,
            linker: Some(env::current_exe()?),
            c_compiler: compiler::CCompiler::find(
                env::var_os(compiler::CC_VARIABLE).as_deref(),
                &env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>(),
            ),
        },
        log: LOG_VARIABLES
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), env::var(name).ok()?)))
            .collect(),
    })
}

/// Sends a message at the first signal to stop, so that instances and their files are removed. The
/// second signal ends the process at once.
fn stop() -> io::Result<Receiver<()>> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for (nth, signal) in signals.forever().enumerate() {
            if nth > 0 || sender.send(()).is_err() {
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        }
    });
    Ok(receiver)
}

/// The settings that `tccli` will find in the environment. Secrets are checked for presence only.
fn tools() -> tccli::TccliEnvironment {
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    tccli::TccliEnvironment {
        path: env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default(),
        home: env::var_os("HOME").map(Into::into),
        secrets: set("TENCENTCLOUD_SECRET_ID") && set("TENCENTCLOUD_SECRET_KEY"),
        cluster_identity: set("TKE_ROLE_ARN"),
        profile: env::var("TCCLI_PROFILE").ok(),
    }
}
