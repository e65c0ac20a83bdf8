//! One line a record to standard output, with the request id: the platform collects both streams line by line, and
//! lines of concurrent requests interleave. Not a filter and not a format choice; what a handler logs is its own.

use std::fmt;

/// Writes one record. Line ends within it are spaces.
pub(crate) fn line(request_id: &str, message: fmt::Arguments<'_>) {
    write(format!("firstbyte RequestId:{request_id} {message}"));
}

/// Writes one line that belongs to no request.
pub(crate) fn announce(message: fmt::Arguments<'_>) {
    write(format!("firstbyte: {message}"));
}

/// One system call a line, so that no other line ends up inside it, and no lock. A standard output that is gone is
/// nobody's error; one that takes less than a line loses the rest rather than holding up a request.
fn write(text: String) {
    let mut line = text.replace(['\r', '\n'], " ");
    line.push('\n');
    // JUSTIFICATION: std's stdout holds a lock while it writes, and a coroutine must not wait with a lock held.
    // SAFETY: the bytes are the line's own.
    unsafe { libc::write(1, line.as_ptr().cast(), line.len()) };
}
