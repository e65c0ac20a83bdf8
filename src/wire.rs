//! HTTP/1.1 as pure functions: bytes in, result out.
//!
//! No socket, no coroutine and no clock. A message that has not arrived completely is `Partial`,
//! never an error. RFC 9112 (messages) and RFC 9110 (semantics) are followed strictly: where the
//! RFC lets a server be lenient and that could be used to smuggle a request, the result is a
//! [`Reject`].
//!
//! Reading order: [`status`], [`reject`], [`scan`] (where a head ends), [`head`] (its meaning),
//! [`chunked`] (bodies of unknown length), `gzip` (bodies with a content coding), [`date`],
//! [`response`] (what is sent).

pub mod chunked;
pub mod date;
#[cfg(feature = "websocket")]
pub(crate) mod frame;
#[cfg(feature = "gzip")]
pub mod gzip;
pub mod head;
pub mod reject;
pub mod response;
pub mod scan;
pub mod status;

pub use head::{Field, Framing, Head, Span, Version};
pub use reject::Reject;
pub use scan::{Scan, Scanner};
pub use status::Status;

/// Largest size of a request's head. RFC 9112, section 3 (request line) and RFC 6585, section 5
/// (431).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Largest request line without its CRLF, in bytes; a longer one gets 414.
    pub request_line_bytes: usize,
    /// Largest head, from the first byte of the request line to the empty line, in bytes; a longer
    /// one gets 431.
    pub head_bytes: usize,
    /// Largest number of header fields; more get 431.
    pub fields: usize,
}

impl HeadLimits {
    /// Largest number of header fields that any configuration can allow: the parser's table is on
    /// the stack.
    pub const MAX_FIELDS: usize = 128;
}

impl Default for HeadLimits {
    fn default() -> Self {
        HeadLimits {
            request_line_bytes: 16 * 1024,
            head_bytes: 64 * 1024,
            fields: Self::MAX_FIELDS,
        }
    }
}
