//! Locks a mutex, also after a panic of the thread that held it. It knows nothing of instances.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `of`, also after a panic of its holder: nothing that this crate keeps in a mutex is left
/// half changed by one.
pub(crate) fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
