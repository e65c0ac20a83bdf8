//! What connections share: the service, its limits, and how many there are.

use super::limits::Limits;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What connections share.
pub(super) struct Server<S> {
    pub service: S,
    pub limits: Limits,
    counts: Mutex<Counts>,
    /// Signalled when a connection goes, or a request is over.
    pub changed: Condvar,
}

#[derive(Default)]
pub(super) struct Counts {
    /// Connections that are open.
    pub open: usize,
    /// Those with a request or its reply on the way.
    pub busy: usize,
}

impl<S> Server<S> {
    pub fn new(service: S, limits: Limits) -> Server<S> {
        Server { service, limits, counts: Mutex::default(), changed: Condvar::new() }
    }

    /// A request is on its way, or its reply is out.
    pub fn is_busy(&self, busy: bool) {
        let mut counts = self.lock();
        counts.busy = if busy { counts.busy + 1 } else { counts.busy.saturating_sub(1) };
        drop(counts);
        self.changed.notify_all();
    }

    /// Waits until no request is in flight, or until `end`: how many still are.
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
