//! System calls that several modules need and std lacks: a clock without the vDSO, and retrying a
//! call that a signal interrupted. A call that only one module needs is in that module.

use std::io;

/// Repeats a call for as long as a signal interrupts it.
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

/// Nanoseconds of the monotonic clock, from its own zero.
pub(crate) fn monotonic_ns() -> u64 {
    let now = ask(libc::CLOCK_MONOTONIC);
    let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or_default();
    seconds(now).saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

/// The monotonic clock that continues while the machine is suspended.
#[cfg(target_os = "linux")]
pub(crate) const BOOTTIME: libc::clockid_t = libc::CLOCK_BOOTTIME;
/// On macOS the monotonic clock does that itself.
#[cfg(not(target_os = "linux"))]
pub(crate) const BOOTTIME: libc::clockid_t = libc::CLOCK_MONOTONIC;

/// Reads `clock` by a plain system call, 0.1 µs. The C library would use the vDSO, whose set-up
/// costs a first reply three page faults.
pub(crate) fn ask(clock: libc::clockid_t) -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // JUSTIFICATION: std has no clock that avoids the vDSO.
    // SAFETY: the call writes one timespec, which is there.
    #[cfg(target_os = "linux")]
    unsafe {
        libc::syscall(libc::SYS_clock_gettime, clock, &raw mut now)
    };
    // JUSTIFICATION: std has no clock whose zero two processes share.
    // SAFETY: the same.
    #[cfg(not(target_os = "linux"))]
    unsafe {
        libc::clock_gettime(clock, &raw mut now)
    };
    now
}

/// Whole seconds; for the real-time clock since the Unix epoch.
pub(crate) fn seconds(now: libc::timespec) -> u64 {
    u64::try_from(now.tv_sec).unwrap_or_default()
}
