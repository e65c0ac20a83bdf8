//! Clock for systems other than Linux, where the benches measure nothing and only read results.

use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// Nanoseconds since the first call.
pub fn now_ns() -> u64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    u64::try_from(FIRST.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds from `then_ns` to now; 0 if it is in the future.
pub fn since_ns(then_ns: u64) -> u64 {
    now_ns().saturating_sub(then_ns)
}

/// Sleeps until a time.
pub fn sleep_until_ns(moment_ns: u64) {
    thread::sleep(Duration::from_nanos(moment_ns.saturating_sub(now_ns())));
}

/// Does nothing on these systems.
pub fn sleep_exactly() {}
