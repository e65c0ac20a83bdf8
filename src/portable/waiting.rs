//! Waiting in a handler, which has its thread for itself: it just blocks.

use super::early::Wait;
use crate::sys::monotonic_ns;
use std::thread;
use std::time::Duration;

/// Whether a coroutine runs here: there are none.
pub(super) fn is_coroutine() -> bool {
    false
}

/// Runs `work` where it may block, and gives back what it returns. On this system every handler has
/// a thread of its own, so it simply runs.
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

/// Waits. The handler's thread sleeps, and others are served meanwhile.
pub fn sleep(duration: Duration) {
    thread::sleep(duration);
}

/// Blocks the thread until what is waited for is ready, or its time has passed. May return early.
pub(crate) fn wait_for(wait: Wait) {
    let mut polled = [libc::pollfd { fd: wait.fd, events: wait.events, revents: 0 }];
    poll(&mut polled, wait.until_ns);
}

/// Waits for one of `polled`, or until a time of the monotonic clock (`u64::MAX`: for ever).
pub(super) fn poll(polled: &mut [libc::pollfd], until_ns: u64) {
    let left_ms = match until_ns {
        u64::MAX => -1,
        // rounded up: too early would be a loop
        until_ns => {
            let left_ns = until_ns.saturating_sub(monotonic_ns());
            libc::c_int::try_from(left_ns.div_ceil(1_000_000)).unwrap_or(libc::c_int::MAX)
        }
    };
    // JUSTIFICATION: std waits for no descriptor that is not its own.
    // SAFETY: the pointer and the count are the slice's own.
    unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, left_ms) };
}
