//! Sleep of a handler, which does not delay other requests.

use super::handling::Blocks;
use super::lookout;
use super::waiting::is_lane;
use std::time::Duration;

/// Sleeps for `duration`. Other requests are served meanwhile, from the start; with
/// `std::thread::sleep` they wait for some 10 ms first.
pub fn sleep(duration: Duration) {
    if is_lane() {
        return lookout::sleep(duration);
    }
    let _blocks = Blocks::begin();
    std::thread::sleep(duration);
}
