//! Fleet of real instances: one emulated platform for each called version, started at the first
//! call.

use crate::api::content::Content;
use crate::config::Config;
use crate::instance::Host;
use crate::journal::Journal;
use crate::platform::{Observers, Platform};
use crate::program::Program;
use crate::sync::lock;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Largest number of versions with instances; one more replaces the version with the oldest call.
/// Each needs about six descriptors, and a process is often limited to 1024.
const MAX_RUNNING: usize = 64;

/// A version at one revision of one function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Which {
    /// The function's id.
    pub function: String,
    /// `$LATEST` or a number.
    pub version: String,
    /// Revision; each change of the content starts new instances.
    pub revision: u64,
}

/// The instances of all versions.
pub struct Fleet {
    host: Arc<Host>,
    journal: Arc<Journal>,
    program: Program,
    /// Time that it took to unpack the image.
    pull: Duration,
    /// Digests of the images that have started an instance: the emulated node has cached them.
    pulled: Mutex<HashSet<String>>,
    running: Mutex<HashMap<Which, (Arc<Platform>, Instant)>>,
}

impl Fleet {
    /// Makes a fleet whose instances run `program`, independent of the image that a request names.
    pub fn new(host: Arc<Host>, journal: Arc<Journal>, program: Program) -> Fleet {
        let pull = program.take_pull();
        let (pulled, running) = (Mutex::default(), Mutex::default());
        Fleet { host, journal, program, pull, pulled, running }
    }

    /// Limits the instances per minute that calls start, for all functions together.
    pub fn limit_burst(&self, limit: usize) {
        self.host.limit_burst(limit);
    }

    /// Writes a note of the emulator.
    pub fn note(&self, text: impl std::fmt::Display) {
        self.journal.note(text);
    }

    /// The platform of a version; created on first use.
    ///
    /// # Errors
    /// If the emulator does not accept the configuration.
    pub fn platform(
        &self,
        which: &Which,
        content: &Content,
        config: Config,
        observers: impl FnOnce() -> Observers,
    ) -> Result<Arc<Platform>, String> {
        let mut running = lock(&self.running);
        if let Some((platform, used)) = running.get_mut(which) {
            *used = Instant::now();
            return Ok(platform.clone());
        }
        let arguments = content.arguments();
        // One node with one cache of images, which acceleration has filled before. The image is
        // unpacked once, so the pull of each digest takes as long as that took.
        let is_new = lock(&self.pulled).insert(content.digest().to_owned());
        let pull = if is_new && !content.is_accelerated() { self.pull } else { Duration::ZERO };
        let program = self.program.variant(content.command(), arguments.as_deref(), pull);
        let (host, journal) = (self.host.clone(), self.journal.clone());
        let platform = Platform::observed(config, host, program, journal, Some(observers()))
            .map_err(|error| error.to_string())?;
        let idle = |entry: &(&Which, &(Arc<Platform>, Instant))| {
            let pool = entry.1.0.pool();
            pool.in_flight() == 0 && pool.config().provisioned == 0
        };
        let gone = match running.len() >= MAX_RUNNING {
            true => running.iter().filter(idle).min_by_key(|(_, (_, used))| *used),
            false => None,
        };
        let gone = gone.map(|(which, _)| which.clone()).and_then(|which| running.remove(&which));
        running.insert(which.clone(), (platform.clone(), Instant::now()));
        drop(running);
        drop(gone); // ends its instances; this takes time, so not under the lock
        Ok(platform)
    }

    /// The platform of a version, if it has one.
    pub fn running(&self, which: &Which) -> Option<Arc<Platform>> {
        lock(&self.running).get(which).map(|(platform, _)| platform.clone())
    }

    /// The platform of the latest other version of the function that has an idle instance.
    pub fn warm_other(&self, which: &Which) -> Option<Arc<Platform>> {
        let running = lock(&self.running);
        let others = running.iter().filter(|(other, (platform, _))| {
            other.function == which.function
                && *other != which
                && platform.pool().instances() > platform.pool().in_flight()
        });
        others.max_by_key(|(_, (_, used))| *used).map(|(_, (platform, _))| platform.clone())
    }

    /// Ends the instances of versions that no longer exist.
    pub fn retain(&self, keep: impl Fn(&Which) -> bool) {
        let mut gone = Vec::new();
        lock(&self.running).retain(|which, (platform, _)| {
            let keeps = keep(which);
            if !keeps {
                gone.push(platform.clone());
            }
            keeps
        });
        if gone.is_empty() {
            return;
        }
        // In the background, so that requests in flight can finish.
        let _ = std::thread::Builder::new()
            .name("ending".into())
            .spawn(move || gone.iter().for_each(|platform| platform.close()));
    }

    /// Ends all instances.
    pub fn close(&self) {
        let running = std::mem::take(&mut *lock(&self.running));
        running.into_values().for_each(|(platform, _)| platform.close());
        self.program.remove();
    }
}
