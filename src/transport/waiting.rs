//! Who waits here, and how: the lowest primitive of this room. Code of this room on a coroutine
//! pauses it; a handler blocks its thread, and lends the event loop to another one (handling.rs); a
//! thread blocks, and if that is the main thread in the boot lane, somebody looks out for other
//! peers meanwhile (lookout.rs).

use std::cell::Cell;

/// What is running on a thread.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Anything that is not the server's.
    Elsewhere,
    /// The main thread in the boot lane.
    Lane,
    /// A handler there.
    LaneHandler,
    /// This room's own code, on a coroutine: it may go on on another thread after a wait.
    Coroutine,
    /// A handler, on a coroutine's stack or the thread's: it stays on this thread to its end.
    Handler,
}

thread_local! {
    static PLACE: Cell<Place> = const { Cell::new(Place::Elsewhere) };
}

// Not inlined, as all here: a coroutine may come back on another thread, and the address of a
// thread's variable must not be kept across a wait.
#[inline(never)]
pub(super) fn place() -> Place {
    PLACE.get()
}

/// From now on `place` runs on this thread: what ran before.
#[inline(never)]
pub(super) fn now_runs(place: Place) -> Place {
    PLACE.replace(place)
}

/// Whether the code that asks may pause the coroutine that it runs on.
pub(super) fn is_coroutine() -> bool {
    place() == Place::Coroutine
}

/// Whether this is the main thread in the boot lane: what a first reply need not pay for is not set
/// up yet.
pub(super) fn is_lane() -> bool {
    matches!(place(), Place::Lane | Place::LaneHandler)
}

/// Blocks the thread until one of the descriptors is ready, for at most so many milliseconds; -1:
/// for ever. A signal ends the wait early.
pub(super) fn wait_on(polled: &mut [libc::pollfd], limit_ms: libc::c_int) {
    // JUSTIFICATION: std has no way to wait for more than one descriptor, or for one without
    // reading from it.
    // SAFETY: the pointer and the count are the slice's own.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, limit_ms) };
    if ready < 0 {
        polled.iter_mut().for_each(|polled| polled.revents = 0); // poll has left them as they were
    }
}
