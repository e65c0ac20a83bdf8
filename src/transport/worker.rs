//! Worker: what other threads see of a serving thread: whether it is in a handler, and which
//! request that answers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A serving thread. Records are used again by other threads and never freed.
#[derive(Clone, Copy)]
pub(super) struct Worker(&'static Record);

#[derive(Default)]
struct Record {
    /// Number of begins and ends of handlers: odd within one.
    steps: AtomicU64,
    /// How often the lock that the handler waits for was looked at; 0 while it waits for none.
    looks: AtomicU64,
    request_id: Mutex<String>,
}

/// All records, and those that no thread uses.
static RECORDS: Mutex<Records> = Mutex::new(Records { all: Vec::new(), free: Vec::new() });

struct Records {
    all: Vec<Worker>,
    free: Vec<Worker>,
}

/// The main thread's record, for the boot lane.
static MAIN: Record = Record {
    steps: AtomicU64::new(0),
    looks: AtomicU64::new(0),
    request_id: Mutex::new(String::new()),
};

impl PartialEq for Worker {
    fn eq(&self, other: &Worker) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Worker {
    pub(super) fn new() -> Worker {
        let mut records = records();
        let free = records.free.pop();
        free.unwrap_or_else(|| {
            let made = Worker(Box::leak(Box::default()));
            records.all.push(made);
            made
        })
    }

    /// The main thread, for the boot lane.
    pub(super) fn main() -> Worker {
        Worker(&MAIN)
    }

    /// Called when the thread ends.
    pub(super) fn free(self) {
        records().free.push(self);
    }

    /// Called when a handler begins or ends on the thread.
    pub(super) fn step(self) {
        // Only the thread itself writes it. Sequentially consistent: see
        // `EventLoop::watch_handler`.
        self.0.steps.store(self.steps() + 1, Ordering::SeqCst);
    }

    pub(super) fn steps(self) -> u64 {
        self.0.steps.load(Ordering::SeqCst)
    }

    /// A number for the thread's current handler; `None` outside a handler.
    pub(super) fn handler(self) -> Option<u64> {
        Some(self.steps()).filter(|steps| steps % 2 == 1)
    }

    /// Notes that the handler's lock was looked at, and is still held.
    pub(super) fn looked(self) {
        self.0.looks.fetch_add(1, Ordering::SeqCst);
    }

    /// Called when the handler no longer waits for a lock.
    pub(super) fn goes_on(self) {
        self.0.looks.store(0, Ordering::SeqCst);
    }

    /// How often the lock that the handler waits for was looked at; `None` if it waits for none.
    pub(super) fn looks(self) -> Option<u64> {
        Some(self.0.looks.load(Ordering::SeqCst)).filter(|looks| *looks > 0)
    }

    pub(super) fn set_request_id(self, id: &str) {
        let mut current = self.0.request_id.lock().unwrap_or_else(PoisonError::into_inner);
        current.clear();
        current.push_str(id);
    }

    pub(super) fn request_id(self) -> String {
        self.0.request_id.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// All handlers in flight, each with its thread and its number.
pub(super) fn in_handlers() -> Vec<(Worker, u64)> {
    let mut found = Vec::new();
    let mut look = |worker: Worker| found.extend(worker.handler().map(|handler| (worker, handler)));
    records().all.iter().copied().for_each(&mut look);
    look(Worker::main());
    found
}

fn records() -> MutexGuard<'static, Records> {
    RECORDS.lock().unwrap_or_else(PoisonError::into_inner)
}
