//! Model of a link: computes when a byte arrives at the other end, from serialisation at the link's
//! rate, half a round trip, and TCP's slow start. Pure: time is an argument, and nothing sleeps.
//! Not modelled: loss, congestion avoidance, queues of finite length, headers below TCP.

use crate::link::Link;
use std::collections::VecDeque;

/// Initial congestion window: ten segments (RFC 6928) of 1460 bytes.
const INITIAL_WINDOW_BYTES: u64 = 10 * 1460;

/// The wire of one direction, shared by every connection of a link: one byte at a time.
#[derive(Debug, Default)]
pub struct Wire {
    free_at_ns: u64,
}

impl Wire {
    /// Puts `bytes` on the wire at `ready_ns` or when it is free, whichever is later; returns when
    /// the last of them has left the sender.
    fn carry(&mut self, link: &Link, ready_ns: u64, bytes: u64) -> u64 {
        let begin = self.free_at_ns.max(ready_ns);
        let takes = match link.rate_bits_per_second {
            0 => 0,
            rate => u64::try_from(u128::from(bytes) * 8_000_000_000 / u128::from(rate))
                .unwrap_or(u64::MAX),
        };
        self.free_at_ns = begin.saturating_add(takes);
        self.free_at_ns
    }
}

/// One direction of one connection. Slow start is per connection, the wire is shared.
#[derive(Debug)]
pub struct Flow {
    one_way_ns: u64,
    window_bytes: u64,
    in_flight_bytes: u64,
    /// When the sender learns that bytes have arrived, and how many; ascending.
    acknowledgements: VecDeque<(u64, u64)>,
}

impl Flow {
    /// A fresh connection's direction.
    pub fn new(link: &Link) -> Self {
        Self {
            one_way_ns: u64::try_from(link.round_trip.as_nanos() / 2).unwrap_or(u64::MAX),
            window_bytes: INITIAL_WINDOW_BYTES,
            in_flight_bytes: 0,
            acknowledgements: VecDeque::new(),
        }
    }

    /// The time at which the window allows `bytes` that were ready at `now_ns` to leave: at once,
    /// or with the acknowledgement that makes room. `bytes` is at most one window, see
    /// [`Flow::largest_piece`]. Do not occupy the wire before that time: while a sender waits for
    /// an acknowledgement, others use the wire.
    pub fn leaves_ns(&mut self, now_ns: u64, bytes: u64) -> u64 {
        let mut leaves = now_ns;
        self.hear_until(leaves);
        while self.in_flight_bytes > 0 && self.in_flight_bytes + bytes > self.window_bytes {
            let Some(&(at, _)) = self.acknowledgements.front() else { break };
            leaves = leaves.max(at);
            self.hear_until(leaves);
        }
        leaves
    }

    /// Sends `bytes` at the time from [`Flow::leaves_ns`]; returns when the last of them arrives.
    pub fn send(&mut self, wire: &mut Wire, link: &Link, leaves_ns: u64, bytes: u64) -> u64 {
        let arrives = wire.carry(link, leaves_ns, bytes).saturating_add(self.one_way_ns);
        self.in_flight_bytes += bytes;
        self.acknowledgements.push_back((arrives.saturating_add(self.one_way_ns), bytes));
        arrives
    }

    /// Largest number of bytes for one [`Flow::send`], so that a window is filled in pieces.
    pub fn largest_piece(&self) -> usize {
        INITIAL_WINDOW_BYTES as usize / 2
    }

    /// Every acknowledged byte widens the window by one byte: it doubles each round trip (RFC 5681,
    /// 3.1).
    fn hear_until(&mut self, now_ns: u64) {
        while let Some(&(at, bytes)) = self.acknowledgements.front()
            && at <= now_ns
        {
            self.acknowledgements.pop_front();
            self.in_flight_bytes -= bytes;
            self.window_bytes = self.window_bytes.saturating_add(bytes);
        }
    }
}

/// Transfer time of `bytes` over an idle link on a new connection, from the first byte sent to the
/// last one received.
pub fn transfer_ns(link: &Link, bytes: u64) -> u64 {
    arrivals_ns(link, &[(0, bytes)]).first().copied().unwrap_or(0)
}

/// Arrival times of several transfers over one link; each has a start and a size in bytes. The
/// transfer that may send first uses the wire.
pub fn arrivals_ns(link: &Link, transfers: &[(u64, u64)]) -> Vec<u64> {
    let mut wire = Wire::default();
    let mut arrivals: Vec<u64> = transfers.iter().map(|&(begins_ns, _)| begins_ns).collect();
    // The remaining bytes of each, its flow, and the time at which its next piece may leave.
    let mut under_way: Vec<(usize, u64, Flow, u64)> = transfers
        .iter()
        .enumerate()
        .map(|(i, &(begins_ns, bytes))| (i, bytes, Flow::new(link), begins_ns))
        .collect();
    loop {
        under_way.retain(|(_, left, ..)| *left > 0);
        let Some((i, left, flow, leaves_ns)) =
            under_way.iter_mut().min_by_key(|(_, _, _, leaves_ns)| *leaves_ns)
        else {
            return arrivals;
        };
        let piece = (*left).min(flow.largest_piece() as u64);
        arrivals[*i] = flow.send(&mut wire, link, *leaves_ns, piece);
        *left -= piece;
        *leaves_ns = flow.leaves_ns(*leaves_ns, (*left).min(flow.largest_piece() as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_small_message_takes_half_a_round_trip() {
        // 125 bytes at 100 Mbit/s: 10 us
        assert_eq!(transfer_ns(&Link::cross_region(), 125), 15 * MS + 10_000);
    }

    #[test]
    fn nothing_is_delayed_on_loopback() {
        assert_eq!(transfer_ns(&Link::loopback(), 1 << 20), 0);
    }

    #[test]
    fn a_window_more_costs_a_round_trip_more() {
        let link: Link = "1000Gbit/30ms".parse().unwrap();
        assert_eq!(transfer_ns(&link, 14_600) / MS, 15);
        assert_eq!(transfer_ns(&link, 14_601) / MS, 45); // 10 segments, then 20 ...
        assert_eq!(transfer_ns(&link, 14_600 + 29_200) / MS, 45);
        assert_eq!(transfer_ns(&link, 14_600 + 29_200 + 1) / MS, 75);
    }

    #[test]
    fn a_long_transfer_runs_at_the_rate() {
        let link: Link = "100Mbit/2ms".parse().unwrap();
        let seconds = transfer_ns(&link, 12_500_000) as f64 / 1e9;
        // 12.5 MB at 100 Mbit/s, and slow start
        assert!((1.0..1.02).contains(&seconds), "{seconds}");
    }

    #[test]
    fn two_connections_share_the_wire() {
        let link: Link = "8Mbit/0ms".parse().unwrap(); // a byte a microsecond
        let mut wire = Wire::default();
        let (mut one, mut two) = (Flow::new(&link), Flow::new(&link));
        assert_eq!(one.send(&mut wire, &link, 0, 1000), MS);
        assert_eq!(two.send(&mut wire, &link, 0, 1000), 2 * MS);
    }

    /// Regression: a sender that waited for an acknowledgement occupied the wire meanwhile. Two
    /// flows of 446 KB that began some milliseconds apart took 296 ms in place of 174.
    #[test]
    fn a_flow_that_waits_for_an_acknowledgement_leaves_the_wire_to_the_others() {
        let (link, bytes) = (Link::cross_region(), 446_000);
        let alone = transfer_ns(&link, bytes);
        let on_the_wire = bytes * 8 * 10; // nanoseconds at 100 Mbit/s
        for begins_ns in [0, MS, 5 * MS, 7 * MS, 14 * MS, 40 * MS, 1000 * MS] {
            let arrived = arrivals_ns(&link, &[(0, bytes), (begins_ns, bytes)]);
            // Each is delayed at most by the bytes of the other on the wire.
            assert!(
                (alone..=alone + on_the_wire).contains(&arrived[0]),
                "{begins_ns}: {arrived:?}, alone {alone}"
            );
            let second = arrived[1] - begins_ns;
            assert!(
                (alone..=alone + on_the_wire).contains(&second),
                "{begins_ns}: {arrived:?}, alone {alone}"
            );
        }
    }

    #[test]
    fn the_wire_carries_its_rate_for_any_number_of_flows() {
        let link: Link = "100Mbit/2ms".parse().unwrap();
        let transfers: Vec<_> = (0..16).map(|i| (i * 300_000, 1_250_000)).collect();
        let last = arrivals_ns(&link, &transfers).into_iter().max().unwrap() as f64 / 1e9;
        assert!((1.6..1.63).contains(&last), "{last} s"); // 20 MB at 12.5 MB/s
    }
}
