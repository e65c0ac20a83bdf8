//! Stack sizes of threads.

/// Stack of a connection's thread and of background work, in bytes.
pub(super) const STACK_BYTES: usize = 2 * 1024 * 1024;
