//! SIGTERM and SIGINT: the handler sets a flag and writes a byte to a pipe that wakes the accepting
//! thread.

use crate::stopping;
use std::io;
use std::os::fd::{AsRawFd as _, IntoRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

/// Kind of a thread. `transport` needs it; this transport does not use it.
pub(super) enum Thread {
    Blocking,
}

pub(super) fn this_thread_is(_thread: Thread) {}

/// The part of std's start-up code that a server needs: it ignores SIGPIPE, so that a write to a
/// closed connection returns an error.
pub(crate) fn replace_std_start_up() {
    // JUSTIFICATION: std has no call for it.
    // SAFETY: this installs no handler; the disposition is one of the system's own.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// The descriptor that the handler writes to; -1 before it exists.
static BELL: AtomicI32 = AtomicI32::new(-1);

/// Makes both signals stop the server. The returned descriptor becomes readable at the signal.
///
/// # Errors
/// If the system cannot create a pipe.
pub(super) fn on_signal() -> io::Result<OwnedFd> {
    let (reader, writer) = io::pipe()?;
    BELL.store(writer.into_raw_fd(), Ordering::SeqCst); // open until the process ends
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let handler: extern "C" fn(libc::c_int) = on_one;
        // JUSTIFICATION: std has no signals.
        // SAFETY: the handler has the type that signal(2) requires, exists for the whole process,
        // and makes async-signal-safe calls only.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
    Ok(reader.into())
}

extern "C" fn on_one(_signal: libc::c_int) {
    stopping::stop();
    let byte = 0_u8;
    // JUSTIFICATION: a signal's handler may call nothing that locks or allocates.
    // SAFETY: write(2) is async-signal-safe, and the pointer refers to one byte. The result does
    // not matter: a full pipe is readable already.
    unsafe { libc::write(BELL.load(Ordering::SeqCst), (&raw const byte).cast(), 1) };
}

/// The entry of `bell` for poll(2).
pub(super) fn polled(bell: &OwnedFd) -> libc::pollfd {
    libc::pollfd { fd: bell.as_raw_fd(), events: libc::POLLIN, revents: 0 }
}
