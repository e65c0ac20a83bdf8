//! Work that the server waits for when it stops.

use std::sync::OnceLock;
use std::time::Instant;

/// Work that continues after its request's reply.
pub(super) trait Outliving: Sync {
    /// Waits until none is left, or until `end`.
    fn drain(&self, end: Instant);
    /// Logs the work that is left; returns how much there is.
    fn log_left(&self) -> usize;
}

/// Set by the first background work.
pub(super) static BACKGROUND: OnceLock<&'static dyn Outliving> = OnceLock::new();
