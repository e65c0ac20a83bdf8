//! Scale-out: N instances at once, a thread each, on a fixed schedule that waits for none of them. All
//! threads get ready first, then the schedule is laid out; latency counts from the intended start, so
//! that a machine which cannot keep up does not hide it.

use std::cell::Cell;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Embedded;
use crate::clock;
use crate::engine::{Case, EngineError};
use crate::results::Sample;

/// From "all are ready" to the first intended start: every thread has woken by then.
const LEAD_NS: u64 = 3_000_000;

/// Where the threads of a burst wait for each other.
struct StartLine {
    barrier: Barrier,
    first_ns: AtomicU64,
    interval_ns: u64,
}

/// One thread's place at the line. It waits there once, at the latest when it is dropped: an instance
/// that fails early must not keep the others waiting.
pub(super) struct Place<'a> {
    line: &'a StartLine,
    index: u64,
    waited: Cell<bool>,
}

impl Place<'_> {
    /// Waits for the others, then for this place's moment, which is returned.
    pub(super) fn intended_ns(&self) -> u64 {
        let intended_ns = self.wait();
        clock::sleep_until_ns(intended_ns);
        intended_ns
    }

    fn wait(&self) -> u64 {
        self.waited.set(true);
        if self.line.barrier.wait().is_leader() {
            self.line.first_ns.store(clock::now_ns() + LEAD_NS, Ordering::SeqCst);
        }
        self.line.barrier.wait();
        self.line.first_ns.load(Ordering::SeqCst) + self.index * self.line.interval_ns
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.waited.get() {
            self.wait();
        }
    }
}

impl Embedded {
    /// Takes the samples of one burst.
    pub(super) fn burst(
        &self,
        case: &Case,
        base: &str,
        rootfs: Option<&Path>,
    ) -> Result<Vec<(Sample, Option<u64>)>, EngineError> {
        let interval_ns = u64::try_from(self.settings.burst_interval.as_nanos()).unwrap_or(0);
        let line = StartLine { barrier: Barrier::new(case.burst), first_ns: AtomicU64::new(0), interval_ns };
        let line = &line;
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..case.burst as u64)
                .map(|index| {
                    scope.spawn(move || {
                        let place = Place { line, index, waited: Cell::new(false) };
                        self.one(case, base, rootfs, Some(&place))
                    })
                })
                .collect();
            // Every thread is joined before the first error is returned.
            let taken: Vec<_> =
                threads.into_iter().map(|t| t.join().unwrap_or_else(|p| std::panic::resume_unwind(p))).collect();
            taken.into_iter().collect()
        })
    }
}
