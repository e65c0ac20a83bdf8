//! The request that this thread is serving: for log records.

use std::cell::RefCell;

thread_local! {
    static REQUEST_ID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Stores the id while this thread serves the request.
pub(super) fn set_request_id(id: &str) {
    REQUEST_ID.with_borrow_mut(|current| id.clone_into(current));
}

/// Returns the id of the request that this thread is serving; empty if there is none.
pub(super) fn with_request_id<T>(give: impl FnOnce(&str) -> T) -> T {
    REQUEST_ID.with_borrow(|current| give(current))
}
