//! Limit on log lines about refusals: peers' mistakes that no handler saw. A peer can cause any
//! number of them. If nobody reads the log, its pipe fills, and the next write blocks the server.
//! So the first lines of a second are written if the log takes them without waiting. The others
//! are counted, and one line has their number. The function's own failures are not limited.
//!
//! The log's descriptor is not made non-blocking instead: that is a property of the open file
//! (open(2), O_NONBLOCK), which other processes share, and it would lose the function's lines too.

use super::{FAILURES, has_room, write};
use crate::sys::monotonic_ns;
use log::Level;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Largest number of such lines in one second. Threads that log at the same moment may each write
/// one more.
const MOST_LINES: u32 = 20;
const SECOND_NS: u64 = 1_000_000_000;

static FLOOD: Flood = Flood::new();

/// The lines of one second. Separate atomics are enough: it does not matter in which of two seconds
/// a line is counted.
struct Flood {
    /// End of the second, by the monotonic clock.
    ends_ns: AtomicU64,
    written: AtomicU32,
    held_back: AtomicU64,
}

impl Flood {
    const fn new() -> Flood {
        Flood {
            ends_ns: AtomicU64::new(0),
            written: AtomicU32::new(0),
            held_back: AtomicU64::new(0),
        }
    }

    /// Whether one more line may be written; it is counted otherwise.
    fn admits(&self, now_ns: u64, has_room: impl FnOnce() -> bool) -> bool {
        if now_ns >= self.ends_ns.load(Ordering::Relaxed) {
            self.ends_ns.store(now_ns.saturating_add(SECOND_NS), Ordering::Relaxed);
            self.written.store(0, Ordering::Relaxed);
        }
        if self.written.load(Ordering::Relaxed) < MOST_LINES && has_room() {
            self.written.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        self.held_back.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// Whether lines were held back whose number is not written yet.
    fn owes(&self) -> bool {
        self.held_back.load(Ordering::Relaxed) > 0
    }

    /// Number of lines that were held back since the last call.
    fn take(&self) -> u64 {
        self.held_back.swap(0, Ordering::Relaxed)
    }
}

/// Whether a line about a peer's mistake may be written now. If not, it is counted.
#[cold]
#[inline(never)]
pub(crate) fn admits_mistake() -> bool {
    if Level::Warn as usize > FAILURES.load(Ordering::Relaxed) {
        return false;
    }
    mistakes_due();
    FLOOD.admits(monotonic_ns(), has_room)
}

/// Writes how many lines were held back, once their second is over. Returns when to call again, by
/// the monotonic clock; `u64::MAX` if nothing is owed, or nobody reads: then the next mistake asks
/// again.
pub(crate) fn mistakes_due() -> u64 {
    if FLOOD.owes() { report(false) } else { u64::MAX }
}

/// Writes that number at the end of the process.
pub(crate) fn mistakes_at_the_end() {
    if FLOOD.owes() {
        report(true);
    }
}

#[cold]
#[inline(never)]
fn report(at_once: bool) -> u64 {
    let (now_ns, ends_ns) = (monotonic_ns(), FLOOD.ends_ns.load(Ordering::Relaxed));
    if now_ns < ends_ns && !at_once {
        return ends_ns;
    }
    if has_room() {
        // Zero if another thread was quicker.
        let lines = FLOOD.take();
        if lines > 0 {
            write(Level::Warn, "firstbyte", "", format_args!("\u{2026} {lines} refusals"));
        }
    }
    u64::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_of_a_second_are_written_and_the_others_counted() {
        let flood = Flood::new();
        let written = |now_ns| (0..100).filter(|_| flood.admits(now_ns, || true)).count();
        assert_eq!(written(5 * SECOND_NS), 20);
        assert_eq!(written(6 * SECOND_NS - 1), 0, "it is the same second");
        assert_eq!(flood.take(), 180);
        assert_eq!(written(6 * SECOND_NS), 20);
        assert_eq!(flood.take(), 80);
    }

    #[test]
    fn a_line_that_nobody_would_read_is_counted_too() {
        let flood = Flood::new();
        for second in 0..30 {
            assert!(!flood.admits(second * SECOND_NS, || false));
        }
        assert!(flood.admits(30 * SECOND_NS, || true), "somebody reads again");
        assert_eq!(flood.take(), 30);
        assert_eq!(flood.take(), 0);
    }
}
