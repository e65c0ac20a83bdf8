//! Progress of a transfer, counted over all its blobs and threads. It prints nothing.

use super::link::lock;
use std::sync::{Arc, Mutex};

/// Progress of one transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// `pushing` or `pulling`.
    pub what: &'static str,
    /// Blobs that are there.
    pub blobs_done: usize,
    /// Blobs of the image.
    pub blobs: usize,
    /// Bytes that are there.
    pub bytes_done: u64,
    /// Bytes of the image.
    pub bytes: u64,
}

/// Called with the progress at each step of it.
pub type Report = Arc<dyn Fn(&Progress) + Send + Sync>;

/// One transfer.
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

    /// Counts bytes; negative ones have to be sent again.
    pub(super) fn moved(&self, bytes: i64) {
        self.tell(|progress| {
            progress.bytes_done = progress.bytes_done.saturating_add_signed(bytes);
        });
    }

    /// Counts a blob that is there.
    pub(super) fn finished(&self) {
        self.tell(|progress| progress.blobs_done += 1);
    }

    fn tell(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = lock(&self.progress);
        change(&mut progress);
        if let Some(report) = &self.report {
            report(&progress);
        }
    }
}
