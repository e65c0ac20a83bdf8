//! Boot timeline: `FIRSTBYTE_BOOT_TRACE=1` makes a server print once, after its first reply, when
//! it reached each step. Without the variable it costs one look at the environment, and no system
//! call.

use crate::log;
use crate::sys::monotonic_ns;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Steps of the boot, in the usual order.
#[derive(Clone, Copy)]
pub(crate) enum Mark {
    Main,
    Listening,
    FirstRequest,
    FirstReply,
    Runtime,
}

const NAMES: [&str; 5] = ["main", "listening", "first request", "first reply", "runtime"];

struct Timeline {
    /// Whether the environment was looked at: `main!` begins before `serve` does.
    begun: AtomicBool,
    wanted: AtomicBool,
    /// By the monotonic clock; 0: not reached.
    reached_ns: [AtomicU64; NAMES.len()],
}

static TIMELINE: Timeline = Timeline {
    begun: AtomicBool::new(false),
    wanted: AtomicBool::new(false),
    reached_ns: [const { AtomicU64::new(0) }; NAMES.len()],
};

/// Begins the timeline if the variable is set. Called at the start of `main`.
pub(crate) fn begin(variable: impl Fn(&str) -> Option<String>) {
    let again = TIMELINE.begun.swap(true, Ordering::Relaxed);
    if !again && variable("FIRSTBYTE_BOOT_TRACE").is_some_and(|value| value == "1") {
        TIMELINE.wanted.store(true, Ordering::Relaxed);
        mark(Mark::Main);
    }
}

/// Records that `mark` is reached.
#[inline]
pub(crate) fn mark(mark: Mark) {
    if TIMELINE.wanted.load(Ordering::Relaxed) {
        TIMELINE.reached_ns[mark as usize].store(monotonic_ns(), Ordering::Relaxed);
    }
}

/// Prints the steps in one line.
pub(super) fn print() {
    if !TIMELINE.wanted.swap(false, Ordering::Relaxed) {
        return;
    }
    let exec_ns = std::env::var("FIRSTBYTE_EXEC_NS").ok().and_then(|text| text.parse().ok());
    let reached = TIMELINE.reached_ns.each_ref().map(|ns| ns.load(Ordering::Relaxed));
    let mut line = String::new();
    if write_line(&mut line, exec_ns, reached).is_ok() {
        log::announce(format_args!("{line}"));
    }
}

/// Writes `boot in µs since main: listening 21, first request 80, …`; since exec if the launcher
/// passed that time, by the clock that all processes share.
fn write_line(
    line: &mut String,
    exec_ns: Option<u64>,
    reached_ns: [u64; NAMES.len()],
) -> fmt::Result {
    let main_ns = reached_ns[Mark::Main as usize];
    let exec_ns = exec_ns.filter(|&exec_ns| exec_ns > 0 && exec_ns <= main_ns);
    let from = exec_ns.unwrap_or(main_ns);
    write!(line, "boot in µs since {}:", if exec_ns.is_some() { "exec" } else { "main" })?;
    let mut gap = " ";
    let mut last = from;
    // Searches the next step each time: sorting five of them would add 6 KiB to every function.
    while let Some((ns, name)) =
        reached_ns.into_iter().zip(NAMES).filter(|(ns, _)| *ns > last).min()
    {
        write!(line, "{gap}{name} {}", (ns - from) / 1000)?;
        (gap, last) = (", ", ns);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_the_steps_in_the_order_of_their_times() {
        let line = |exec_ns, reached_ns| {
            let mut line = String::new();
            write_line(&mut line, exec_ns, reached_ns).map(|()| line)
        };
        let reached = [1_000_000, 1_021_000, 1_300_900, 1_340_000, 1_500_000];
        let rest = "listening 21, first request 300, first reply 340, runtime 500";
        assert_eq!(line(None, reached), Ok(format!("boot in µs since main: {rest}")));
        assert_eq!(line(Some(1_000_001), reached), Ok(format!("boot in µs since main: {rest}")));
        let rest = "main 100, listening 121, runtime 150, first request 400, first reply 440";
        let reached = [1_000_000, 1_021_000, 1_300_900, 1_340_000, 1_050_000];
        assert_eq!(line(Some(900_000), reached), Ok(format!("boot in µs since exec: {rest}")));
        // Nine silent connections came first: the first request is an ordinary one.
        assert_eq!(
            line(None, [1_000, 2_000, 0, 0, 3_000]),
            Ok("boot in µs since main: listening 1, runtime 2".into())
        );
    }
}
