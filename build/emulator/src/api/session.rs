//! Shared state of the actions: the world behind its lock, clock, faults, logs and instances.
//! Actions read and change it; [`Session::change`] stores their changes.

use crate::api::clock::Clock;
use crate::api::error::ApiError;
use crate::api::fault::Faults;
use crate::api::fleet::{Fleet, Which};
use crate::api::log::{Call, Line, Logs};
use crate::api::store::{Store, StoreError, Written};
use crate::api::world::{Function, Key, Namespace, Status, World};
use crate::config::Config;
use crate::sync::lock;
use std::path::Path;
use std::sync::{Condvar, Mutex};

/// Time until a change is Active, in seconds, without the fault `update-delay`.
const UPDATE_DELAY_S: f64 = 0.2;

/// State of one emulated API.
pub struct Session {
    /// Namespaces, functions, versions, aliases and triggers.
    pub(super) world: Mutex<World>,
    /// Log lines and requests.
    pub(super) logs: Mutex<Logs>,
    /// The API's clock.
    pub(super) clock: Clock,
    /// Injected faults.
    pub(super) faults: Faults,
    /// Database of the state; `None` without a file.
    store: Mutex<Option<Store>>,
    /// Notified by each change.
    pub(super) changed: Condvar,
    /// The real instances.
    pub(super) fleet: Fleet,
    /// Region, account, and limits of instances.
    pub(super) base: Config,
    /// Digest of the image that runs.
    pub(super) digest: String,
}

impl Session {
    /// Opens the session with the contents of the file `state`. Without a file, or with a new one,
    /// it has only the namespace `default`.
    ///
    /// # Errors
    /// If the file cannot be used.
    pub fn new(
        fleet: Fleet,
        base: Config,
        digest: String,
        faults: Faults,
        state: Option<&Path>,
    ) -> Result<Session, StoreError> {
        let clock = Clock::default();
        let (store, mut world, logs) = match state {
            Some(path) => {
                let (store, world, logs) = Store::open(path)?;
                (Some(store), world, logs)
            }
            None => (None, World::default(), Logs::default()),
        };
        if !world.namespaces.contains_key("default") {
            let now = clock.now_ms();
            let default = Namespace { added_ms: now, modified_ms: now, ..Namespace::default() };
            world.namespaces.insert("default".into(), default);
            world.touched.push(Key::Namespace("default".into()));
        }
        Ok(Session {
            world: Mutex::new(world),
            logs: Mutex::new(logs),
            store: Mutex::new(store),
            changed: Condvar::new(),
            clock,
            faults,
            fleet,
            base,
            digest,
        })
    }

    /// The faults, which can be changed at run time.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The API's time, with the fault `clock-skew`.
    pub fn now_ms(&self) -> i64 {
        let skew = self.faults.setting("clock-skew").unwrap_or(0.0);
        self.clock.set_skew_ms((skew * 1000.0) as i64);
        self.clock.now_ms()
    }

    /// Reads the world, brought up to the present time.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&World, i64) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        self.change(|world, now| read(world, now))
    }

    /// Changes the world, and stores the change.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut World, i64) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let now = self.now_ms();
        let mut world = lock(&self.world);
        let settled = world.settle(now);
        let result = change(&mut world, now);
        let touched = world.take_touched();
        if touched.is_empty() && !settled {
            return result;
        }
        let written = match &*lock(&self.store) {
            Some(store) if !touched.is_empty() => store.save(&world, &touched),
            _ => Written::none(),
        };
        let is_there = |which: &Which| {
            let function = world.functions.values().find(|function| function.id == which.function);
            let version = function.and_then(|function| function.versions.get(&which.version));
            version.is_some_and(|version| version.revision == which.revision)
        };
        self.fleet.retain(is_there);
        self.changed.notify_all();
        drop(world);
        written.wait().map_err(|error| {
            ApiError::new("InternalError", format_args!("the change cannot be stored: {error}"))
        })?;
        result
    }

    /// Keeps lines, and the request to which they belong, if there is one.
    pub(super) fn record(&self, call: Option<Call>, lines: Vec<Line>) {
        let mut logs = lock(&self.logs);
        let added = call.map(|call| (logs.add_call(call.clone()), call));
        let (lines, gone): (Vec<Line>, Vec<Option<u64>>) =
            lines.into_iter().map(|line| logs.add(line)).unzip();
        let gone = gone.into_iter().flatten().collect();
        if let Some(store) = &*lock(&self.store) {
            let (call, gone_call) = match &added {
                Some(((number, gone), call)) => (Some((*number, call)), *gone),
                None => (None, None),
            };
            store.log(&lines, call, gone, gone_call);
        }
    }

    /// The time at which a change that begins now takes effect, and its result: `good`, or `bad`
    /// if a fault fails it.
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

    /// Writes a note of the emulator.
    pub(super) fn note(&self, text: impl std::fmt::Display) {
        self.fleet.note(text);
    }

    /// Ends all instances, and closes the database.
    pub fn close(&self) {
        self.fleet.close();
        let store = lock(&self.store).take();
        drop(store); // writes pending orders
    }
}
