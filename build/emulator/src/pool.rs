//! Pool of the instances of one function. It decides which instance gets a request, when a new one
//! is started, and when an idle one is ended.

use crate::config::Config;
use crate::instance::{Host, Instance, Isolation};
use crate::invocation::new_id;
use crate::journal::Journal;
use crate::program::Program;
use crate::start_up::StartUp;
use crate::sync::lock;
use crate::verdict::InvocationVerdict;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Time that requests in flight have to finish when the pool is closed.
const CLOSE_GRACE: Duration = Duration::from_secs(2);
/// Pause after a provisioned instance could not be started.
const START_PAUSE: Duration = Duration::from_secs(5);

/// An instance that was started ahead, with the values of its Provisioned Report.
#[derive(Debug)]
pub struct StartedAhead {
    /// The report's id.
    pub request_id: String,
    /// Times of its start.
    pub start: StartUp,
    /// Its largest resident set so far.
    pub memory_bytes: u64,
    /// Its output so far, line by line.
    pub printed: Vec<String>,
}

/// Gets each instance that was started ahead.
pub type AheadObserver = Box<dyn Fn(StartedAhead) + Send + Sync>;

/// The instances of a function.
pub struct Pool {
    host: Arc<Host>,
    journal: Arc<Journal>,
    ahead: Option<AheadObserver>,
    state: Mutex<State>,
    changed: Condvar,
    /// Set when everything is closed: ends the instances that are still starting.
    stop: AtomicBool,
}

struct State {
    program: Arc<Program>,
    config: Arc<Config>,
    slots: Vec<Slot>,
    /// Number of instances being started; they count towards the maximum.
    starting: usize,
    next_id: u64,
    /// Counter of changes of this state.
    epoch: u64,
    closing: bool,
}

struct Slot {
    id: u64,
    instance: Arc<Instance>,
    in_flight: usize,
    /// Time since which it has had no request.
    since: Instant,
    /// It gets no more requests, and ends after its last one.
    leaving: bool,
}

/// A request's place in an instance; return it with [`Pool::release`].
pub struct Lease {
    id: u64,
    /// The instance.
    pub instance: Arc<Instance>,
    /// Times of its start, if it was started for this request.
    pub cold: Option<StartUp>,
}

impl Pool {
    /// Starts no instance yet, except provisioned ones, which `ahead` gets.
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
        let pool =
            Arc::new(Pool { host, journal, ahead, state, changed, stop: AtomicBool::new(false) });
        let keeper = pool.clone();
        // Without its keeper thread a pool still works, but does not end idle instances.
        let _ = thread::Builder::new().name("keeper".into()).spawn(move || keeper.keep());
        pool
    }

    /// Takes a warm instance with room, or a new one: "during a cold start each concurrent request
    /// starts its own".
    ///
    /// # Errors
    /// 432, or why the new one could not be started.
    pub fn acquire(&self) -> Result<Lease, InvocationVerdict> {
        let mut state = lock(&self.state);
        let mut gone = self.remove_ended(&mut state);
        let config = state.config.clone();
        let room = |slot: &&mut Slot| !slot.leaving && slot.in_flight < config.concurrency;
        // Take the one that was busy last, so that the others become idle long enough to be ended.
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
        let started = self.host.start(&program, &config, &self.stop);
        let mut state = lock(&self.state);
        state.starting -= 1;
        self.changed.notify_all(); // a failure too frees a place
        let instance = Arc::new(started?);
        let cold = Some(instance.start());
        let id = self.insert(&mut state, instance.clone(), 1);
        Ok(Lease { id, instance, cold })
    }

    /// Returns a place; `verdict` is its request's result, which decides about the instance.
    pub fn release(&self, lease: Lease, verdict: &InvocationVerdict) {
        // "A timeout ends only its request" if an instance has several.
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
        drop(ended); // takes time, so not under the lock
    }

    /// Checks ahead of the first request whether an instance starts: starts one, unless a
    /// provisioned one is there or being started.
    ///
    /// # Errors
    /// Why it could not be started.
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
        let started = self.host.start(&program, &config, &self.stop);
        let mut state = lock(&self.state);
        state.starting -= 1;
        self.changed.notify_all();
        let instance = Arc::new(started?);
        let start = instance.start();
        self.insert(&mut state, instance, 0);
        Ok(start)
    }

    /// Replaces the version or the configuration: once an instance of the new one listens, it gets
    /// the requests; instances of the old one end with their requests in flight.
    ///
    /// # Errors
    /// Why the new version cannot be started; the old one then stays.
    pub fn swap(
        &self,
        program: Program,
        config: Arc<Config>,
    ) -> Result<StartUp, InvocationVerdict> {
        let program = Arc::new(program);
        let instance = Arc::new(self.host.start(&program, &config, &self.stop)?);
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

    /// Sets the number of instances started ahead; further ones become ordinary idle instances.
    pub fn provision(&self, instances: usize) {
        let mut state = lock(&self.state);
        let max_instances = state.config.max_instances.max(instances);
        state.config =
            Arc::new(Config { provisioned: instances, max_instances, ..(*state.config).clone() });
        state.epoch += 1;
        self.changed.notify_all();
    }

    /// Number of requests being answered.
    pub fn in_flight(&self) -> usize {
        lock(&self.state).slots.iter().map(|slot| slot.in_flight).sum()
    }

    /// Isolation of instances on this machine; certain once one was started.
    pub fn isolation(&self) -> Isolation {
        self.host.isolation()
    }

    /// Number of instances that accept requests.
    pub fn instances(&self) -> usize {
        lock(&self.state).alive()
    }

    /// The process ids of all instances.
    pub fn pids(&self) -> Vec<u32> {
        lock(&self.state).slots.iter().map(|slot| slot.instance.pid()).collect()
    }

    /// The current configuration.
    pub fn config(&self) -> Arc<Config> {
        lock(&self.state).config.clone()
    }

    /// The current version.
    pub fn program(&self) -> Arc<Program> {
        lock(&self.state).program.clone()
    }

    /// Waits until `wanted` instances accept requests; returns whether that happened in time.
    pub fn wait_instances(&self, wanted: usize, limit: Duration) -> bool {
        let waited = self
            .changed
            .wait_timeout_while(lock(&self.state), limit, |state| state.alive() != wanted);
        waited.unwrap_or_else(PoisonError::into_inner).0.alive() == wanted
    }

    /// Waits a limited time for requests in flight, then ends every instance. An instance that is
    /// starting ends at once: as a plain process it would outlive this one.
    pub fn close(&self) {
        let mut state = lock(&self.state);
        state.closing = true;
        self.stop.store(true, Ordering::Relaxed);
        self.changed.notify_all();
        let busy = |state: &mut State| {
            state.starting > 0 || state.slots.iter().any(|slot| slot.in_flight > 0)
        };
        let waited = self.changed.wait_timeout_while(state, CLOSE_GRACE, busy);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let slots = std::mem::take(&mut state.slots);
        let program = state.program.clone();
        drop(state);
        // a request that still waits for one of them gets an error
        slots.iter().for_each(|slot| slot.instance.end());
        program.remove(); // at exit, values that threads hold are not dropped
    }

    fn insert(&self, state: &mut State, instance: Arc<Instance>, in_flight: usize) -> u64 {
        let id = state.next_id;
        state.next_id += 1;
        state.epoch += 1;
        // The version may have been replaced, or everything closed, while its instance was
        // starting.
        let leaving = !Arc::ptr_eq(instance.program(), &state.program) || state.closing;
        state.slots.push(Slot { id, instance, in_flight, since: Instant::now(), leaving });
        id
    }

    /// Removes idle instances that have ended by themselves; the caller drops them.
    fn remove_ended(&self, state: &mut State) -> Vec<Slot> {
        let mut gone = Vec::new();
        state.take(&mut gone, |slot| slot.in_flight == 0 && slot.instance.has_ended());
        gone.iter().filter(|slot| !slot.leaving).for_each(|_| {
            self.journal
                .note("an idle instance has ended by itself; the next request starts another");
        });
        gone
    }

    /// Ends instances that were idle for too long, and starts the provisioned ones.
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
        let started = self.host.start(program, config, &self.stop);
        let mut state = lock(&self.state);
        state.starting -= 1;
        self.changed.notify_all();
        let instance = Arc::new(started?);
        let (start, memory_bytes) = (instance.start(), instance.memory_bytes());
        // Before a request can take the instance: otherwise these lines would be attributed to it.
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

    /// Waits until something changes, the next instance has been idle for long enough, or `until`.
    fn wait(&self, state: MutexGuard<'_, State>, until: Option<Instant>) {
        let now = Instant::now();
        let idle = state.slots.iter().filter(|slot| !slot.leaving && slot.in_flight == 0);
        let reclaim = (state.alive() > state.config.provisioned)
            .then(|| idle.map(|slot| slot.since + state.config.idle).min())
            .flatten();
        // There is no signal when a provisioned instance ends by itself, so it is checked every
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

    /// Removes the slots that match, and returns them.
    fn take(&mut self, to: &mut Vec<Slot>, which: impl Fn(&Slot) -> bool) {
        to.extend(self.slots.extract_if(.., |slot| which(slot)));
    }
}
