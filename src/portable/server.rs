//! State that connections share: the service, its limits, and the number of connections.

use super::limits::Limits;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// State that connections share.
pub(super) struct Server<S> {
    pub service: S,
    pub limits: Limits,
    counts: Mutex<Counts>,
    /// Signalled when a connection ends or a request is complete.
    pub changed: Condvar,
}

#[derive(Default)]
pub(super) struct Counts {
    /// Number of open connections.
    pub open: usize,
    /// Number of connections with a request or its reply in progress.
    pub busy: usize,
}

impl<S> Server<S> {
    pub fn new(service: S, limits: Limits) -> Server<S> {
        Server { service, limits, counts: Mutex::default(), changed: Condvar::new() }
    }

    /// Sets whether a request or its reply is in progress.
    pub fn is_busy(&self, busy: bool) {
        let mut counts = self.lock();
        counts.busy = if busy { counts.busy + 1 } else { counts.busy.saturating_sub(1) };
        drop(counts);
        self.changed.notify_all();
    }

    /// Waits until no request is in flight, or until `end`; returns how many still are.
    pub fn drain(&self, end: Instant) -> usize {
        let mut counts = self.lock();
        while counts.busy > 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            counts =
                self.changed.wait_timeout(counts, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        counts.busy
    }

    pub fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
