//! Clock of all benches: CLOCK_MONOTONIC in nanoseconds, the same clock as in the instances, and a
//! sleep that ends within microseconds of its time. tokio's timers have steps of a millisecond, so
//! measurements do not use them.

use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};
use std::time::Duration;

/// Nanoseconds of CLOCK_MONOTONIC.
pub fn now_ns() -> u64 {
    let now =
        clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC exists on every Linux");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

/// Nanoseconds from `then_ns` to now; 0 if it is in the future.
pub fn since_ns(then_ns: u64) -> u64 {
    now_ns().saturating_sub(then_ns)
}

/// Sleeps until a time and not for a duration, so that delays do not add up.
pub fn sleep_until_ns(moment_ns: u64) {
    let moment = TimeSpec::from(Duration::from_nanos(moment_ns));
    while clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &moment)
        == Err(Errno::EINTR)
    {}
}

/// Makes the calling thread's sleeps end on time: by default the kernel may add 50 microseconds
/// (prctl(2), PR_SET_TIMERSLACK).
pub fn sleep_exactly() {
    let _ = nix::sys::prctl::set_timerslack(1);
}
