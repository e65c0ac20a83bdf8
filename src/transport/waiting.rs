//! Who waits here, and how: the lowest primitive of this room. A coroutine yields to others; a
//! thread blocks, and if that is the main thread in the boot lane, it starts the runtime first.
//! Nothing else in this crate knows which of the three is running.

use std::cell::Cell;
use std::mem::ManuallyDrop;

thread_local! {
    /// Whether this is the main thread, in the lane.
    static IN_LANE: Cell<bool> = const { Cell::new(false) };
    /// How the main thread leaves the lane: there while it answers a request in it. Never dropped
    /// but by being called; registering a destructor costs five system calls.
    static WAY_OUT: Cell<Option<WayOut>> = const { Cell::new(None) };
}

type WayOut = ManuallyDrop<Box<dyn FnOnce()>>;

/// Whether a coroutine is running here. The library's own question sets a thread up first, which
/// the lane need not pay.
pub(super) fn is_coroutine() -> bool {
    !IN_LANE.get() && may::coroutine::is_coroutine()
}

/// This thread is in the boot lane from now on, until [`leave`].
pub(super) fn enter() {
    IN_LANE.set(true);
}

/// From now on leaving the lane starts the runtime.
pub(super) fn leave_by(start_runtime: Box<dyn FnOnce()>) {
    WAY_OUT.set(Some(ManuallyDrop::new(start_runtime)));
}

/// To be called before a thread that runs no coroutines waits. In the lane this starts the runtime,
/// once it can; elsewhere it does nothing.
pub(super) fn leave() {
    IN_LANE.set(false);
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
