//! HTTP/1.1 as pure functions: bytes in, verdict out.
//!
//! Nothing in this room knows a socket, a coroutine or a clock; what has not arrived yet is
//! `Partial`, never an error. RFC 9112 (messages) and RFC 9110 (semantics) are followed strictly:
//! where the RFC lets a server be lenient and leniency could be used to smuggle a request, the
//! answer is a [`Reject`].
//!
//! Reading order: [`status`], [`reject`], [`scan`] (where does a head end), [`head`] (what does it
//! say), [`chunked`] (bodies of unknown length), `gzip` (bodies with a content coding), [`date`],
//! [`response`] (what goes out).

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

/// How large a head may be. RFC 9112, section 3 (request line) and RFC 6585, section 5 (431).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Size of the request line without its CRLF, in bytes; more is 414.
    pub request_line_bytes: usize,
    /// Size of the whole head, from the first byte of the request line to the empty line, in bytes;
    /// more is 431.
    pub head_bytes: usize,
    /// Number of header fields; more is 431.
    pub fields: usize,
}

impl HeadLimits {
    /// The most header fields that any configuration can allow: the parser's table lives on the
    /// stack.
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
