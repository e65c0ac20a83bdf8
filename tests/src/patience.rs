//! Time limits of tests, and waits for states without a notification.

use std::thread;
use std::time::{Duration, Instant};

/// Time after which a wait for something that should happen at once has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `is_so` returns true, with frequent checks. It is for states of the kernel (a
/// process's memory, its descriptors) without a notification of changes.
///
/// # Panics
/// With `what`, after [`PATIENCE`].
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "it did not become true: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
