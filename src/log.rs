//! One line a record to standard output, with the request id: the platform collects both streams line by line, and
//! lines of concurrent requests interleave. Not a filter and not a format choice; what a handler logs is its own.

use std::fmt;
use std::io::Write;

/// Writes one record in one system call, so that no other record ends up inside it. Line ends within it are
/// spaces. A standard output that is gone is nobody's error.
pub(crate) fn line(request_id: &str, message: fmt::Arguments<'_>) {
    let mut text = format!("firstbyte RequestId:{request_id} {message}").replace(['\r', '\n'], " ");
    text.push('\n');
    let _ = std::io::stdout().write_all(text.as_bytes());
}
