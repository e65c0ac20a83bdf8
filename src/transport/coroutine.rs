//! A coroutine: a stack of its own and the work that runs on it, written as if it blocked. The only
//! door to `generator`, which is may's own context switch.
//!
//! Only this room's code pauses a coroutine, and never within a handler. So whatever a handler
//! keeps on its stack or in its thread's variables meets no other handler there.

use generator::{Generator, Gn};
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Why a coroutine pauses.
pub(super) enum Pause {
    /// What is called with the paused coroutine sees to it that it goes on.
    Then(Box<dyn FnOnce(Coroutine) + Send>),
    /// This is done on the thread's own stack; then the coroutine goes on, on the same thread.
    OnThread(Box<dyn FnOnce() + Send>),
    /// For ever: its work is done.
    Done,
}

/// A coroutine that is paused, or has not begun.
pub(super) struct Coroutine(Generator<'static, (), Pause>);

/// Stacks that are kept for the next coroutine: each costs two system calls and two page faults.
const KEEP: usize = 64;

static KEPT: Mutex<Vec<Coroutine>> = Mutex::new(Vec::new());

impl Coroutine {
    /// # Panics
    /// If the system gives no memory for a stack.
    pub(super) fn new(stack_bytes: usize, work: impl FnOnce() + Send + 'static) -> Coroutine {
        let body = move || {
            work();
            Pause::Done
        };
        let kept = kept().pop();
        let mut generator = match kept {
            Some(Coroutine(mut generator)) => {
                generator.init_code(body);
                generator
            }
            None => Gn::<()>::new_opt(words(stack_bytes), body),
        };
        // It makes this a coroutine to `generator`; nobody reads it.
        generator.set_local_data(NonNull::<u8>::dangling().as_ptr());
        Coroutine(generator)
    }

    /// Runs it on this thread until it pauses.
    pub(super) fn resume(&mut self) -> Pause {
        self.0.resume().unwrap_or(Pause::Done) // it has panicked, and its stack is unwound
    }

    /// Keeps the stack of a coroutine that is done for the next one.
    pub(super) fn recycle(self) {
        let mut kept = kept();
        if kept.len() < KEEP {
            kept.push(self);
        }
    }
}

fn kept() -> MutexGuard<'static, Vec<Coroutine>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `generator` counts stacks in words.
fn words(bytes: usize) -> usize {
    (bytes / size_of::<usize>()).next_multiple_of(512).max(512)
}

/// Pauses the coroutine that runs here. It may go on on any thread.
pub(super) fn pause(then: impl FnOnce(Coroutine) + Send + 'static) {
    generator::co_yield_with(Pause::Then(Box::new(then)));
}

/// Whether this code runs on a coroutine's stack.
pub(super) fn is_here() -> bool {
    generator::is_generator()
}

/// Has `job` done on the stack of the thread that the coroutine runs on.
pub(super) fn on_thread(job: Box<dyn FnOnce() + Send>) {
    generator::co_yield_with(Pause::OnThread(job));
}
