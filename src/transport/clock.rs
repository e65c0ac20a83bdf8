//! What time it is. In the boot lane by plain system calls, 0.1 µs each: std asks through the vDSO, whose set-up costs
//! a first reply three page faults. Later through std, which is faster from the second question on.

use super::lane::is_coroutine;
use crate::deadline::Arrival;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Seconds since the Unix epoch.
pub(super) fn unix_seconds() -> u64 {
    if is_coroutine() {
        return SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    }
    u64::try_from(ask(libc::CLOCK_REALTIME).tv_sec).unwrap_or_default()
}

/// A request is there.
pub(super) fn arrival() -> Arrival {
    if is_coroutine() { Arrival::at(Instant::now()) } else { Arrival::at_monotonic(monotonic_ns()) }
}

/// Nanoseconds by the monotonic clock, from its own zero.
pub(crate) fn monotonic_ns() -> u64 {
    let now = ask(libc::CLOCK_MONOTONIC);
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
    seconds.unwrap_or_default().saturating_mul(1_000_000_000).saturating_add(nanoseconds.unwrap_or_default())
}

fn ask(clock: libc::clockid_t) -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // JUSTIFICATION: std has no clock that is not the vDSO's.
    // SAFETY: the call writes one timespec, which is there.
    unsafe { libc::syscall(libc::SYS_clock_gettime, clock, &raw mut now) };
    now
}
