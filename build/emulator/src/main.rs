//! The command line of firstbyte's session: new, run, invoke, deploy. Everything that prints, reads the environment or
//! chooses an exit code is here: 0 is done, 1 is that something went wrong, 2 is a command that was not understood.

#![forbid(unsafe_code)]

mod args;
mod new;

use args::{Arguments, Command};
use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.command {
        Command::New(arguments) => new::new(arguments),
    };
    match result {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
