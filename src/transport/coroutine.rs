//! Coroutine: a stack of its own and the work that runs on it, written as if it blocked. Only this
//! file uses `generator`, may's context switch.
//!
//! Only this module's code pauses a coroutine, and never within a handler. So nothing that a
//! handler keeps on its stack or in its thread's variables meets another handler.

use generator::{Generator, Gn};
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Why a coroutine pauses.
pub(super) enum Pause {
    /// This is called with the paused coroutine, and arranges that it continues.
    Then(Box<dyn FnOnce(Coroutine) + Send>),
    /// This runs on the thread's own stack; then the coroutine continues on the same thread.
    OnThread(Box<dyn FnOnce() + Send>),
    /// Its work is done; it never continues.
    Done,
}

/// A coroutine that is paused, or has not begun.
pub(super) struct Coroutine(Generator<'static, (), Pause>);

/// Number of stacks kept for later coroutines: each costs two system calls and two page faults.
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
        // This marks it as a coroutine for `generator`; the pointer is never read.
        generator.set_local_data(NonNull::<u8>::dangling().as_ptr());
        Coroutine(generator)
    }

    /// Runs it on this thread until it pauses.
    pub(super) fn resume(&mut self) -> Pause {
        self.0.resume().unwrap_or(Pause::Done) // it has panicked, and its stack is unwound
    }

    /// Keeps the stack of a finished coroutine for the next one.
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

/// Pauses the coroutine that runs here. It may continue on any thread.
pub(super) fn pause(then: impl FnOnce(Coroutine) + Send + 'static) {
    generator::co_yield_with(Pause::Then(Box::new(then)));
}

/// Whether this code runs on a coroutine's stack.
pub(super) fn is_here() -> bool {
    generator::is_generator()
}

/// Runs `job` on the stack of the thread that the coroutine runs on.
pub(super) fn on_thread(job: Box<dyn FnOnce() + Send>) {
    generator::co_yield_with(Pause::OnThread(job));
}
