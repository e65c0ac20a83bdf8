//! SIGTERM and SIGINT: a flag, and a byte in a pipe that the accepting thread waits for.

use crate::stopping;
use std::io;
use std::os::fd::{AsRawFd as _, IntoRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

/// What a thread is for, as `transport` asks it; nobody reads it here.
pub(super) enum Thread {
    Blocking,
}

pub(super) fn this_thread_is(_thread: Thread) {}

/// What std does before `main` and a server needs: a reader who is gone is an error, no signal.
pub(crate) fn replace_std_start_up() {
    // JUSTIFICATION: std has no call for it.
    // SAFETY: no handler is installed, the disposition is one of the system's own.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Where the handler writes to; -1 before there is one.
static BELL: AtomicI32 = AtomicI32::new(-1);

/// Has both signals stop the server: what is given back can be read from then on.
///
/// # Errors
/// No pipe is to be had.
pub(super) fn on_signal() -> io::Result<OwnedFd> {
    let (reader, writer) = io::pipe()?;
    BELL.store(writer.into_raw_fd(), Ordering::SeqCst); // open until the process ends
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let handler: extern "C" fn(libc::c_int) = on_one;
        // JUSTIFICATION: std has no signals.
        // SAFETY: the handler is a function of the type that is asked for, for the whole process,
        // and makes async-signal-safe calls only.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
    Ok(reader.into())
}

extern "C" fn on_one(_signal: libc::c_int) {
    stopping::stop();
    let byte = 0_u8;
    // JUSTIFICATION: a signal's handler may call nothing that locks or allocates.
    // SAFETY: write(2) is async-signal-safe; one byte is there. What comes of it is no matter: the
    // pipe can be read from either way once it is full.
    unsafe { libc::write(BELL.load(Ordering::SeqCst), (&raw const byte).cast(), 1) };
}

/// The descriptor of `bell` as poll(2) wants it.
pub(super) fn polled(bell: &OwnedFd) -> libc::pollfd {
    libc::pollfd { fd: bell.as_raw_fd(), events: libc::POLLIN, revents: 0 }
}
