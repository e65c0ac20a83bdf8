//! When a byte sent into a link comes out at the other end: serialisation at the link's rate,
//! half a round trip of distance, and TCP's slow start. Pure: time enters as a value, nothing
//! sleeps here. Not modelled: loss, congestion avoidance, queues of finite length, headers below TCP.

use std::collections::VecDeque;

use crate::link::Link;

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
            rate => u64::try_from(u128::from(bytes) * 8_000_000_000 / u128::from(rate)).unwrap_or(u64::MAX),
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
    /// When the sender hears that bytes have arrived, and how many; ascending.
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

    /// Sends `bytes` (at most a window's worth at a time, see [`Flow::largest_piece`]) that were
    /// ready at `now_ns`; returns when the last of them arrives.
    pub fn send(&mut self, wire: &mut Wire, link: &Link, now_ns: u64, bytes: u64) -> u64 {
        let mut ready = now_ns;
        self.hear_until(ready);
        while self.in_flight_bytes > 0 && self.in_flight_bytes + bytes > self.window_bytes {
            let Some(&(at, _)) = self.acknowledgements.front() else { break };
            ready = ready.max(at);
            self.hear_until(ready);
        }
        let arrives = wire.carry(link, ready, bytes).saturating_add(self.one_way_ns);
        self.in_flight_bytes += bytes;
        self.acknowledgements.push_back((arrives.saturating_add(self.one_way_ns), bytes));
        arrives
    }

    /// The most bytes to hand to one [`Flow::send`], so that a window is filled in pieces.
    pub fn largest_piece(&self) -> usize {
        INITIAL_WINDOW_BYTES as usize / 2
    }

    /// Every acknowledged byte widens the window by one byte: it doubles each round trip (RFC 5681, 3.1).
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

/// How long `bytes` take over an idle link on a connection that has sent nothing yet: from the first byte
/// sent to the last one received.
pub fn transfer_ns(link: &Link, bytes: u64) -> u64 {
    let (mut wire, mut flow) = (Wire::default(), Flow::new(link));
    let (mut left, mut last_ns) = (bytes, 0);
    while left > 0 {
        let piece = left.min(flow.largest_piece() as u64);
        last_ns = flow.send(&mut wire, link, 0, piece);
        left -= piece;
    }
    last_ns
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_small_message_takes_half_a_round_trip() {
        assert_eq!(transfer_ns(&Link::cross_region(), 125), 15 * MS + 10_000); // 125 bytes at 100 Mbit/s: 10 us
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
        assert!((1.0..1.02).contains(&seconds), "{seconds}"); // 12.5 MB at 100 Mbit/s, and slow start
    }

    #[test]
    fn two_connections_share_the_wire() {
        let link: Link = "8Mbit/0ms".parse().unwrap(); // a byte a microsecond
        let mut wire = Wire::default();
        let (mut one, mut two) = (Flow::new(&link), Flow::new(&link));
        assert_eq!(one.send(&mut wire, &link, 0, 1000), MS);
        assert_eq!(two.send(&mut wire, &link, 0, 1000), 2 * MS);
    }
}
