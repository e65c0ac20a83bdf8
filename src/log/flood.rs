//! Limit on lines about peers' mistakes that no handler saw: what the server refuses. A peer can
//! make any number of them, and a log that nobody reads is a full pipe that blocks its writer, and
//! with it every connection. So the first lines of a second are written, if the log takes them
//! without waiting; the others are counted, and one line has their number. The function's own
//! failures are not limited.
//!
//! The log's descriptor is not made non-blocking instead: that is a property of the open file
//! (open(2), O_NONBLOCK), which other processes share, and it would lose the function's lines too.

use super::{FAILURES, has_room, write};
use crate::sys::monotonic_ns;
use log::Level;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Largest number of such lines in one second.
const MOST_LINES: u32 = 20;
const SECOND_NS: u64 = 1_000_000_000;

static FLOOD: Mutex<Flood> = Mutex::new(Flood::NONE);
/// Whether lines were held back whose number is not written yet.
static OWES: AtomicBool = AtomicBool::new(false);

/// The lines of one second.
struct Flood {
    /// End of the second, by the monotonic clock.
    ends_ns: u64,
    written: u32,
    held_back: u64,
    /// When the first of those was held back.
    since_ns: u64,
}

impl Flood {
    const NONE: Flood = Flood { ends_ns: 0, written: 0, held_back: 0, since_ns: 0 };

    /// Whether one more line may be written; it is counted otherwise.
    fn admits(&mut self, now_ns: u64, has_room: impl FnOnce() -> bool) -> bool {
        if now_ns >= self.ends_ns {
            self.ends_ns = now_ns.saturating_add(SECOND_NS);
            self.written = 0;
        }
        if self.written < MOST_LINES && has_room() {
            self.written += 1;
            return true;
        }
        if self.held_back == 0 {
            self.since_ns = now_ns;
        }
        self.held_back += 1;
        false
    }

    /// Number of lines that were held back, and in how many seconds.
    fn take(&mut self, now_ns: u64) -> (u64, u64) {
        let seconds = (now_ns.saturating_sub(self.since_ns) + SECOND_NS / 2) / SECOND_NS;
        (std::mem::take(&mut self.held_back), seconds.max(1))
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
    let mut flood = lock();
    let admits = flood.admits(monotonic_ns(), has_room);
    if !admits {
        OWES.store(true, Ordering::Relaxed);
    }
    admits
}

/// Writes how many lines were held back, once their second is over. Returns when to call again, by
/// the monotonic clock; `u64::MAX` if nothing is owed, or nobody reads: then the next mistake asks
/// again.
pub(crate) fn mistakes_due() -> u64 {
    if OWES.load(Ordering::Relaxed) { report(false) } else { u64::MAX }
}

/// Writes that number at the end of the process.
pub(crate) fn mistakes_at_the_end() {
    if OWES.load(Ordering::Relaxed) {
        report(true);
    }
}

#[cold]
#[inline(never)]
fn report(at_once: bool) -> u64 {
    let mut flood = lock();
    let now_ns = monotonic_ns();
    if now_ns < flood.ends_ns && !at_once {
        return flood.ends_ns;
    }
    if has_room() && OWES.swap(false, Ordering::Relaxed) {
        let (lines, seconds) = flood.take(now_ns);
        drop(flood);
        match seconds {
            1 => write(
                Level::Warn,
                "firstbyte",
                "",
                format_args!("… {lines} more in the last second"),
            ),
            _ => write(
                Level::Warn,
                "firstbyte",
                "",
                format_args!("… {lines} more in the last {seconds} seconds"),
            ),
        }
    }
    u64::MAX
}

fn lock() -> MutexGuard<'static, Flood> {
    FLOOD.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_of_a_second_are_written_and_the_others_counted() {
        let mut flood = Flood::NONE;
        let written =
            |flood: &mut Flood, now_ns| (0..100).filter(|_| flood.admits(now_ns, || true)).count();
        assert_eq!(written(&mut flood, 5 * SECOND_NS), 20);
        assert_eq!(written(&mut flood, 6 * SECOND_NS - 1), 0, "it is the same second");
        assert_eq!(flood.take(6 * SECOND_NS), (180, 1));
        assert_eq!(written(&mut flood, 6 * SECOND_NS), 20);
        assert_eq!(flood.take(7 * SECOND_NS), (80, 1));
    }

    #[test]
    fn a_line_that_nobody_would_read_is_counted_too() {
        let mut flood = Flood::NONE;
        for second in 0..30 {
            assert!(!flood.admits(second * SECOND_NS, || false));
        }
        assert!(flood.admits(30 * SECOND_NS, || true), "somebody reads again");
        assert_eq!(flood.take(30 * SECOND_NS), (30, 30));
        assert_eq!(flood.take(30 * SECOND_NS).0, 0);
    }
}
