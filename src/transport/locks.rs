//! The standard library's locks, by the names that tests/model.rs replaces: there all orders of
//! their use are tried.

pub(super) use std::sync::atomic::{AtomicU64, Ordering};
pub(super) use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
