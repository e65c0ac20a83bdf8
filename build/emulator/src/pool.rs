//! The instances of one function: which of them takes a request, when a new one is started, and
//! when an idle one is ended. It knows no events and no replies.

use crate::config::Config;
use crate::instance::{Host, Instance, Isolation};
use crate::invocation::new_id;
use crate::journal::Journal;
use crate::program::Program;
use crate::start_up::StartUp;
use crate::sync::lock;
use crate::verdict::InvocationVerdict;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long requests in flight may still take when everything is closed.
const CLOSE_GRACE: Duration = Duration::from_secs(2);
/// After a provisioned instance could not be started, this passes before the next try.
const START_PAUSE: Duration = Duration::from_secs(5);

/// An instance that was started ahead, as its Provisioned Report says it.
#[derive(Debug)]
pub struct StartedAhead {
    /// The report's id.
    pub request_id: String,
    /// What its start took.
    pub start: StartUp,
    /// Its largest resident set so far.
    pub memory_bytes: u64,
    /// What it has printed, a line each.
    pub printed: Vec<String>,
}

/// Is told of each instance that was started ahead.
pub type AheadObserver = Box<dyn Fn(StartedAhead) + Send + Sync>;

/// The instances.
pub struct Pool {
    host: Arc<Host>,
    journal: Arc<Journal>,
    ahead: Option<AheadObserver>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    program: Arc<Program>,
    config: Arc<Config>,
    slots: Vec<Slot>,
    /// Instances that are being started; they count against the most that may be.
    starting: usize,
    next_id: u64,
    /// Changes whenever anything here does.
    epoch: u64,
    closing: bool,
}

struct Slot {
    id: u64,
    instance: Arc<Instance>,
    in_flight: usize,
    /// Since when nothing is in flight.
    since: Instant,
    /// It takes no more requests, and ends with its last one.
    leaving: bool,
}

/// A place in an instance; give it back with [`Pool::release`].
pub struct Lease {
    id: u64,
    /// Where.
    pub instance: Arc<Instance>,
    /// What starting it took, if it was started for this.
    pub cold: Option<StartUp>,
}

impl Pool {
    /// No instance is started yet, but for provisioned ones; `ahead` is told of these.
    pub fn new(
        config: Config,
        host: Arc<Host>,
        program: Program,
        journal: Arc<Journal>,
        ahead: Option<AheadObserver>,
    ) -> Arc<Pool> {
        let (program, config) = (Arc::new(program), Arc::new(config));
        let state = State {
            program,
            config,
            slots: Vec::new(),
            starting: 0,
            next_id: 1,
            epoch: 0,
            closing: false,
        };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        let pool = Arc::new(Pool { host, journal, ahead, state, changed });
        let keeper = pool.clone();
        // Without its keeper a pool still works: nothing is reclaimed.
        let _ = thread::Builder::new().name("keeper".into()).spawn(move || keeper.keep());
        pool
    }

    /// A warm instance with room, or a new one: "during a cold start each concurrent request starts
    /// its own".
    ///
    /// # Errors
    /// 432, or why the new one did not start.
    pub fn acquire(&self) -> Result<Lease, InvocationVerdict> {
        let mut state = lock(&self.state);
        let mut gone = self.remove_ended(&mut state);
        let config = state.config.clone();
        let room = |slot: &&mut Slot| !slot.leaving && slot.in_flight < config.concurrency;
        // The one that was busy last: the others become idle long enough to be ended.
        if let Some(slot) =
            state.slots.iter_mut().filter(room).max_by_key(|slot| (slot.in_flight > 0, slot.since))
        {
            slot.in_flight += 1;
            return Ok(Lease { id: slot.id, instance: slot.instance.clone(), cold: None });
        }
        if state.alive() + state.starting >= config.max_instances || state.closing {
            return Err(InvocationVerdict::ResourceLimitReached);
        }
        if !self.host.admits(Instant::now()) {
            return Err(InvocationVerdict::BurstLimit);
        }
        state.starting += 1;
        let program = state.program.clone();
        drop(state);
        gone.clear();
        let started = self.host.start(&program, &config);
        let mut state = lock(&self.state);
        state.starting -= 1;
        self.changed.notify_all(); // also of a failure: a place is free again
        let instance = Arc::new(started?);
        let cold = Some(instance.start());
        let id = self.insert(&mut state, instance.clone(), 1);
        Ok(Lease { id, instance, cold })
    }

    /// Gives a place back; `verdict` says what became of its request, and so of the instance.
    pub fn release(&self, lease: Lease, verdict: &InvocationVerdict) {
        // "A timeout ends only its request" where an instance has several.
        let mut ended = Vec::new();
        let mut state = lock(&self.state);
        let only_request = matches!(verdict, InvocationVerdict::TimeLimitReached(_))
            && state.config.concurrency > 1;
        if let Some(slot) = state.slots.iter_mut().find(|slot| slot.id == lease.id) {
            slot.in_flight -= 1;
            slot.since = Instant::now();
            slot.leaving |= verdict.recycles() && !only_request;
        }
        state.take(&mut ended, |slot| slot.leaving && slot.in_flight == 0);
        state.epoch += 1;
        self.changed.notify_all();
        drop(state);
        drop(lease);
        drop(ended); // ends them, which takes a moment: not under the lock
    }

    /// Sees whether an instance starts at all, ahead of the first request: starts one, unless a
    /// provisioned one is there or on its way.
    ///
    /// # Errors
    /// Why it did not.
    pub fn prime(&self) -> Result<StartUp, InvocationVerdict> {
        let state = lock(&self.state);
        let is_open = |state: &mut State| state.starting > 0 && state.alive() == 0;
        let mut state =
            self.changed.wait_while(state, is_open).unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = state.slots.iter().find(|slot| !slot.leaving) {
            return Ok(slot.instance.start());
        }
        state.starting += 1;
        let (program, config) = (state.program.clone(), state.config.clone());
        drop(state);
        let started = self.host.start(&program, &config);
        let mut state = lock(&self.state);
        state.starting -= 1;
        self.changed.notify_all();
        let instance = Arc::new(started?);
        let start = instance.start();
        self.insert(&mut state, instance, 0);
        Ok(start)
    }

    /// Puts another version in, or another configuration: once an instance of it listens, it takes
    /// the requests; those of the old one end with what they have in flight.
    ///
    /// # Errors
    /// Why the new version does not start; the old one then stays.
    pub fn swap(
        &self,
        program: Program,
        config: Arc<Config>,
    ) -> Result<StartUp, InvocationVerdict> {
        let program = Arc::new(program);
        let instance = Arc::new(self.host.start(&program, &config)?);
        let start = instance.start();
        let mut ended = Vec::new();
        let mut state = lock(&self.state);
        state.program = program;
        state.config = config;
        state.slots.iter_mut().for_each(|slot| slot.leaving = true);
        state.take(&mut ended, |slot| slot.in_flight == 0);
        self.insert(&mut state, instance, 0);
        self.changed.notify_all();
        drop(state);
        drop(ended);
        Ok(start)
    }

    /// Has so many instances started ahead from now on; those that are more become idle ones.
    pub fn provision(&self, instances: usize) {
        let mut state = lock(&self.state);
        let max_instances = state.config.max_instances.max(instances);
        state.config =
            Arc::new(Config { provisioned: instances, max_instances, ..(*state.config).clone() });
        state.epoch += 1;
        self.changed.notify_all();
    }

    /// How many requests are being answered.
    pub fn in_flight(&self) -> usize {
        lock(&self.state).slots.iter().map(|slot| slot.in_flight).sum()
    }

    /// How instances are isolated on this machine; known for sure once one was started.
    pub fn isolation(&self) -> Isolation {
        self.host.isolation()
    }

    /// How many instances there are that take requests.
    pub fn instances(&self) -> usize {
        lock(&self.state).alive()
    }

    /// The process ids of all instances.
    pub fn pids(&self) -> Vec<u32> {
        lock(&self.state).slots.iter().map(|slot| slot.instance.pid()).collect()
    }

    /// The configuration that holds.
    pub fn config(&self) -> Arc<Config> {
        lock(&self.state).config.clone()
    }

    /// The version that runs.
    pub fn program(&self) -> Arc<Program> {
        lock(&self.state).program.clone()
    }

    /// Waits until `wanted` instances take requests; says whether it came to that in time.
    pub fn wait_instances(&self, wanted: usize, limit: Duration) -> bool {
        let waited = self
            .changed
            .wait_timeout_while(lock(&self.state), limit, |state| state.alive() != wanted);
        waited.unwrap_or_else(PoisonError::into_inner).0.alive() == wanted
    }

    /// Lets requests in flight finish for a moment, then ends every instance.
    pub fn close(&self) {
        let mut state = lock(&self.state);
        state.closing = true;
        self.changed.notify_all();
        let busy = |state: &mut State| state.slots.iter().any(|slot| slot.in_flight > 0);
        let waited = self.changed.wait_timeout_while(state, CLOSE_GRACE, busy);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let slots = std::mem::take(&mut state.slots);
        let program = state.program.clone();
        drop(state);
        // whoever still waits for one of them learns of it
        slots.iter().for_each(|slot| slot.instance.end());
        program.remove(); // a process that ends drops nothing that its threads hold
    }

    fn insert(&self, state: &mut State, instance: Arc<Instance>, in_flight: usize) -> u64 {
        let id = state.next_id;
        state.next_id += 1;
        state.epoch += 1;
        // A version may have been replaced, or everything closed, while its instance was starting.
        let leaving = !Arc::ptr_eq(instance.program(), &state.program) || state.closing;
        state.slots.push(Slot { id, instance, in_flight, since: Instant::now(), leaving });
        id
    }

    /// Instances that have ended by themselves while they were idle; dropped by the caller.
    fn remove_ended(&self, state: &mut State) -> Vec<Slot> {
        let mut gone = Vec::new();
        state.take(&mut gone, |slot| slot.in_flight == 0 && slot.instance.has_ended());
        gone.iter().filter(|slot| !slot.leaving).for_each(|_| {
            self.journal
                .note("an idle instance has ended by itself: the next request starts another");
        });
        gone
    }

    /// Ends what is idle for too long, and starts what is provisioned.
    fn keep(&self) {
        let mut not_before = Instant::now();
        loop {
            let mut ended = Vec::new();
            let mut state = lock(&self.state);
            if state.closing {
                return;
            }
            ended.extend(self.remove_ended(&mut state));
            let now = Instant::now();
            let config = state.config.clone();
            while state.alive() > config.provisioned {
                let idle = |slot: &&Slot| !slot.leaving && slot.in_flight == 0;
                let Some(oldest) = state.slots.iter().filter(idle).min_by_key(|slot| slot.since)
                else {
                    break;
                };
                if now.duration_since(oldest.since) < config.idle {
                    break;
                }
                let id = oldest.id;
                state.take(&mut ended, |slot| slot.id == id);
                self.journal.note(format_args!(
                    "an instance was idle for {} s and is ended",
                    config.idle.as_secs_f64()
                ));
                self.changed.notify_all();
            }
            let missing = state.alive() + state.starting < config.provisioned;
            if missing && now >= not_before {
                state.starting += 1;
                let program = state.program.clone();
                drop(state);
                drop(ended);
                if let Err(verdict) = self.start_ahead(&program, &config) {
                    self.journal
                        .note(format_args!("a provisioned instance did not start: {verdict}"));
                    not_before = Instant::now() + START_PAUSE;
                }
                continue;
            }
            drop(ended);
            self.wait(state, missing.then_some(not_before));
        }
    }

    fn start_ahead(
        &self,
        program: &Arc<Program>,
        config: &Config,
    ) -> Result<(), InvocationVerdict> {
        let started = self.host.start(program, config);
        let mut state = lock(&self.state);
        state.starting -= 1;
        self.changed.notify_all();
        let instance = Arc::new(started?);
        let (start, memory_bytes) = (instance.start(), instance.memory_bytes());
        // Before a request can take it, whose lines these would be then.
        let printed = instance.take_output();
        self.insert(&mut state, instance, 0);
        drop(state);
        let request_id = new_id();
        self.journal.provisioned(&request_id, &start, config, memory_bytes);
        if let Some(tell) = &self.ahead {
            tell(StartedAhead { request_id, start, memory_bytes, printed });
        }
        Ok(())
    }

    /// Until something changes, the next instance is idle for long enough, or `until`.
    fn wait(&self, state: MutexGuard<'_, State>, until: Option<Instant>) {
        let now = Instant::now();
        let idle = state.slots.iter().filter(|slot| !slot.leaving && slot.in_flight == 0);
        let reclaim = (state.alive() > state.config.provisioned)
            .then(|| idle.map(|slot| slot.since + state.config.idle).min())
            .flatten();
        // A provisioned instance that ends by itself says so to nobody: it is looked at every
        // second.
        let look = (state.config.provisioned > 0).then(|| now + Duration::from_secs(1));
        let next = [reclaim, look, until].into_iter().flatten().min();
        let seen = state.epoch;
        let same = |state: &mut State| state.epoch == seen && !state.closing;
        match next {
            Some(at) => drop(self.changed.wait_timeout_while(
                state,
                at.saturating_duration_since(now),
                same,
            )),
            None => drop(self.changed.wait_while(state, same)),
        }
    }
}

impl State {
    fn alive(&self) -> usize {
        self.slots.iter().filter(|slot| !slot.leaving).count()
    }

    /// Moves slots out.
    fn take(&mut self, to: &mut Vec<Slot>, which: impl Fn(&Slot) -> bool) {
        to.extend(self.slots.extract_if(.., |slot| which(slot)));
    }
}
