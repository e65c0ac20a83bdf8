//! What runs on this thread, and so how it waits: the lowest primitive of this module. This
//! module's code on a coroutine pauses it; a handler blocks its thread, and lends the event loop to
//! another one (handling.rs); a thread blocks, and if that is the main thread in the boot lane, the
//! lookout watches for other connections meanwhile (lookout.rs).

use std::cell::Cell;

/// What runs on a thread.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Code that is not the server's.
    Elsewhere,
    /// The main thread in the boot lane.
    Lane,
    /// A handler there.
    LaneHandler,
    /// This module's own code, on a coroutine: it may continue on another thread after a wait.
    Coroutine,
    /// A handler, on a coroutine's stack or the thread's: it stays on this thread to its end.
    Handler,
}

thread_local! {
    static PLACE: Cell<Place> = const { Cell::new(Place::Elsewhere) };
}

// Not inlined, as all functions here: a coroutine may continue on another thread, and the address
// of a thread's variable must not be kept across a wait.
#[inline(never)]
pub(super) fn place() -> Place {
    PLACE.get()
}

/// Sets what runs on this thread. Returns what ran before.
#[inline(never)]
pub(super) fn now_runs(place: Place) -> Place {
    PLACE.replace(place)
}

/// Whether the calling code may pause its coroutine.
pub(super) fn is_coroutine() -> bool {
    place() == Place::Coroutine
}

/// Whether this is the main thread in the boot lane, where what a first reply does not need is not
/// set up yet.
pub(super) fn is_lane() -> bool {
    matches!(place(), Place::Lane | Place::LaneHandler)
}

/// Blocks the thread until one of the descriptors is ready, for at most this many milliseconds; -1:
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
