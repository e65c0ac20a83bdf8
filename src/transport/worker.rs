//! What others know of a thread that serves: whether it is in a handler, and whose request that
//! answers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// A thread that serves. Records are used again by other threads and never freed.
#[derive(Clone, Copy)]
pub(super) struct Worker(&'static Record);

#[derive(Default)]
struct Record {
    /// How many handlers have begun and ended: odd within one.
    steps: AtomicU64,
    request_id: Mutex<String>,
}

/// Records without a thread.
static FREE: Mutex<Vec<Worker>> = Mutex::new(Vec::new());

impl PartialEq for Worker {
    fn eq(&self, other: &Worker) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Worker {
    pub(super) fn new() -> Worker {
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.unwrap_or_else(|| Worker(Box::leak(Box::default())))
    }

    /// The thread ends.
    pub(super) fn free(self) {
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push(self);
    }

    /// A handler begins or ends on the thread.
    pub(super) fn step(self) {
        // Only the thread itself writes it. Sequentially consistent: see `EventLoop::watch_handler`.
        self.0.steps.store(self.steps() + 1, Ordering::SeqCst);
    }

    pub(super) fn steps(self) -> u64 {
        self.0.steps.load(Ordering::SeqCst)
    }

    /// The handler that the thread is in, as a number of its own; `None` outside of one.
    pub(super) fn handler(self) -> Option<u64> {
        Some(self.steps()).filter(|steps| steps % 2 == 1)
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
