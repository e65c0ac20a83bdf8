//! Command `firstbyte run`: the emulated platform in front of a function, until it is stopped.

use super::function::{CommandContext, config, network, source};
use crate::args::RunArguments;
use emulator::config::{Config, Mode};
use emulator::front::Front;
use emulator::instance::Host;
use emulator::journal::Journal;
use emulator::platform::Platform;
use emulator::program::{Program, Source};
use emulator::start_up::milliseconds;
use emulator::watch::{Swap, Watch};
use std::error::Error;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

/// How often a watching run checks whether it must end.
const LOOK: Duration = Duration::from_millis(200);

/// Runs until `stop` sends a message.
pub fn run(
    arguments: &RunArguments,
    around: &CommandContext,
    journal: &Arc<Journal>,
    stop: &Receiver<()>,
) -> Result<(), Box<dyn Error>> {
    let source = source(arguments.function.as_deref(), &arguments.platform, around)?;
    let config = || configured(arguments, around, &source);
    let first = config()?;
    let program = match (source.prepare(), source.folder()) {
        (Ok(program), _) => program,
        (Err(error), Some(folder)) if arguments.watch => {
            journal.note(error);
            match first_that_builds(&source, &Watch::around(folder)?, journal, stop) {
                Some(program) => program,
                None => return Ok(()),
            }
        }
        (Err(error), _) => return Err(error.into()),
    };
    program.left_out.iter().for_each(|line| journal.note(line));
    let mut watch = if arguments.watch { Some(Watch::start(&program)?) } else { None };
    let network = network(&first, &arguments.platform, around)?;
    let sandbox = !arguments.platform.no_sandbox;
    let host = Host::new(&around.helper, sandbox, network, journal.clone())?;
    let platform = Platform::new(first, host, program, journal.clone())?;
    let front = Front::open(arguments.address, platform.clone()).map_err(|error| {
        format!(
            "`{}` cannot be listened on: {error}; choose another with --address",
            arguments.address
        )
    })?;
    let result =
        session(&source, &config, &platform, &front, watch.as_mut(), stop).map_err(Into::into);
    drop(front);
    platform.close();
    result
}

/// The configuration in function.toml and the flags now.
fn configured(
    arguments: &RunArguments,
    around: &CommandContext,
    source: &Source,
) -> Result<Config, Box<dyn Error>> {
    let mut config = config(source, &arguments.platform, around, Mode::Event)?;
    config.concurrency = arguments.concurrency.unwrap_or(config.concurrency);
    config.provisioned = arguments.provisioned.unwrap_or(config.provisioned);
    config.max_instances =
        arguments.instances.unwrap_or(config.max_instances.max(config.provisioned));
    config.idle = arguments.idle;
    config.retries = arguments.retries;
    config.retry_interval = arguments.retry_interval;
    config.check()?;
    Ok(config)
}

/// The first version that builds: at the start of a watch the sources may be incomplete. `None` if
/// the command is stopped before.
fn first_that_builds(
    source: &Source,
    watch: &Watch,
    journal: &Journal,
    stop: &Receiver<()>,
) -> Option<Program> {
    journal.note("waiting for a change");
    while stop.try_recv() == Err(TryRecvError::Empty) {
        let Some(changed) = watch.wait(LOOK) else { continue };
        journal.note(format_args!("{} has changed", changed.display()));
        match source.prepare() {
            Ok(program) => return Some(program),
            Err(error) => journal.note(format_args!("{error}; waiting for a change")),
        }
    }
    None
}

/// Runs from the first instance to the end; an error means that the function does not start.
fn session(
    source: &Source,
    config: &dyn Fn() -> Result<Config, Box<dyn Error>>,
    platform: &Platform,
    front: &Front,
    watch: Option<&mut Watch>,
    stop: &Receiver<()>,
) -> Result<(), String> {
    let (pool, journal) = (platform.pool(), platform.journal());
    match pool.prime() {
        Ok(start) => {
            journal.note(format_args!("listens {} after its start", milliseconds(start.function)))
        }
        // While the sources are edited, a later version may start.
        Err(verdict) if watch.is_some() => journal.note(verdict),
        Err(verdict) => return Err(verdict.to_string()),
    }
    journal.note(pool.isolation());
    journal.note(summary(&pool.config(), front));
    let Some(watch) = watch else {
        let _ = stop.recv(); // an error means that the sender has ended: stop too
        return Ok(());
    };
    while stop.try_recv() == Err(TryRecvError::Empty) {
        let Some(changed) = watch.wait(LOOK) else { continue };
        journal.note(format_args!("{} has changed", changed.display()));
        let config = match config() {
            Ok(config) => Arc::new(config),
            Err(error) => {
                journal.note(format_args!("{error}; the old version stays"));
                continue;
            }
        };
        let is_other = config != pool.config();
        match watch.swap(source, pool, config) {
            Swap::Same => journal.note("the program has not changed"),
            Swap::Done(start) => {
                journal.note(format_args!(
                    "swapped; listens {} after its start",
                    milliseconds(start.function)
                ));
                if is_other {
                    journal.note(summary(&pool.config(), front));
                }
            }
            Swap::NotBuilt(error) => journal.note(format_args!("{error}; the old version stays")),
            Swap::NotStarted(verdict) => {
                journal.note(format_args!("{verdict}; the old version stays"))
            }
        }
    }
    Ok(())
}

fn summary(config: &Config, front: &Front) -> String {
    let (kind, how) = match config.mode {
        Mode::Event => ("event", "POST an event, or `firstbyte invoke`"),
        Mode::Web => ("web", "any request, or `firstbyte invoke --web GET /`"),
    };
    let (address, memory, timeout) =
        (front.address(), config.memory_mib, config.timeout.as_secs_f64());
    format!("type {kind}, {memory} MB, {timeout} s; http://{address}: {how}; Ctrl-C ends it")
}
