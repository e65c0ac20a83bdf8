//! Clock access: raw system calls in the boot lane, the vDSO after it. The C library uses the vDSO,
//! whose set-up costs a first reply three page faults; later it is the cheaper way. Where seconds
//! are enough, the time of the kernel's last tick is used.

use super::waiting::is_lane;
use crate::deadline::Arrival;
use crate::sys::{ask, monotonic_ns, seconds};
use crate::wire::date;
use std::cell::Cell;
use std::time::Instant;

/// The current second in the Date field's form (RFC 9110, section 5.6.7).
pub(super) fn today() -> [u8; 29] {
    if is_lane() { date::imf_fixdate(seconds(ask(libc::CLOCK_REALTIME))) } else { this_second() }
}

/// Date field, cached per thread and refreshed each second.
// A coroutine may continue on another thread: the variable's address must not be kept across calls.
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

/// Arrival of a request now.
pub(super) fn arrival() -> Arrival {
    if is_lane() { Arrival::at_monotonic(monotonic_ns()) } else { Arrival::at(Instant::now()) }
}

/// Nanoseconds of the monotonic clock, from its own zero.
pub(super) fn now_ns() -> u64 {
    if is_lane() { monotonic_ns() } else { vdso_ns(libc::CLOCK_MONOTONIC) }
}

/// The same at the kernel's last tick, at most some milliseconds ago: a fifth of the price.
pub(super) fn coarse_ns() -> u64 {
    vdso_ns(libc::CLOCK_MONOTONIC_COARSE)
}

fn vdso_ns(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // JUSTIFICATION: std's Instant has no numeric value, and no coarse clock.
    // SAFETY: the call writes one timespec, which is there.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or_default();
    seconds(now).saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}
