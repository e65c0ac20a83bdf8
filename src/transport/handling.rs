//! Handlers on their threads: a handler keeps the thread that it begins on to its end. Where it
//! waits, the thread blocks, and the event loop is lent to another one meanwhile.
//!
//! So everything that safe code may assume about a thread holds in a handler: no other handler
//! changes its thread-local variables while it runs, and std's locks, channels, parking and joins
//! work as usual.

use super::home::here;
use super::lookout;
use super::shift::Shift;
use super::threads::relieve;
use super::waiting::{Place, now_runs, place};
use super::worker::Worker;

/// Runs a handler, or other code of the function.
pub(super) fn in_handler<T>(handler: impl FnOnce() -> T) -> T {
    let _within = Within::begin();
    handler()
}

/// The thread of the handler that runs here; `None` if none does.
pub(super) fn worker() -> Option<Worker> {
    match place() {
        Place::Handler | Place::LaneHandler => {
            Some(here().map_or_else(Worker::main, |(_, worker)| worker))
        }
        _ => None,
    }
}

/// While it exists, a handler runs on this thread.
struct Within(Option<Worker>);

impl Within {
    fn begin() -> Within {
        match (place(), here()) {
            (Place::Lane, _) => {
                now_runs(Place::LaneHandler);
                Worker::main().step();
                Within(Some(Worker::main()))
            }
            (Place::Coroutine, Some((shift, worker))) => {
                now_runs(Place::Handler);
                worker.step();
                relieve(shift, shift.watch_handler());
                Within(Some(worker))
            }
            _ => Within(None), // without a server, or on the main thread outside of the lane
        }
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        let Some(worker) = self.0 else { return };
        worker.step();
        if place() == Place::LaneHandler {
            lookout::handler_ends();
            now_runs(Place::Lane);
        } else {
            now_runs(Place::Coroutine);
        }
    }
}

/// While it exists, the thread may block: another thread serves the others.
#[must_use]
pub(super) struct Blocks(Option<(&'static Shift, Worker)>);

impl Blocks {
    /// In a handler this lends the event loop; in the boot lane a thread watches for other
    /// connections.
    pub(super) fn begin() -> Blocks {
        match place() {
            Place::Lane | Place::LaneHandler => {
                let before = now_runs(Place::Elsewhere); // as in `lend`
                lookout::have_a_thread();
                now_runs(before);
                Blocks(None)
            }
            Place::Handler => Blocks::lend(),
            Place::Coroutine | Place::Elsewhere => Blocks(None),
        }
    }

    fn lend() -> Blocks {
        let Some((shift, worker)) = here() else { return Blocks(None) };
        now_runs(Place::Elsewhere); // a lock within waits as a thread's (futex.rs)
        let (offered, needed) = shift.offer(worker);
        relieve(shift, needed);
        now_runs(Place::Handler);
        Blocks(offered.then_some((shift, worker)))
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        if let Some((shift, worker)) = self.0 {
            now_runs(Place::Elsewhere);
            shift.take_back(worker);
            now_runs(Place::Handler);
        }
    }
}
