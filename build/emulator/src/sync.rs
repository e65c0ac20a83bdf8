//! Locking a mutex even after a panic of its holder.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `of`, even after a panic of its holder: a panic leaves nothing half-changed in this
/// crate's mutexes.
pub(crate) fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
