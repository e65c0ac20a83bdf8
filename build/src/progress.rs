//! Progress line of a push or pull on the terminal, updated at most ten times a second. It counts
//! nothing itself.

use microimage::inspect::size;
use microimage::registry::{Progress, Report};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_millis(100);

/// A report that writes on standard error and clears its line at the end.
pub fn on_terminal() -> Report {
    let painted: Mutex<Option<Instant>> = Mutex::new(None);
    Arc::new(move |progress| {
        let Ok(mut painted) = painted.lock() else { return };
        let is_over = progress.blobs_done >= progress.blobs;
        if !is_over && painted.is_some_and(|at| at.elapsed() < INTERVAL) {
            return;
        }
        *painted = Some(Instant::now());
        let text = if is_over { String::new() } else { line(progress) };
        // A closed terminal must not stop the transfer.
        let _ = write!(io::stderr(), "\r\x1b[K{text}");
    })
}

fn line(progress: &Progress) -> String {
    format!(
        "{} {} of {}, {} of {} blobs",
        progress.what,
        size(progress.bytes_done),
        size(progress.bytes),
        progress.blobs_done,
        progress.blobs
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_the_progress() {
        let progress =
            Progress { what: "pushing", blobs_done: 1, blobs: 3, bytes_done: 512, bytes: 2048 };
        let line = line(&progress);
        assert!(line.starts_with("pushing 512") && line.ends_with("1 of 3 blobs"), "{line}");
    }
}
