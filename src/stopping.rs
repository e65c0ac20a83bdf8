//! Stop flag: whether the process has received SIGTERM or SIGINT. The signal handler sets it, and
//! any code may read it. `transport` acts on it.

use std::sync::atomic::{AtomicBool, Ordering};

static STOPPED: AtomicBool = AtomicBool::new(false);

/// Whether the process has received SIGTERM or SIGINT. From then on the server accepts no new
/// connection, and work in flight has
/// [`Limits::drain_timeout`](crate::Limits::drain_timeout) to end. Long handlers, streams and
/// background work should check it; the check is one atomic load.
///
/// # Example
/// ```
/// use firstbyte::{Reply, Request, Result, stopping};
/// use std::io::Write;
///
/// fn ticks(_: Request<'_>) -> Result<Reply> {
///     Reply::stream("text/event-stream", |out| {
///         while !stopping() {
///             out.write_all(b"data: tick\n\n")?;
///             firstbyte::sleep(std::time::Duration::from_secs(1));
///         }
///         out.write_all(b"data: come again\n\n")
///     })
/// }
/// # let _ = ticks;
/// assert!(!stopping());
/// ```
pub fn stopping() -> bool {
    STOPPED.load(Ordering::SeqCst)
}

/// Sets the flag. Returns whether this was the first call. Async-signal-safe.
pub(crate) fn stop() -> bool {
    !STOPPED.swap(true, Ordering::SeqCst)
}
