//! What the actions share: the world behind its lock, clock, faults, logs and instances. Actions
//! read and change it; [`Session::change`] stores what they changed.

use crate::api::clock::Clock;
use crate::api::error::ApiError;
use crate::api::fault::Faults;
use crate::api::fleet::{Fleet, Which};
use crate::api::log::Logs;
use crate::api::world::{Function, Namespace, Status, World};
use crate::config::Config;
use crate::sync::lock;
use std::sync::Mutex;

/// Until a change is Active, in seconds, when no fault says otherwise.
const UPDATE_DELAY_S: f64 = 0.2;

/// The whole of a stand-in.
pub struct Session {
    /// What is there.
    pub(super) world: Mutex<World>,
    /// Log lines and requests.
    pub(super) logs: Mutex<Logs>,
    /// The time, as the API has it.
    pub(super) clock: Clock,
    /// What goes wrong.
    pub(super) faults: Faults,
    /// Real instances.
    pub(super) fleet: Fleet,
    /// Region, account, and limits of instances.
    pub(super) base: Config,
    /// The digest of the image that runs.
    pub(super) digest: String,
}

impl Session {
    /// Nothing in it but the namespace `default`.
    pub fn new(fleet: Fleet, base: Config, digest: String, faults: Faults) -> Session {
        let clock = Clock::default();
        let now = clock.now_ms();
        let default = Namespace { description: String::new(), added_ms: now, modified_ms: now };
        let mut world = World::default();
        world.namespaces.insert("default".into(), default);
        Session {
            world: Mutex::new(world),
            logs: Mutex::default(),
            clock,
            faults,
            fleet,
            base,
            digest,
        }
    }

    /// The faults, to be changed while it runs.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The time, with whatever fault it has.
    pub fn now_ms(&self) -> i64 {
        let skew = self.faults.setting("clock-skew").unwrap_or(0.0);
        self.clock.set_skew_ms((skew * 1000.0) as i64);
        self.clock.now_ms()
    }

    /// Reads the world as it is now.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&World, i64) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        self.change(|world, now| read(world, now))
    }

    /// Changes the world, and stores what was changed.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut World, i64) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let now = self.now_ms();
        let mut world = lock(&self.world);
        world.settle(now);
        let result = change(&mut world, now);
        let touched = world.take_touched();
        if !touched.is_empty() {
            let functions: Vec<&Function> = world.functions.values().collect();
            self.fleet.retain(|which| {
                functions.iter().any(|function| {
                    function.id == which.function
                        && function
                            .versions
                            .get(&which.version)
                            .is_some_and(|version| version.revision == which.revision)
                })
            });
        }
        result
    }

    /// When a change that begins now is there, and as what: `good`, or `bad` by a fault.
    pub(super) fn next(&self, now: i64, fault: &str, good: Status, bad: Status) -> (i64, Status) {
        let delay = self.faults.setting("update-delay").unwrap_or(UPDATE_DELAY_S).max(0.0);
        let status = if self.faults.happens(fault) { bad } else { good };
        (now.saturating_add((delay * 1000.0) as i64), status)
    }

    /// The instances of a version, by name.
    pub(super) fn which(function: &Function, number: &str) -> Which {
        let revision = function.versions.get(number).map_or(0, |version| version.revision);
        Which { function: function.id.clone(), version: number.to_owned(), revision }
    }

    /// Ends all instances.
    pub fn close(&self) {
        self.fleet.close();
    }
}
