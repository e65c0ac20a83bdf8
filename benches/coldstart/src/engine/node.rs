//! Sample on a node with a daemon: takes one instance through the phases, with a time stamp at the
//! end of each. It uses only `&self`, because a burst takes many samples at once. A daemon keeps
//! one copy of an image, which the first instance pulls for all. The trait has the calls to a
//! daemon; each engine implements them.

use super::schedule::{self, Place};
use super::seal::{self, SealError};
use super::{Case, EngineError, Target};
use crate::failure;
use crate::phase::Phase;
use crate::probe::Exchange;
use crate::request::{Ask, Expected};
use crate::results::{Failure, Sample, Scenario};
use bench_kit::clock;
use bench_kit::cores::Cores;
use microimage::archive;
use microimage::sandbox::ResourceLimits;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Settings that stay the same for all samples.
pub struct Settings {
    /// The request, and the answer that is expected.
    pub ask: Ask,
    /// Time limit of an instance's answer.
    pub deadline: Duration,
    /// Memory and processor time of an instance.
    pub limits: ResourceLimits,
    /// Between two intended starts of a burst.
    pub burst_interval: Duration,
    /// Set by Ctrl-C.
    pub stop: Arc<AtomicBool>,
}

impl Settings {
    /// Whether the user has interrupted the run.
    pub(super) fn interrupted(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// A target in the forms that a daemon needs.
pub(super) struct Prepared {
    pub(super) target: Target,
    /// Its reference in the registry, for a pull.
    pub(super) remote: String,
    /// Its reference in the archive, for a load.
    pub(super) local: String,
    pub(super) archive: PathBuf,
    pub(super) expected: Mutex<Expected>,
    /// Why its samples cannot start here, if they cannot. A daemon would run it, and report only
    /// that its program has ended.
    stranger: Option<Failure>,
}

impl Prepared {
    /// Seals the target, so that no layer of it can be here already, and writes its archive into
    /// `folder`.
    pub(super) fn new(
        mut target: Target,
        (remote, local): (String, String),
        folder: &Path,
        (nonce, label): (&str, (&str, &str)),
    ) -> Result<Self, EngineError> {
        let stranger = failure::of_architecture(&target.image.architecture());
        let sealed = seal::seal(&target.image, nonce, label);
        target.image =
            sealed.map_err(|e: SealError| EngineError::Other(format!("`{}`: {e}", target.name)))?;
        let archive = folder.join(format!("{}.tar", target.name));
        archive::write(&target.image.clone().with_reference(&local), &archive)
            .map_err(|e| EngineError::Other(e.to_string()))?;
        Ok(Self { target, remote, local, archive, expected: Mutex::default(), stranger })
    }
}

/// A daemon with images and instances.
pub(super) trait Node: Sync {
    fn settings(&self) -> &Settings;
    fn cores(&self) -> &Cores;
    fn prepared(&self, variant: usize) -> &Prepared;

    /// Pulls. Returns the moment when the last layer was present, if the daemon reports it.
    fn pull(&self, reference: &str) -> Result<Option<u64>, String>;
    /// Loads an archive of this machine: takes the place of unpack if the bytes are already here.
    fn load(&self, archive: &Path) -> Result<(), String>;
    /// Removes the image with its layers.
    fn remove_image(&self, reference: &str);
    /// Creates an instance, whose name is returned; one that is `alone` has a core of its own.
    fn create(&self, image: &str, alone: bool) -> Result<String, String>;
    /// Starts a created instance and asks it as soon as it can be reached.
    fn start_and_ask(&self, name: &str, port: u16, alone: bool) -> Result<Exchange, Failure>;
    /// Starts a created instance and waits until it listens and has noticed that the probe's
    /// connection is closed. Returns how to send it the request, once.
    fn start_ahead<'a>(
        &'a self,
        name: &'a str,
        port: u16,
        alone: bool,
    ) -> Result<Later<'a>, Failure>;
    /// Peak resident memory of an instance that still runs.
    fn peak_resident_bytes(&self, name: &str) -> Option<u64>;
    fn remove(&self, name: &str);
}

/// The one request to an instance that was started ahead.
pub(super) type Later<'a> = Box<dyn FnOnce() -> Result<Exchange, Failure> + 'a>;

/// Times of bringing the image to the node.
#[derive(Clone)]
struct Brought {
    /// `None` if it was loaded from this machine.
    pull_ns: Option<u64>,
    /// `None` if the daemon does not separate it from the pull.
    unpack_ns: Option<u64>,
    /// Time at which the node had it.
    ready_ns: u64,
}

/// State that the instances of one turn share.
struct Turn<'a, N> {
    node: &'a N,
    case: &'a Case,
    image: &'a str,
    brought: Mutex<Option<Result<Brought, Failure>>>,
}

/// The samples of one turn of a case.
pub(super) fn samples<N: Node>(node: &N, case: &Case) -> Result<Vec<Sample>, EngineError> {
    let prepared = node.prepared(case.variant);
    let failed = |failure: Failure| Sample { error: Some(failure), ..Sample::default() };
    if let Some(failure) = &prepared.stranger {
        return Ok(vec![failed(failure.clone()); case.burst]);
    }
    let image = if case.scenario == Scenario::Cold { &prepared.remote } else { &prepared.local };
    let turn = Turn { node, case, image, brought: Mutex::default() };
    let samples = match case.burst {
        1 => Ok(vec![turn.one(None)]),
        burst => schedule::at_once(
            burst,
            node.settings().burst_interval,
            &node.settings().stop,
            |place| Ok(turn.one(Some(place))),
            |error| failed(failure::no_room(error)),
        ),
    };
    node.remove_image(image); // with its layers, so that the next turn is cold too
    samples
}

impl<N: Node> Turn<'_, N> {
    fn one(&self, place: Option<&Place<'_>>) -> Sample {
        let (mut sample, mut container) = (Sample::default(), None);
        let done = match self.case.scenario {
            Scenario::Cold | Scenario::Accelerated => {
                self.phases(place, &mut sample, &mut container)
            }
            Scenario::Provisioned => self.provisioned(place, &mut sample, &mut container),
        };
        // Removing a container is work that must not disturb another instance's measurement.
        place.inspect(|place| place.finish());
        if let Some(name) = container {
            sample.peak_resident_bytes = self.node.peak_resident_bytes(&name);
            self.node.remove(&name);
        }
        if let Err(failure) = done {
            sample.error = Some(failure);
            sample.total_ns = None;
        }
        sample
    }

    fn phases(
        &self,
        place: Option<&Place<'_>>,
        sample: &mut Sample,
        container: &mut Option<String>,
    ) -> Result<(), Failure> {
        let alone = place.is_none();
        let intended_ns = place.map_or_else(clock::now_ns, Place::intended_ns);
        sample.intended_start_ns = intended_ns;
        let brought = self.bring_once()?;
        // An instance that started later has found the image present.
        if brought.ready_ns > intended_ns {
            (sample.pull_ns, sample.unpack_ns) = (brought.pull_ns, brought.unpack_ns);
        }
        let ready_ns = brought.ready_ns.max(intended_ns);
        let name = self
            .node
            .create(self.image, alone)
            .map_err(|m| failure::in_phase(Phase::Create, &m))?;
        let name = container.insert(name);
        let start_ns = clock::now_ns();
        sample.create_ns = Some(start_ns - ready_ns);
        let asked = self.node.start_and_ask(name, self.port(), alone)?;
        sample.listen_ns = Some(asked.connected_ns - start_ns);
        sample.first_byte_ns = Some(asked.first_byte_ns - start_ns);
        sample.start_ns = Some(asked.last_byte_ns - start_ns);
        self.check(&asked)?;
        sample.total_ns = Some(asked.last_byte_ns - intended_ns);
        Ok(())
    }

    /// One request to an instance that was started ahead and has been seen listening.
    fn provisioned(
        &self,
        place: Option<&Place<'_>>,
        sample: &mut Sample,
        container: &mut Option<String>,
    ) -> Result<(), Failure> {
        let alone = place.is_none();
        self.bring_once()?;
        let name = self
            .node
            .create(self.image, alone)
            .map_err(|m| failure::in_phase(Phase::Create, &m))?;
        let name = container.insert(name);
        let later = self.node.start_ahead(name, self.port(), alone)?;
        let _pinned = alone.then(|| self.node.cores().pin_harness());
        let intended_ns = place.map_or_else(clock::now_ns, Place::intended_ns);
        sample.intended_start_ns = intended_ns;
        let asked = later()?;
        sample.first_byte_ns = Some(asked.first_byte_ns - intended_ns);
        sample.start_ns = Some(asked.last_byte_ns - intended_ns);
        sample.total_ns = sample.start_ns;
        self.check(&asked)
    }

    /// Pulls or loads the image, unless another instance of the turn has done it.
    fn bring_once(&self) -> Result<Brought, Failure> {
        let mut brought = self.brought.lock().unwrap_or_else(PoisonError::into_inner);
        brought.get_or_insert_with(|| self.bring()).clone()
    }

    fn bring(&self) -> Result<Brought, Failure> {
        let began_ns = clock::now_ns();
        match self.case.scenario {
            Scenario::Cold => {
                let downloaded_ns = self.node.pull(self.image);
                let downloaded_ns =
                    downloaded_ns.map_err(|m| failure::in_phase(Phase::Pull, &m))?;
                let ready_ns = clock::now_ns();
                let pull_ns = Some(downloaded_ns.unwrap_or(ready_ns) - began_ns);
                let unpack_ns = downloaded_ns.map(|downloaded_ns| ready_ns - downloaded_ns);
                Ok(Brought { pull_ns, unpack_ns, ready_ns })
            }
            Scenario::Accelerated | Scenario::Provisioned => {
                let loaded = self.node.load(&self.node.prepared(self.case.variant).archive);
                loaded.map_err(|m| failure::in_phase(Phase::Unpack, &m))?;
                let ready_ns = clock::now_ns();
                Ok(Brought { pull_ns: None, unpack_ns: Some(ready_ns - began_ns), ready_ns })
            }
        }
    }

    fn port(&self) -> u16 {
        self.node.prepared(self.case.variant).target.port
    }

    fn check(&self, asked: &Exchange) -> Result<(), Failure> {
        let prepared = self.node.prepared(self.case.variant);
        let mut expected = prepared.expected.lock().unwrap_or_else(PoisonError::into_inner);
        expected
            .check(&asked.answer)
            .map_err(|message| failure::wrong_answer(asked.answer.status, &message))
    }
}
