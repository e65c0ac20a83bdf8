//! Who waits here, and how: the lowest primitive of this room. Code of this room on a coroutine
//! pauses it; a handler blocks its thread, and lends the event loop to another one (handling.rs); a
//! thread blocks, and if that is the main thread in the boot lane, it starts the runtime first.

use std::cell::Cell;
use std::mem::ManuallyDrop;

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
    /// How the main thread leaves the lane: there while it answers a request in it. Never dropped
    /// but by being called; registering a destructor costs five system calls.
    static WAY_OUT: Cell<Option<WayOut>> = const { Cell::new(None) };
}

type WayOut = ManuallyDrop<Box<dyn FnOnce()>>;

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

/// This thread is in the boot lane from now on, until [`leave`].
pub(super) fn enter() {
    now_runs(Place::Lane);
}

/// From now on leaving the lane starts the runtime.
pub(super) fn leave_by(start_runtime: Box<dyn FnOnce()>) {
    WAY_OUT.set(Some(ManuallyDrop::new(start_runtime)));
}

/// To be called before a thread that runs no coroutines waits. In the lane this starts the runtime,
/// once it can; elsewhere it does nothing.
pub(super) fn leave() {
    match place() {
        Place::Lane => now_runs(Place::Elsewhere),
        Place::LaneHandler => now_runs(Place::Handler),
        _ => return,
    };
    if let Some(start_runtime) = WAY_OUT.take() {
        ManuallyDrop::into_inner(start_runtime)();
    }
}

/// Blocks the thread until one of the descriptors is ready; a signal ends the wait early.
pub(super) fn wait_on(polled: &mut [libc::pollfd]) {
    // JUSTIFICATION: std has no way to wait for more than one descriptor, or for one without
    // reading from it.
    // SAFETY: the pointer and the count are the slice's own.
    unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, -1) };
}
