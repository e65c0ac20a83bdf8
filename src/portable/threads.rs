//! Stacks of threads.

/// Of a connection's thread and of background work, in bytes.
pub(super) const STACK_BYTES: usize = 2 * 1024 * 1024;
