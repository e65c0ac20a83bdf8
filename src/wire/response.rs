//! Writer of response heads and chunks. RFC 9112, sections 4, 6 and 7.1.

use super::{Status, Version};

/// How the peer finds the end of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseFraming {
    /// Content-Length with this number of bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`; only for HTTP/1.1 peers.
    Chunked,
    /// The end of the connection (RFC 9112, section 6.3, rule 8): a stream to an HTTP/1.0 peer.
    UntilClose,
}

/// Appends the status line and the server's own fields, without the empty line that ends the head.
///
/// `keep_alive`: whether another request may follow. `version` is the peer's: an HTTP/1.0 peer
/// needs a field if the connection stays open, an HTTP/1.1 peer if it does not. The status line
/// always has HTTP/1.1 (RFC 9110, section 2.5).
pub fn begin(
    out: &mut Vec<u8>,
    status: Status,
    framing: ResponseFraming,
    version: Version,
    keep_alive: bool,
    date: &[u8; 29],
) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&status.digits());
    out.push(b' ');
    out.extend_from_slice(status.reason().as_bytes());
    out.extend_from_slice(b"\r\n");
    if !status.forbids_content() {
        match framing {
            ResponseFraming::Length(bytes) => {
                out.extend_from_slice(b"content-length: ");
                push_decimal(out, bytes);
                out.extend_from_slice(b"\r\n");
            }
            ResponseFraming::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            ResponseFraming::UntilClose => {}
        }
    }
    out.extend_from_slice(b"date: ");
    out.extend_from_slice(date);
    out.extend_from_slice(b"\r\n");
    match (keep_alive, version) {
        (false, _) => out.extend_from_slice(b"connection: close\r\n"),
        (true, Version::Http10) => out.extend_from_slice(b"connection: keep-alive\r\n"),
        (true, Version::Http11) => {}
    }
}

/// Appends one field line. Name and value were checked before (`Reply::with_header`).
pub fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends the empty line that ends the head.
pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// Appends a chunk's size line. Never call it with 0: a chunk of size 0 ends the body.
pub fn chunk_head(out: &mut Vec<u8>, bytes: usize) {
    debug_assert!(bytes > 0);
    let mut digits = [0u8; 16];
    let mut at = digits.len();
    let mut rest = bytes;
    while rest > 0 {
        at -= 1;
        digits[at] = b"0123456789abcdef"[rest & 15];
        rest >>= 4;
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

/// End of a chunk's content.
pub const CHUNK_END: &[u8] = b"\r\n";
/// End of a chunked body without trailer fields.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// The interim response that asks for the body. RFC 9110, section 15.2.1.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

pub(crate) fn push_decimal(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = value;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

    fn text(
        status: Status,
        framing: ResponseFraming,
        version: Version,
        keep_alive: bool,
    ) -> String {
        let mut out = Vec::new();
        begin(&mut out, status, framing, version, keep_alive, DATE);
        end(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn writes_length_and_connection() {
        assert_eq!(
            text(Status::OK, ResponseFraming::Length(1234567890), Version::Http11, true),
            "HTTP/1.1 200 OK\r\ncontent-length: 1234567890\r\ndate: Sun, 06 Nov 1994 08:49:37 \
             GMT\r\n\r\n"
        );
        assert!(
            text(Status::OK, ResponseFraming::Length(0), Version::Http11, false)
                .contains("content-length: 0\r\n")
        );
        assert!(
            text(Status::OK, ResponseFraming::Length(0), Version::Http11, false)
                .contains("connection: close\r\n")
        );
        assert!(
            text(Status::OK, ResponseFraming::Length(0), Version::Http10, true)
                .contains("connection: keep-alive\r\n")
        );
    }

    #[test]
    fn statuses_without_content_have_no_length() {
        for status in [Status::NO_CONTENT, Status::NOT_MODIFIED] {
            assert!(
                !text(status, ResponseFraming::Length(0), Version::Http11, true)
                    .contains("content-length")
            );
        }
    }

    #[test]
    fn chunk_sizes_are_hexadecimal() {
        for (size, expected) in [
            (1, "1\r\n"),
            (16, "10\r\n"),
            (0xabcdef, "abcdef\r\n"),
            (usize::MAX, "ffffffffffffffff\r\n"),
        ] {
            let mut out = Vec::new();
            chunk_head(&mut out, size);
            assert_eq!(out, expected.as_bytes());
        }
    }
}
