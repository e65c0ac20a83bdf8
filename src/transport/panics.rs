//! Panics in handlers: they are caught, the catcher logs them in one line, and the process goes on.

use super::waiting::is_coroutine;
use crate::error::Error;
use crate::wire::Status;
use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook};

thread_local! {
    /// Place of this thread's last panic, `file:line`, for the catcher. Never dropped by itself:
    /// see spare.rs.
    static PLACE: Cell<Option<ManuallyDrop<String>>> = const { Cell::new(None) };
    /// Whether a panic of this thread is caught.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// From now on panics that this server catches are not printed a second time; all others are
/// printed as before.
pub(super) fn install() {
    let otherwise = take_hook();
    set_hook(Box::new(move |info| {
        if is_coroutine() || CAUGHT.get() {
            keep_place(
                info.location().map(|location| format!("{}:{}", location.file(), location.line())),
            );
        } else {
            otherwise(info);
        }
    }));
}

/// A panic that was caught.
pub(crate) struct Panicked {
    /// `None` once the panic continues.
    payload: Option<Box<dyn Any + Send>>,
    place: Option<String>,
}

/// Runs `work`; a panic in it becomes a value.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    // Only a handler's panic is caught, and a handler stays on its thread: the flag belongs to this
    // call.
    let before = CAUGHT.replace(true);
    let caught = catch_unwind(AssertUnwindSafe(work));
    CAUGHT.set(before);
    caught.map_err(|payload| Panicked { payload: Some(payload), place: take_place() })
}

// Not inlined: a coroutine may catch on another thread than it began on.
#[inline(never)]
fn take_place() -> Option<String> {
    PLACE.take().map(ManuallyDrop::into_inner)
}

#[inline(never)]
fn keep_place(place: Option<String>) {
    drop(take_place());
    PLACE.set(place.map(ManuallyDrop::new));
}

impl Panicked {
    /// The failure of a request whose handler panicked. The caller does not get the panic's
    /// message; the log does.
    pub(crate) fn into_error(self) -> Error {
        let status = Status::INTERNAL_SERVER_ERROR;
        Error::new("the handler panicked").with_status(status).with_cause_text(self.to_string())
    }

    /// The same as an I/O error, with the panic's message.
    pub(crate) fn into_io(self) -> io::Error {
        io::Error::other(self.to_string())
    }

    /// Continues the panic here, with the same message and place.
    pub(super) fn resume(mut self) -> ! {
        keep_place(self.place.take());
        resume_unwind(self.payload.take().unwrap_or_else(|| Box::new("")))
    }

    /// The panic's message, if it is text.
    fn text(&self) -> Option<&str> {
        let payload = self.payload.as_ref()?;
        let text = payload.downcast_ref::<&str>().copied();
        text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
    }
}

/// The payload is any value of the handler's (`panic_any`), and its drop may panic again: that one
/// must not get past the catcher either.
impl Drop for Panicked {
    fn drop(&mut self) {
        if self.text().is_none()
            && let Some(payload) = self.payload.take()
            && let Err(again) = catch(move || drop(payload))
        {
            std::mem::forget(again); // its payload may panic in the same way
        }
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().unwrap_or("no message"))?;
        match &self.place {
            Some(place) => write!(f, " (at {place})"),
            None => Ok(()),
        }
    }
}
