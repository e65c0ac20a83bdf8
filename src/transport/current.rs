//! Id of the request that is being served on this thread, for log records. It belongs to the
//! thread, because a handler stays on one.

use super::home::here;
use super::waiting::{Place, place};
use super::worker::Worker;
use std::cell::RefCell;
use std::mem::ManuallyDrop;

thread_local! {
    // Never dropped: registering a destructor costs a first reply five system calls.
    static REQUEST_ID: RefCell<ManuallyDrop<String>> =
        const { RefCell::new(ManuallyDrop::new(String::new())) };
}

/// Sets the id of the request that is served here.
pub(crate) fn set_request_id(id: &str) {
    REQUEST_ID.with_borrow_mut(|current| {
        current.clear();
        current.push_str(id);
    });
    // for a line of the thread that watches this one
    match place() {
        Place::Handler => {
            if let Some((_, worker)) = here() {
                worker.set_request_id(id);
            }
        }
        Place::LaneHandler => Worker::main().set_request_id(id),
        _ => {}
    }
}

/// Passes on the id of the request that is served here; empty if there is none.
pub(crate) fn with_request_id<T>(give: impl FnOnce(&str) -> T) -> T {
    REQUEST_ID.with_borrow(|current| give(current))
}
