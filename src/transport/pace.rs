//! Minimum rates, as arithmetic: how long a peer may still be waited for. Time and bytes are
//! arguments; there is no clock and no socket here.
//!
//! A peer has a credit of time. Waiting for it uses the credit up, and its bytes refill it: each
//! byte gives as much time as the minimum rate allows for one. So the rate holds on average, a
//! quick peer may pause, and a burst never buys more than the limit of a single wait. The model is
//! Kestrel's `MinRequestBodyDataRate` and `MinResponseDataRate`.

use super::limits::MinRate;
use std::time::Duration;

/// Time after which a peer counts as behind its rate at the largest number of connections, in place
/// of the grace: a new connection waits no longer for an unused slot. In nanoseconds.
const PATIENCE_NS: i64 = 200_000_000;

/// A peer's progress against its minimum rate, over one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Time that a byte gives, in nanoseconds; 0: there is no minimum.
    byte_ns: u64,
    /// Longest wait without a byte, what is left of it, and the largest credits: all in
    /// nanoseconds.
    longest_ns: i64,
    silent_ns: i64,
    most_ns: i64,
    brisk_most_ns: i64,
    /// Time left until the rate is missed; below 0 it is.
    left_ns: i64,
    /// Time left until the peer may lose its slot, in nanoseconds; below 0 it may, the lowest
    /// first.
    brisk_ns: i64,
    /// Whether moved bytes count for that. Not at first for a peer that reads: its system accepts
    /// some hundred KiB that the peer never reads.
    counts: bool,
}

impl Pace {
    /// At the beginning of a message. `longest`: the longest single wait, whatever came before it.
    pub(super) fn new(rate: MinRate, longest: Duration) -> Pace {
        let longest_ns = nanoseconds(longest);
        let grace_ns = nanoseconds(rate.grace);
        let byte_ns = match rate.bytes_per_second {
            0 => 0,
            bytes => (1_000_000_000 / u64::from(bytes)).max(1),
        };
        Pace {
            byte_ns,
            longest_ns,
            silent_ns: longest_ns,
            most_ns: longest_ns.max(grace_ns),
            brisk_most_ns: grace_ns.max(PATIENCE_NS),
            left_ns: if byte_ns == 0 { i64::MAX } else { grace_ns },
            brisk_ns: PATIENCE_NS,
            counts: true,
        }
    }

    /// For a peer that need not send anything for `long`. It has been silent for `quiet`, and may
    /// lose its slot once it is silent for longer than `keeps`.
    #[cfg(feature = "websocket")]
    pub(super) fn silent((keeps, quiet): (Duration, Duration), long: Duration) -> Pace {
        let pace = Pace::new(MinRate::NONE, long);
        let brisk_ns = nanoseconds(keeps).saturating_sub(nanoseconds(quiet));
        // A byte counts as much as it can: it ends the silence.
        Pace { byte_ns: u64::MAX, left_ns: i64::MAX, brisk_ns, brisk_most_ns: brisk_ns, ..pace }
    }

    /// The same for a peer that reads.
    pub(super) fn of_reader(rate: MinRate, longest: Duration) -> Pace {
        Pace { counts: false, ..Pace::new(rate, longest) }
    }

    /// Counts bytes that the peer has sent or taken.
    pub(super) fn moved(&mut self, bytes: u64) {
        let counts = self.counts;
        self.counts |= self.brisk_ns <= 0;
        if bytes == 0 {
            return;
        }
        self.silent_ns = self.longest_ns;
        if self.byte_ns == 0 {
            self.left_ns = i64::MAX;
            return;
        }
        let gain = i64::try_from(bytes.saturating_mul(self.byte_ns)).unwrap_or(i64::MAX);
        self.left_ns = self.left_ns.saturating_add(gain).min(self.most_ns);
        if counts {
            self.brisk_ns = self.brisk_ns.saturating_add(gain).min(self.brisk_most_ns);
        }
    }

    /// Counts time in which the server waited for the peer.
    pub(super) fn waited(&mut self, ns: u64) {
        let ns = i64::try_from(ns).unwrap_or(i64::MAX);
        self.silent_ns = self.silent_ns.saturating_sub(ns);
        self.left_ns = self.left_ns.saturating_sub(ns);
        self.brisk_ns = self.brisk_ns.saturating_sub(ns);
    }

    /// How much longer it may be waited for.
    pub(super) fn left_ns(&self) -> u64 {
        u64::try_from(self.left_ns.min(self.silent_ns)).unwrap_or(0)
    }

    /// How long it has been behind, for the choice of a slot to free, in nanoseconds; `None` if it
    /// keeps up, or has no minimum.
    pub(super) fn behind_ns(&self) -> Option<u64> {
        u64::try_from(self.brisk_ns.saturating_neg()).ok().filter(|ns| *ns > 0 && self.byte_ns > 0)
    }
}

fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const RATE: MinRate = MinRate { bytes_per_second: 240, grace: Duration::from_secs(5) };
    const LONGEST: Duration = Duration::from_secs(30);

    /// Seconds until the rate is missed by a peer that sends `bytes` each second, up to 1000.
    fn missed_after(rate: MinRate, bytes: u64) -> Option<u64> {
        let mut pace = Pace::new(rate, LONGEST);
        (1..1000).find(|_| {
            pace.waited(SECOND);
            let missed = pace.left_ns() == 0;
            pace.moved(bytes);
            missed
        })
    }

    #[test]
    fn a_peer_below_the_rate_is_found_after_the_grace_and_one_at_the_rate_never() {
        assert_eq!(missed_after(RATE, 0), Some(5));
        assert_eq!(missed_after(RATE, 1), Some(6));
        assert_eq!(missed_after(RATE, 120), Some(9));
        assert_eq!(missed_after(RATE, 240), None);
        assert_eq!(missed_after(RATE, 1_000_000), None);
    }

    #[test]
    fn a_burst_buys_one_long_pause_and_no_more() {
        let mut pace = Pace::new(RATE, LONGEST);
        pace.moved(u64::MAX);
        assert_eq!(pace.left_ns(), 30 * SECOND);
        pace.waited(29 * SECOND);
        assert!(pace.left_ns() > 0);
        pace.moved(1);
        pace.waited(2 * SECOND);
        assert_eq!(pace.left_ns(), 0, "although the last byte came two seconds ago");
    }

    #[test]
    fn a_peer_that_is_behind_is_found_and_one_that_keeps_up_is_not() {
        let (mut trickles, mut quick) = (Pace::new(RATE, LONGEST), Pace::new(RATE, LONGEST));
        assert_eq!(trickles.behind_ns(), None, "no peer is behind at once");
        for _ in 0..3 {
            trickles.waited(SECOND);
            trickles.moved(1);
            quick.waited(SECOND / 10);
            quick.moved(100);
        }
        assert_eq!(quick.behind_ns(), None);
        assert!(trickles.behind_ns() > Some(2 * SECOND), "{trickles:?}");
        trickles.moved(2000);
        assert_eq!(trickles.behind_ns(), None, "it has caught up");
    }

    #[test]
    fn what_a_readers_system_takes_at_first_does_not_make_it_quick() {
        let mut pace = Pace::of_reader(RATE, LONGEST);
        pace.moved(500_000);
        pace.waited(SECOND);
        pace.moved(500_000);
        assert!(pace.behind_ns().is_some());
        pace.moved(1000);
        assert_eq!(pace.behind_ns(), None, "it reads on");
    }

    #[test]
    fn without_a_minimum_each_wait_has_all_its_time_and_no_peer_is_behind() {
        let mut pace = Pace::new(MinRate { bytes_per_second: 0, grace: Duration::MAX }, LONGEST);
        pace.waited(29 * SECOND);
        assert_eq!((pace.left_ns(), pace.behind_ns()), (SECOND, None));
        pace.moved(1);
        assert_eq!(pace.left_ns(), 30 * SECOND);
    }

    #[test]
    fn the_limit_of_a_wait_does_not_shorten_the_grace() {
        let mut pace = Pace::new(RATE, Duration::from_secs(1));
        for _ in 0..4 {
            pace.waited(SECOND - 1);
            assert!(pace.left_ns() > 0);
            pace.moved(1);
        }
        pace.waited(SECOND);
        assert_eq!(pace.left_ns(), 0);
    }

    #[test]
    fn no_limit_is_too_long_to_be_counted() {
        let forever = MinRate { bytes_per_second: 1, grace: Duration::MAX };
        let mut pace = Pace::new(forever, Duration::MAX);
        pace.moved(u64::MAX);
        pace.waited(u64::MAX);
        assert_eq!(pace.left_ns(), 0);
    }
}
