//! What sys.rs is on Linux, on other systems: a clock, and a call that a signal must not cut short.

use std::io;

/// Repeats a call that a signal cut short.
///
/// # Errors
/// `errno`, where `call` returns a negative number.
pub(crate) fn retry(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        match usize::try_from(call()) {
            Ok(size) => return Ok(size),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// Nanoseconds by the monotonic clock, from its own zero.
pub(crate) fn monotonic_ns() -> u64 {
    let now = ask(libc::CLOCK_MONOTONIC);
    let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or_default();
    seconds(now).saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

/// The monotonic clock that goes on while the machine sleeps.
pub(crate) const BOOTTIME: libc::clockid_t = libc::CLOCK_MONOTONIC;

/// What `clock` shows.
pub(crate) fn ask(clock: libc::clockid_t) -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // JUSTIFICATION: std has no clock whose zero two processes share.
    // SAFETY: the call writes one timespec, which is there.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    now
}

/// Whole seconds; of the real-time clock: since the Unix epoch.
pub(crate) fn seconds(now: libc::timespec) -> u64 {
    u64::try_from(now.tv_sec).unwrap_or_default()
}
