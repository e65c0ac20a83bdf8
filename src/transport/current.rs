//! Which request is being served here: for log records. In a coroutine a thread-local would be
//! another request's after a wait; outside of one (the boot lane) may's own storage would register
//! a destructor before the first reply.

use super::waiting::is_coroutine;
use std::cell::RefCell;
use std::mem::ManuallyDrop;

may::coroutine_local!(static IN_COROUTINE: RefCell<String> = RefCell::new(String::new()));

thread_local! {
    static IN_THREAD: RefCell<ManuallyDrop<String>> =
        const { RefCell::new(ManuallyDrop::new(String::new())) };
}

/// Remembers the id for as long as the request is served here.
pub(crate) fn set_request_id(id: &str) {
    let set = |current: &mut String| {
        current.clear();
        current.push_str(id);
    };
    if is_coroutine() {
        IN_COROUTINE.with(|current| set(&mut current.borrow_mut()));
    } else {
        IN_THREAD.with_borrow_mut(|current| set(current));
    }
}

/// Gives the id of the request that is being served here; empty if there is none.
pub(crate) fn with_request_id<T>(give: impl FnOnce(&str) -> T) -> T {
    if is_coroutine() {
        IN_COROUTINE.with(|current| give(&current.borrow()))
    } else {
        IN_THREAD.with_borrow(|current| give(current))
    }
}
