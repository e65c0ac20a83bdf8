//! Event loop of a coroutine, and the thread that runs the coroutine now.

use super::event_loop::EventLoop;
use super::shift::Shift;
use super::waiting::{Place, place};
use super::worker::Worker;
use std::cell::Cell;

thread_local! {
    static HERE: Cell<Option<(&'static Shift, Worker)>> = const { Cell::new(None) };
}

/// The loop of the coroutine that runs here; `None` where code may not pause one.
pub(super) fn home() -> Option<&'static EventLoop> {
    here().filter(|_| place() == Place::Coroutine).map(|(home, _)| &**home)
}

/// The loop and the thread of the coroutine that runs here, also within a handler.
// Not inlined: a coroutine may continue on another thread, and the address of a thread's variable
// must not be kept across a wait.
#[inline(never)]
pub(super) fn here() -> Option<(&'static Shift, Worker)> {
    HERE.get()
}

/// Makes this thread serve `home`.
#[inline(never)]
pub(super) fn serve(home: &'static Shift, worker: Worker) {
    HERE.set(Some((home, worker)));
}
