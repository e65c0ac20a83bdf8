//! Waiting in a handler without holding up others.

use super::waiting::{is_coroutine, leave};
use std::time::Duration;

/// Waits; in a coroutine others run meanwhile, on the same thread. `std::thread::sleep` would stop
/// them all.
///
/// Thread-local variables may be others' afterwards: the coroutine may go on on another thread.
pub fn sleep(duration: Duration) {
    if is_coroutine() {
        may::coroutine::sleep(duration);
        // may wakes a sleeper on its timer thread, where work would hold up every other timer.
        may::coroutine::yield_now();
    } else {
        leave();
        std::thread::sleep(duration);
    }
}
