//! Schedule of a burst: N instances at once, one thread each, at fixed times that do not wait for
//! any of them. All threads get ready first, then the schedule is set. Latency counts from the
//! intended start, so that the delay of an overloaded machine is part of it. The engine defines an
//! instance.

use super::EngineError;
use bench_kit::clock;
use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Time from "all are ready" to the first intended start, in which every thread wakes up.
const LEAD_NS: u64 = 3_000_000;
/// Time between two checks of a waiting thread whether the run was interrupted.
const LOOK: Duration = Duration::from_millis(50);

/// A gate at which threads wait for each other: it opens when all threads that have not given up
/// have come, or when the run is interrupted.
struct Gate<'a> {
    state: Mutex<State>,
    changed: Condvar,
    stop: &'a AtomicBool,
}

struct State {
    expected: usize,
    arrived: usize,
    /// CLOCK_MONOTONIC, once it is open.
    opened_ns: Option<u64>,
}

impl<'a> Gate<'a> {
    fn new(expected: usize, stop: &'a AtomicBool) -> Self {
        Self {
            state: Mutex::new(State { expected, arrived: 0, opened_ns: None }),
            changed: Condvar::new(),
            stop,
        }
    }

    /// Waits for all others. Returns the time at which the last one came.
    fn wait(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.arrived += 1;
        self.open_if_all_are_here(&mut state);
        loop {
            if let Some(at_ns) = state.opened_ns {
                return at_ns;
            }
            if self.stop.load(Ordering::Relaxed) {
                return clock::now_ns();
            }
            state =
                self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Records that one of the expected threads will not come.
    fn give_up(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.expected -= 1;
        self.open_if_all_are_here(&mut state);
    }

    fn open_if_all_are_here(&self, state: &mut State) {
        if state.opened_ns.is_none() && state.arrived >= state.expected {
            state.opened_ns = Some(clock::now_ns());
            self.changed.notify_all();
        }
    }
}

/// The two gates of a burst.
struct Course<'a> {
    /// Before the first start.
    start: Gate<'a>,
    /// After the last answer: ending an instance and removing its files is work that must not
    /// disturb another instance's measurement.
    finish: Gate<'a>,
    interval_ns: u64,
}

/// One thread's place in a burst. It passes each gate once, at the latest on drop: an instance that
/// fails early must not keep the others waiting.
pub struct Place<'a> {
    course: &'a Course<'a>,
    index: u64,
    started: Cell<bool>,
    finished: Cell<bool>,
}

impl Place<'_> {
    /// Waits for the others, then for this place's time. Returns that time.
    pub fn intended_ns(&self) -> u64 {
        self.started.set(true);
        let intended_ns = self.course.start.wait() + LEAD_NS + self.index * self.course.interval_ns;
        clock::sleep_until_ns(intended_ns);
        intended_ns
    }

    /// Waits until every other instance has answered or failed. A second call does nothing.
    pub fn finish(&self) {
        if !self.started.replace(true) {
            self.course.start.give_up();
        }
        if !self.finished.replace(true) {
            self.course.finish.wait();
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.started.get() {
            self.course.start.give_up();
        }
        if !self.finished.get() {
            self.course.finish.give_up();
        }
    }
}

/// Runs `one` this many times at once, `interval` apart. If this machine has no thread for an
/// instance, `no_room` makes its result of the error: the machine is saturated.
///
/// The first error of any instance, after all have ended.
/// The first of any instance, after all have ended.
pub fn at_once<T: Send>(
    burst: usize,
    interval: Duration,
    stop: &AtomicBool,
    one: impl Fn(&Place<'_>) -> Result<T, EngineError> + Sync,
    no_room: impl Fn(&io::Error) -> T,
) -> Result<Vec<T>, EngineError> {
    let interval_ns = u64::try_from(interval.as_nanos()).unwrap_or(0);
    let gate = || Gate::new(burst, stop);
    let course = Course { start: gate(), finish: gate(), interval_ns };
    let (course, one) = (&course, &one);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..burst as u64)
            .map(|index| {
                let place =
                    Place { course, index, started: Cell::new(false), finished: Cell::new(false) };
                // A closure that found no thread is dropped, and its place gives up.
                std::thread::Builder::new()
                    .name(format!("burst-{index}"))
                    .spawn_scoped(scope, move || one(&place))
            })
            .collect();
        // Every thread is joined before the first error is returned.
        let taken: Vec<_> = threads
            .into_iter()
            .map(|thread| match thread {
                Ok(thread) => thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p)),
                Err(e) => Ok(no_room(&e)),
            })
            .collect();
        taken.into_iter().collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Regression: if a thread of a burst could not be started, the others waited for it for ever,
    /// and a signal did not end the wait.
    #[test]
    fn a_gate_opens_without_threads_that_give_up_and_for_an_interruption() {
        let stop = AtomicBool::new(false);
        let (gate, never) = (Gate::new(3, &stop), Gate::new(2, &stop));
        std::thread::scope(|scope| {
            let waiting = [scope.spawn(|| gate.wait()), scope.spawn(|| gate.wait())];
            gate.give_up();
            let [one, other] = waiting.map(|thread| thread.join().unwrap());
            assert_eq!(one, other, "all get the same time");
            let held = scope.spawn(|| never.wait());
            stop.store(true, Ordering::Relaxed);
            held.join().unwrap();
        });
    }

    #[test]
    fn a_place_that_fails_early_does_not_delay_others() {
        let stop = AtomicBool::new(false);
        let course =
            Course { start: Gate::new(3, &stop), finish: Gate::new(3, &stop), interval_ns: 1000 };
        let course = &course;
        let place =
            |index| Place { course, index, started: Cell::new(false), finished: Cell::new(false) };
        std::thread::scope(|scope| {
            let others = [1, 2].map(|index| {
                scope.spawn(move || {
                    let place = place(index);
                    let intended_ns = place.intended_ns();
                    place.finish();
                    intended_ns
                })
            });
            drop(place(0));
            let [one, two] = others.map(|thread| thread.join().unwrap());
            assert_eq!(two - one, 1000, "the schedule is unchanged");
        });
        let failed_late =
            Course { start: Gate::new(1, &stop), finish: Gate::new(1, &stop), interval_ns: 0 };
        Place {
            course: &failed_late,
            index: 0,
            started: Cell::new(false),
            finished: Cell::new(false),
        }
        .finish();
        course.start.wait(); // the gate stays open
    }
}
