//! Program microimage. Only this file prints, reads the environment and chooses the exit code: 0 is
//! success, 1 is a failure or a negative result, 2 is an invalid command line.

#![forbid(unsafe_code)]

mod args;
mod commands;
mod progress;

use args::{Arguments, Command};
use clap::Parser as _;
use commands::ProcessEnvironment;
use microimage::cargo::{Cargo, compiler, link};
use microimage::inspect::lines;
use microimage::registry::{Access, Keychain, Trust};
use microimage::sandbox;
use std::env;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    if env::args_os().nth(1).is_some_and(|argument| argument == sandbox::HELPER_SUBCOMMAND) {
        // first of all, because the helper must be single-threaded
        return sandbox::helper_main().map_or(ExitCode::from(4), |()| ExitCode::SUCCESS);
    }
    if env::args_os().nth(1).is_some_and(|argument| argument == link::FIRST_ARGUMENT) {
        return linked(); // rustc calls this program as its linker, see `Cargo::build`
    }
    let arguments = Arguments::parse();
    let result = surroundings().and_then(|around| match &arguments.command {
        Command::Image(arguments) => commands::image(arguments, &around),
        Command::Build(arguments) => commands::build(arguments, &around),
        Command::Inspect(arguments) => commands::inspect(arguments, &around),
        Command::Diff(arguments) => commands::diff(arguments, &around),
        Command::Check(arguments) => commands::check(arguments, &around),
        Command::Push(arguments) => commands::push(arguments, &around),
        Command::Pull(arguments) => commands::pull(arguments, &around),
        Command::Unpack(arguments) => commands::unpack(arguments, &around),
        Command::Completions(arguments) => commands::completions(arguments),
        Command::Man(arguments) => commands::man(arguments),
    });
    match result {
        Ok(outcome) => match printed(&lines(&outcome.text)) {
            Ok(()) => ExitCode::from(u8::from(!outcome.holds)),
            Err(error) => failed(&format!("standard output cannot be written: {error}")),
        },
        Err(error) => failed(&lines(&error.to_string())),
    }
}

/// Prints; a reader that closes early (`microimage inspect | head -1`) is not an error.
fn printed(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn failed(why: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {why}"); // standard error may be closed
    ExitCode::from(1)
}

fn linked() -> ExitCode {
    match link::link(env::args_os().skip(1)) {
        Ok(status) => ExitCode::from(u8::from(!status.success())),
        Err(error) => failed(&error.to_string()),
    }
}

fn surroundings() -> Result<ProcessEnvironment, Box<dyn std::error::Error>> {
    let home = env::home_dir();
    let below_home = |name: &str| home.as_ref().map(|home| home.join(name));
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| below_home(".cargo"));
    Ok(ProcessEnvironment {
        here: env::current_dir().map_err(|e| {
            format!("the current directory does not exist ({e}); change to another")
        })?,
        cargo: Cargo {
            program: env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from),
            home: cargo_home.ok_or("cargo's home directory is unknown; set CARGO_HOME or HOME")?,
            linker: Some(
                env::current_exe()
                    .map_err(|e| format!("the path of this program is unknown ({e})"))?,
            ),
            c_compiler: compiler::CCompiler::find(
                env::var_os(compiler::CC_VARIABLE).as_deref(),
                &env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>(),
            ),
        },
        source_date_epoch: env::var("SOURCE_DATE_EPOCH").ok(),
        access: Access {
            keychain: Keychain::from_environment(|name| env::var_os(name), home.as_deref()),
            trust: Trust::from_environment(|name| env::var_os(name), home.as_deref()),
            report: io::stderr().is_terminal().then(progress::on_terminal),
        },
    })
}
