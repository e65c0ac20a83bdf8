//! Time limits of tests, and waiting for events without a signal.

use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for what should happen at once, before it says that it did not.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `is_so`, looking often. For states of the kernel (a process's memory, its
/// descriptors) that send no signal when they change.
///
/// # Panics
/// With `what`, after [`PATIENCE`].
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "never came true: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
