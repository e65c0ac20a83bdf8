//! Waiting in a handler: each handler has its own thread, so it blocks that thread.

use super::early::Wait;
use crate::sys::monotonic_ns;
use std::thread;
use std::time::Duration;

/// Whether the caller runs on a coroutine: never, because this transport has none.
pub(super) fn is_coroutine() -> bool {
    false
}

/// Runs `work` where it may block, and returns its result. On this system every handler has a
/// thread of its own, so `work` simply runs.
///
/// # Example
/// ```
/// assert_eq!(firstbyte::blocking(|| 2 + 2), 4);
/// ```
pub fn blocking<T, F>(work: F) -> T
where
    T: Send,
    F: FnOnce() -> T + Send,
{
    work()
}

/// Sleeps. Only the handler's thread sleeps; the server continues to serve other requests.
pub fn sleep(duration: Duration) {
    thread::sleep(duration);
}

/// Blocks the thread until the descriptor is ready or the time has passed. May return early.
pub(crate) fn wait_for(wait: Wait) {
    let mut polled = [libc::pollfd { fd: wait.fd, events: wait.events, revents: 0 }];
    poll(&mut polled, wait.until_ns);
}

/// Waits for one of `polled`, or until a time of the monotonic clock (`u64::MAX`: for ever).
pub(super) fn poll(polled: &mut [libc::pollfd], until_ns: u64) {
    let left_ms = match until_ns {
        u64::MAX => -1,
        // Rounded up: a wait that ends too early would make the caller loop.
        until_ns => {
            let left_ns = until_ns.saturating_sub(monotonic_ns());
            libc::c_int::try_from(left_ns.div_ceil(1_000_000)).unwrap_or(libc::c_int::MAX)
        }
    };
    // JUSTIFICATION: std cannot wait for a descriptor that it does not own.
    // SAFETY: the pointer and the length are those of the slice.
    unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, left_ms) };
}
