//! Command `firstbyte run --api`: the emulated API of the cloud for an image, until it is stopped.

use super::function::{CommandContext, config, network, source};
use crate::args::RunArguments;
use emulator::api::door::Door;
use emulator::api::fault::Faults;
use emulator::api::fleet::Fleet;
use emulator::api::session::Session;
use emulator::api::timer::Timers;
use emulator::config::{Config, Mode};
use emulator::instance::Host;
use emulator::journal::Journal;
use emulator::program::Source;
use microimage::source::load;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

/// Default of the largest number of instances of a version.
const MAX_INSTANCES: usize = 100;

/// Runs until `stop` sends a message.
pub fn run(
    address: SocketAddr,
    arguments: &RunArguments,
    around: &CommandContext,
    journal: &Arc<Journal>,
    stop: &Receiver<()>,
) -> Result<(), Box<dyn Error>> {
    let source = source(None, &arguments.platform, around)?;
    let Source::Image(place) = &source else {
        return Err("`--image` is missing; `--api` needs it".into());
    };
    let digest = load(place)?.manifest_digest().to_string();
    let program = source.prepare()?;
    program.left_out.iter().for_each(|line| journal.note(line));
    let base = Config {
        max_instances: arguments.instances.unwrap_or(MAX_INSTANCES),
        idle: arguments.idle,
        retries: arguments.retries,
        retry_interval: arguments.retry_interval,
        ..config(&source, &arguments.platform, around, Mode::Event)?
    };
    let network = network(&base, &arguments.platform, around)?;
    let sandbox = !arguments.platform.no_sandbox;
    let host = Host::new(&around.helper, sandbox, network, journal.clone())?;
    let fleet = Fleet::new(host, journal.clone(), program);
    let faults = Faults::new(arguments.fault.clone());
    let state = match (&arguments.api_state, address.port()) {
        (Some(path), _) => Some(around.here.join(path)),
        (None, 0) => None,
        (None, port) => Some(around.here.join(format!("target/api/{port}.redb"))),
    };
    if let Some(path) = &state {
        journal.note(format_args!("the API's state is in {}", path.display()));
    }
    let session = Arc::new(Session::new(fleet, base, digest, faults, state.as_deref())?);
    if let Err(error) = session.provision_again() {
        journal.note(format_args!("provisioned instances cannot be restarted: {error}"));
    }
    let door =
        Door::open(address, session.clone(), arguments.api_key.clone()).map_err(|error| {
            format!("`{address}` cannot be listened on: {error}; choose another with --api")
        })?;
    let timers = Timers::start(session.clone())?;
    let at = door.address();
    journal.note(format_args!(
        "the API is at http://{at}, for the key `{}`; Ctrl-C ends it",
        arguments.api_key.id()
    ));
    let _ = stop.recv(); // an error means that the sender has ended: stop too
    drop((door, timers));
    session.close();
    Ok(())
}
