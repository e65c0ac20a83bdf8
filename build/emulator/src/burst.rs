//! Burst limit: how many instances are started per minute; beyond it a request is refused at once,
//! with 429. Platform page 583/46743: 500 per minute and region, all functions together. The time
//! is an argument; there is no clock here.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The platform's unit: a minute.
const WINDOW: Duration = Duration::from_secs(60);

/// Starts of the last minute, and their limit.
#[derive(Clone, Debug)]
pub struct Burst {
    limit: usize,
    started: VecDeque<Instant>,
}

impl Burst {
    /// At most `limit` starts a minute.
    pub fn new(limit: usize) -> Burst {
        Burst { limit, started: VecDeque::new() }
    }

    /// Sets the limit; earlier starts still count.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Whether one more instance may start now; it is then counted.
    pub fn admits(&mut self, now: Instant) -> bool {
        while self.started.front().is_some_and(|&at| now.duration_since(at) >= WINDOW) {
            self.started.pop_front();
        }
        let admits = self.started.len() < self.limit;
        if admits {
            self.started.push_back(now);
        }
        admits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_later_there_is_room_again() {
        let (mut burst, now) = (Burst::new(2), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(
            [0, 30, 59, 60, 61, 90].map(|seconds| burst.admits(at(seconds))),
            [true, true, false, true, false, true]
        );
    }
}
