//! Queue of asynchronous invocations: accepted at once, run when an instance is free, retried if
//! the function failed. Platform pages "Retry policies" and "Quotas": two retries a minute apart,
//! events live six hours, 100,000 may wait.

use crate::invocation::Invocation;
use crate::invoker::{InvocationResult, Invoker};
use crate::sync::lock;
use crate::verdict::{InvocationVerdict, Retry};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Largest number of waiting events.
const MAX_WAITING: usize = 100_000;
/// Time after which a waiting event is dropped.
const TIME_TO_LIVE: Duration = Duration::from_secs(6 * 3600);

/// The waiting events.
pub(crate) struct Queue {
    shared: Arc<Shared>,
}

/// Gets each try of an asynchronous invocation, with the number of retries before it.
pub type Observer = Box<dyn Fn(&InvocationResult, u32) + Send + Sync>;

struct Shared {
    invoker: Arc<Invoker>,
    observer: Option<Observer>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<Job>,
    running: usize,
    closing: bool,
}

struct Job {
    invocation: Invocation,
    due: Instant,
    taken: Instant,
    /// Number of retries so far.
    retries: u32,
}

impl Queue {
    pub(crate) fn new(invoker: Arc<Invoker>, observer: Option<Observer>) -> Queue {
        let (state, changed) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { invoker, observer, state, changed });
        let worker = shared.clone();
        let _ = thread::Builder::new().name("queue".into()).spawn(move || worker.work());
        Queue { shared }
    }

    pub(crate) fn push(&self, invocation: Invocation) -> Result<(), InvocationVerdict> {
        let mut state = lock(&self.shared.state);
        if state.waiting.len() >= MAX_WAITING || state.closing {
            return Err(InvocationVerdict::ResourceLimitReached);
        }
        let now = Instant::now();
        state.waiting.push(Job { invocation, due: now, taken: now, retries: 0 });
        self.shared.changed.notify_all();
        Ok(())
    }

    pub(crate) fn close(&self) {
        let mut state = lock(&self.shared.state);
        state.closing = true;
        let dropped = std::mem::take(&mut state.waiting).len();
        self.shared.changed.notify_all();
        if dropped > 0 {
            self.shared.invoker.journal.note(format_args!("{dropped} waiting events are dropped"));
        }
    }
}

impl Shared {
    /// Starts due invocations, one thread each, at most as many as there can be instances.
    fn work(self: Arc<Self>) {
        let mut state = lock(&self.state);
        while !state.closing {
            let now = Instant::now();
            let config = self.invoker.pool.config();
            let most = config.max_instances * config.concurrency;
            let next = state
                .waiting
                .iter()
                .enumerate()
                .min_by_key(|(_, job)| job.due)
                .map(|(at, job)| (at, job.due));
            let wait = match next {
                Some((at, due)) if due <= now && state.running < most => {
                    let job = state.waiting.swap_remove(at);
                    state.running += 1;
                    let runner = self.clone();
                    if thread::Builder::new()
                        .name("event".into())
                        .spawn(move || runner.run(job))
                        .is_err()
                    {
                        state.running -= 1;
                        self.invoker
                            .journal
                            .note("an event is dropped: the system cannot start a thread for it");
                    }
                    continue;
                }
                Some((_, due)) if state.running < most => due.saturating_duration_since(now),
                _ => TIME_TO_LIVE,
            };
            state =
                self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn run(&self, mut job: Job) {
        let outcome = self.invoker.run(&job.invocation);
        if let Some(observer) = &self.observer {
            observer(&outcome, job.retries);
        }
        let config = self.invoker.pool.config();
        let (id, interval) = (&job.invocation.request_id, config.retry_interval);
        let (allowed, status) = (config.retries, outcome.verdict.status());
        let journal = &self.invoker.journal;
        let again = match outcome.verdict.retry() {
            Retry::Never => false,
            Retry::Counted if job.retries < allowed => {
                job.retries += 1;
                let (nth, seconds) = (job.retries, interval.as_secs_f64());
                journal.note(format_args!(
                    "asynchronous {id}: {status}; retry {nth} of {allowed} in {seconds} s"
                ));
                true
            }
            Retry::Counted => {
                journal.note(format_args!(
                    "asynchronous {id}: {status}; given up after {allowed} retries"
                ));
                false
            }
            Retry::UntilCapacity => job.taken.elapsed() < TIME_TO_LIVE,
        };
        job.due = Instant::now() + interval;
        let mut state = lock(&self.state);
        state.running -= 1;
        if again && !state.closing {
            state.waiting.push(job);
        }
        self.changed.notify_all();
    }
}
