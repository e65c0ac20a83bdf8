//! What time it is. In the boot lane by plain system calls, 0.1 µs each: the C library asks through
//! the vDSO, whose set-up costs a first reply three page faults. Later through it, by the kernel's
//! last tick where a second is what is wanted.

use super::lane::is_coroutine;
use crate::deadline::Arrival;
use crate::wire::date;
use std::cell::Cell;
use std::time::Instant;

/// This second as the Date field has it (RFC 9110, section 5.6.7).
pub(super) fn today() -> [u8; 29] {
    if is_coroutine() {
        this_second()
    } else {
        date::imf_fixdate(seconds(ask(libc::CLOCK_REALTIME)))
    }
}

/// Written once a second and thread.
// a coroutine may come back on another thread: the variable's address must not be kept across calls
#[inline(never)]
fn this_second() -> [u8; 29] {
    thread_local! {
        static LAST: Cell<(u64, [u8; 29])> = const { Cell::new((0, [0; 29])) };
    }
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // JUSTIFICATION: std has no clock that is content with the last tick.
    // SAFETY: the call writes one timespec, which is there.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &raw mut now) };
    let (second, mut text) = LAST.get();
    if second != seconds(now) {
        text = date::imf_fixdate(seconds(now));
        LAST.set((seconds(now), text));
    }
    text
}

/// Since the Unix epoch.
fn seconds(now: libc::timespec) -> u64 {
    u64::try_from(now.tv_sec).unwrap_or_default()
}

/// A request is there.
pub(super) fn arrival() -> Arrival {
    if is_coroutine() { Arrival::at(Instant::now()) } else { Arrival::at_monotonic(monotonic_ns()) }
}

/// Nanoseconds by the monotonic clock, from its own zero.
pub(crate) fn monotonic_ns() -> u64 {
    let now = ask(libc::CLOCK_MONOTONIC);
    let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or_default();
    seconds(now).saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

fn ask(clock: libc::clockid_t) -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // JUSTIFICATION: std has no clock that is not the vDSO's.
    // SAFETY: the call writes one timespec, which is there.
    unsafe { libc::syscall(libc::SYS_clock_gettime, clock, &raw mut now) };
    now
}
