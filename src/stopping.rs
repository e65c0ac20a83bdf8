//! Whether the process has been told to stop: one flag, which the signal's handler sets and whoever
//! takes long may read. What happens then is `transport`'s matter.

use std::sync::atomic::{AtomicBool, Ordering};

static STOPPED: AtomicBool = AtomicBool::new(false);

/// Whether SIGTERM or SIGINT has come: the server takes no new connection, and what is in flight
/// has [`Limits::drain_timeout`](crate::Limits::drain_timeout) to end. For handlers, streams and
/// background work that take long; one atomic load.
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

/// The process is to stop. Whether this is the first that says so. Async-signal-safe.
pub(crate) fn stop() -> bool {
    !STOPPED.swap(true, Ordering::SeqCst)
}
