//! What clock.rs is on Linux, on other systems: nothing is measured there, results are read.

use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// Nanoseconds since this was asked first.
pub fn now_ns() -> u64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    u64::try_from(FIRST.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds from then to now; 0 if then lies ahead.
pub fn since_ns(then_ns: u64) -> u64 {
    now_ns().saturating_sub(then_ns)
}

/// Sleeps until the moment.
pub fn sleep_until_ns(moment_ns: u64) {
    thread::sleep(Duration::from_nanos(moment_ns.saturating_sub(now_ns())));
}

/// There is nothing to set.
pub fn sleep_exactly() {}
