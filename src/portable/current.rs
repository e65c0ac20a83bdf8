//! Which request is being served on this thread: for log records.

use std::cell::RefCell;

thread_local! {
    static REQUEST_ID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Remembers the id for as long as the request is served here.
pub(super) fn set_request_id(id: &str) {
    REQUEST_ID.with_borrow_mut(|current| id.clone_into(current));
}

/// Gives the id of the request that is being served here; empty if there is none.
pub(super) fn with_request_id<T>(give: impl FnOnce(&str) -> T) -> T {
    REQUEST_ID.with_borrow(|current| give(current))
}
