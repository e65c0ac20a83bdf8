//! Progress of a transfer, summed over all blobs and threads. It prints nothing.

use super::link::lock;
use std::sync::{Arc, Mutex};

/// Progress of one transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// `pushing` or `pulling`.
    pub what: &'static str,
    /// Number of blobs transferred.
    pub blobs_done: usize,
    /// Number of blobs of the image.
    pub blobs: usize,
    /// Number of bytes transferred.
    pub bytes_done: u64,
    /// Number of bytes of the image.
    pub bytes: u64,
}

/// Function that is called with the progress after each change.
pub type Report = Arc<dyn Fn(&Progress) + Send + Sync>;

/// Counters of one transfer.
pub(super) struct Transfer {
    progress: Mutex<Progress>,
    report: Option<Report>,
}

impl Transfer {
    pub(super) fn new(
        what: &'static str,
        blobs: usize,
        bytes: u64,
        report: Option<Report>,
    ) -> Transfer {
        let progress = Progress { what, blobs_done: 0, blobs, bytes_done: 0, bytes };
        Transfer { progress: Mutex::new(progress), report }
    }

    /// Counts transferred bytes; a negative number takes back bytes that must be sent again.
    pub(super) fn moved(&self, bytes: i64) {
        self.update(|progress| {
            progress.bytes_done = progress.bytes_done.saturating_add_signed(bytes);
        });
    }

    /// Counts a complete blob.
    pub(super) fn finished(&self) {
        self.update(|progress| progress.blobs_done += 1);
    }

    fn update(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = lock(&self.progress);
        change(&mut progress);
        if let Some(report) = &self.report {
            report(&progress);
        }
    }
}
