//! Waiting in a handler without holding up others.

use super::handling::Blocks;
use super::lookout;
use super::waiting::is_lane;
use std::time::Duration;

/// Waits. The handler's thread sleeps, and others are served meanwhile: at once, where
/// `std::thread::sleep` holds them up for some 10 ms first.
pub fn sleep(duration: Duration) {
    if is_lane() {
        return lookout::sleep(duration);
    }
    let _blocks = Blocks::begin();
    std::thread::sleep(duration);
}
