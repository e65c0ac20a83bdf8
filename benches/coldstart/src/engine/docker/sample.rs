//! One instance's way through the phases, with a stamp at each end. Only `&self`: a burst runs many
//! of these at once. Its instances are on one node, and the engine keeps one copy of an image: the
//! first that wants it brings it for all.

use super::Docker;
use crate::engine::schedule::{self, Place};
use crate::engine::{Case, EngineError};
use crate::failure;
use crate::phase::Phase;
use crate::probe::Exchange;
use crate::results::{Failure, Sample, Scenario};
use bench_kit::clock;
use std::sync::{Mutex, PoisonError};

/// How the engine came to have the image.
#[derive(Clone)]
struct Brought {
    /// `None` where it was loaded from this machine.
    pull_ns: Option<u64>,
    unpack_ns: u64,
    /// When it had it.
    ready_ns: u64,
}

/// What the instances of one turn have in common.
struct Turn<'a> {
    case: &'a Case,
    image: &'a str,
    brought: Mutex<Option<Result<Brought, Failure>>>,
}

impl Docker {
    /// The samples of one turn of a case.
    pub(super) fn samples(&self, case: &Case) -> Result<Vec<Sample>, EngineError> {
        let prepared = &self.targets[case.variant];
        let failed = |failure: Failure| Sample { error: Some(failure), ..Sample::default() };
        if let Some(failure) = &prepared.stranger {
            return Ok(vec![failed(failure.clone()); case.burst]);
        }
        let image =
            if case.scenario == Scenario::Cold { &prepared.remote } else { &prepared.local };
        let turn = Turn { case, image, brought: Mutex::default() };
        let samples = match case.burst {
            1 => Ok(vec![self.one(&turn, None)]),
            burst => schedule::at_once(
                burst,
                self.settings.burst_interval,
                &self.settings.stop,
                |place| Ok(self.one(&turn, Some(place))),
                |error| failed(failure::no_room(error)),
            ),
        };
        self.remove_image(image); // the engine forgets its layers with it: the next turn is as cold
        samples
    }

    fn one(&self, turn: &Turn<'_>, place: Option<&Place<'_>>) -> Sample {
        let (mut sample, mut container) = (Sample::default(), None);
        let done = match turn.case.scenario {
            Scenario::Cold | Scenario::Accelerated => {
                self.phases(turn, place, &mut sample, &mut container)
            }
            Scenario::Provisioned => self.provisioned(turn, place, &mut sample, &mut container),
        };
        // Removing a container is work that no other instance's measurement should meet.
        place.inspect(|place| place.finish());
        if let Some(name) = container {
            sample.peak_resident_bytes = self.peak_resident_bytes(&name);
            self.remove_container(&name);
        }
        if let Err(failure) = done {
            sample.error = Some(failure);
            sample.total_ns = None;
        }
        sample
    }

    fn phases(
        &self,
        turn: &Turn<'_>,
        place: Option<&Place<'_>>,
        sample: &mut Sample,
        container: &mut Option<String>,
    ) -> Result<(), Failure> {
        let alone = place.is_none();
        let intended_ns = place.map_or_else(clock::now_ns, Place::intended_ns);
        sample.intended_start_ns = intended_ns;
        let brought = self.bring_once(turn)?;
        // Whoever was to start later has found the image here.
        if brought.ready_ns > intended_ns {
            (sample.pull_ns, sample.unpack_ns) = (brought.pull_ns, Some(brought.unpack_ns));
        }
        let ready_ns = brought.ready_ns.max(intended_ns);
        let name =
            self.create(turn.image, alone).map_err(|m| failure::in_phase(Phase::Create, &m))?;
        let name = container.insert(name);
        let start_ns = clock::now_ns();
        sample.create_ns = Some(start_ns - ready_ns);
        let asked = self.start_and_ask(name, self.targets[turn.case.variant].target.port, alone)?;
        sample.listen_ns = Some(asked.connected_ns - start_ns);
        sample.first_byte_ns = Some(asked.first_byte_ns - start_ns);
        sample.start_ns = Some(asked.last_byte_ns - start_ns);
        self.check(turn.case, &asked)?;
        sample.total_ns = Some(asked.last_byte_ns - intended_ns);
        Ok(())
    }

    /// One request to an instance that was started ahead and has been seen listening.
    fn provisioned(
        &self,
        turn: &Turn<'_>,
        place: Option<&Place<'_>>,
        sample: &mut Sample,
        container: &mut Option<String>,
    ) -> Result<(), Failure> {
        let (alone, port) = (place.is_none(), self.targets[turn.case.variant].target.port);
        self.bring_once(turn)?;
        let name =
            self.create(turn.image, alone).map_err(|m| failure::in_phase(Phase::Create, &m))?;
        let name = container.insert(name);
        let ip = self.start_ahead(name, port, alone)?;
        let _pinned = alone.then(|| self.cores.pin_harness());
        let intended_ns = place.map_or_else(clock::now_ns, Place::intended_ns);
        sample.intended_start_ns = intended_ns;
        let asked = self.ask(name, ip, port, alone)?;
        sample.first_byte_ns = Some(asked.first_byte_ns - intended_ns);
        sample.start_ns = Some(asked.last_byte_ns - intended_ns);
        sample.total_ns = sample.start_ns;
        self.check(turn.case, &asked)
    }

    /// Has the image pulled or loaded, unless another instance of the turn has had that done.
    fn bring_once(&self, turn: &Turn<'_>) -> Result<Brought, Failure> {
        let mut brought = turn.brought.lock().unwrap_or_else(PoisonError::into_inner);
        brought.get_or_insert_with(|| self.bring(turn)).clone()
    }

    fn bring(&self, turn: &Turn<'_>) -> Result<Brought, Failure> {
        let began_ns = clock::now_ns();
        let (pull_ns, unpacks_from_ns) = match turn.case.scenario {
            Scenario::Cold => {
                let downloaded_ns =
                    self.pull(turn.image).map_err(|m| failure::in_phase(Phase::Pull, &m))?;
                (Some(downloaded_ns - began_ns), downloaded_ns)
            }
            Scenario::Accelerated | Scenario::Provisioned => {
                let archive = &self.targets[turn.case.variant].archive;
                self.load(archive).map_err(|m| failure::in_phase(Phase::Unpack, &m))?;
                (None, began_ns)
            }
        };
        let ready_ns = clock::now_ns();
        Ok(Brought { pull_ns, unpack_ns: ready_ns - unpacks_from_ns, ready_ns })
    }

    fn check(&self, case: &Case, asked: &Exchange) -> Result<(), Failure> {
        let mut expected =
            self.targets[case.variant].expected.lock().unwrap_or_else(PoisonError::into_inner);
        expected
            .check(&asked.answer)
            .map_err(|message| failure::wrong_answer(asked.answer.status, &message))
    }
}
