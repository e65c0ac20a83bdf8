//! What is waited for when the server stops.

use std::sync::OnceLock;
use std::time::Instant;

/// Work that goes on after its request's reply.
pub(super) trait Outliving: Sync {
    /// Waits until none is left, or until `end`.
    fn drain(&self, end: Instant);
    /// Names what is left in the log: how many that are.
    fn tell_left(&self) -> usize;
}

/// Set by the first background work.
pub(super) static BACKGROUND: OnceLock<&'static dyn Outliving> = OnceLock::new();
