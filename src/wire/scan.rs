//! Scanner: finds the end of a request head. RFC 9112, section 2.1, 2.2 and 3.
//!
//! httparse accepts a bare LF as a line end and starts again at byte 0 on every call. This scanner
//! looks at every byte once (memchr), however the network cuts the head up. It refuses bare CR and
//! LF, and applies the size limits before a parser sees anything.

use super::{HeadLimits, Reject, Status};

/// Result of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// Incomplete: read more bytes, append them, and call again.
    Partial,
    /// `bytes[start..end]` is a head: request line, fields and the empty line, CRLFs included.
    Complete {
        /// Position of the request line's first byte.
        start: usize,
        /// Position after the empty line.
        end: usize,
    },
}

/// Scanner of one head in a connection's unread bytes; it looks at each byte once.
#[derive(Clone, Debug, Default)]
pub struct Scanner {
    /// Position of the request line's first byte: CRLFs before it are skipped (RFC 9112, section
    /// 2.2).
    start: usize,
    /// Position of the current line's first byte.
    line: usize,
    /// Position of the first byte not looked at.
    seen: usize,
    request_line_ended: bool,
}

impl Scanner {
    /// Largest number of empty lines before a request line.
    const MAX_LEADING_CRLF: usize = 4;

    /// Scans the bytes that are new since the last call.
    ///
    /// `bytes` is everything unread, and begins at the same byte in each call.
    ///
    /// # Errors
    /// 400 for a CR or LF on its own, 414 for a request line over its limit, 431 for a head over
    /// its limit.
    pub fn advance(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Scan, Reject> {
        while let Some(found) = next_line_end(bytes.get(self.seen..).unwrap_or_default()) {
            let at = self.seen + found;
            self.check_size(at, limits)?;
            if bytes[at] == b'\n' {
                return Err(Reject::bad_request("a line ends in LF without CR"));
            }
            match bytes.get(at + 1) {
                None => {
                    self.seen = at; // the CR stays unseen until its LF is here
                    return Ok(Scan::Partial);
                }
                Some(b'\n') => {}
                Some(_) => return Err(Reject::bad_request("a CR is not followed by LF")),
            }
            let empty = at == self.line;
            self.seen = at + 2;
            self.line = self.seen;
            if !empty {
                self.request_line_ended = true;
            } else if self.request_line_ended {
                self.check_size(self.seen, limits)?;
                return Ok(Scan::Complete { start: self.start, end: self.seen });
            } else {
                self.start = self.seen;
                if self.start > Self::MAX_LEADING_CRLF * 2 {
                    return Err(Reject::bad_request(
                        "too many empty lines before the request line",
                    ));
                }
            }
        }
        self.seen = bytes.len().max(self.seen);
        self.check_size(self.seen, limits)?;
        Ok(Scan::Partial)
    }

    /// Whether any byte of a request line has been seen.
    pub fn begun(&self) -> bool {
        self.seen > self.start
    }

    /// Checks the limits; `end` is one past the last byte known to belong to the head.
    fn check_size(&self, end: usize, limits: &HeadLimits) -> Result<(), Reject> {
        let size = end.saturating_sub(self.start);
        if !self.request_line_ended && size > limits.request_line_bytes {
            return Err(Reject::new(
                Status::URI_TOO_LONG,
                "the request line is longer than the limit",
            ));
        }
        if size > limits.head_bytes {
            return Err(Reject::new(
                Status::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the request head is larger than the limit",
            ));
        }
        Ok(())
    }
}

/// Position of the first CR or LF. memchr's own choice of instructions would detect the processor's
/// features first, which costs a virtual machine 29 µs of its first reply; every x86-64 has SSE2.
#[cfg(target_arch = "x86_64")]
fn next_line_end(bytes: &[u8]) -> Option<usize> {
    match memchr::arch::x86_64::sse2::memchr::Two::new(b'\r', b'\n') {
        Some(finder) => finder.find(bytes),
        None => bytes.iter().position(|byte| b"\r\n".contains(byte)),
    }
}

/// Position of the first CR or LF.
#[cfg(not(target_arch = "x86_64"))]
#[expect(
    clippy::disallowed_methods,
    reason = "on other processors memchr chooses its instructions at compile time"
)]
fn next_line_end(bytes: &[u8]) -> Option<usize> {
    memchr::memchr2(b'\r', b'\n', bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(bytes: &[u8]) -> Result<Scan, Reject> {
        Scanner::default().advance(bytes, &HeadLimits::default())
    }

    #[test]
    fn finds_the_empty_line() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        assert_eq!(scan(head), Ok(Scan::Complete { start: 0, end: head.len() - 4 }));
        assert_eq!(
            scan(b"\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
            Ok(Scan::Complete { start: 4, end: 22 })
        );
    }

    #[test]
    fn every_prefix_of_a_head_is_partial_and_byte_by_byte_gives_the_same() {
        let head = b"\r\nPOST /event-invoke HTTP/1.1\r\nHost: a\r\nX-Scf-Name: f\r\n\r\n";
        let mut scanner = Scanner::default();
        for end in 0..head.len() {
            assert_eq!(scan(&head[..end]), Ok(Scan::Partial), "prefix of {end} bytes");
            assert_eq!(scanner.advance(&head[..end], &HeadLimits::default()), Ok(Scan::Partial));
        }
        assert_eq!(
            scanner.advance(head, &HeadLimits::default()),
            Ok(Scan::Complete { start: 2, end: head.len() })
        );
    }

    #[test]
    fn refuses_bare_cr_and_bare_lf() {
        for bytes in [
            &b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nHost: a\n\r\n",
            b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
            b"\n",
            b"\rG",
        ] {
            assert_eq!(
                scan(bytes).map_err(|r| r.status),
                Err(Status::BAD_REQUEST),
                "{}",
                bytes.escape_ascii()
            );
        }
    }

    #[test]
    fn limits_are_exact() {
        let limits = HeadLimits { request_line_bytes: 20, head_bytes: 40, fields: 4 };
        let with_line = |n: usize| format!("{}\r\n\r\n", "x".repeat(n)).into_bytes();
        assert!(matches!(
            Scanner::default().advance(&with_line(20), &limits),
            Ok(Scan::Complete { .. })
        ));
        assert_eq!(
            Scanner::default().advance(&with_line(21), &limits).map_err(|r| r.status.code()),
            Err(414)
        );
        assert_eq!(
            Scanner::default().advance(&[b'x'; 21], &limits).map_err(|r| r.status.code()),
            Err(414)
        );
        // 4 bytes of request line with CRLF, n of field with CRLF, 2 of empty line
        let with_field = |n: usize| format!("ab\r\n{}\r\n\r\n", "y".repeat(n)).into_bytes();
        assert!(matches!(
            Scanner::default().advance(&with_field(32), &limits),
            Ok(Scan::Complete { end: 40, .. })
        ));
        assert_eq!(
            Scanner::default().advance(&with_field(33), &limits).map_err(|r| r.status.code()),
            Err(431)
        );
        assert_eq!(
            Scanner::default()
                .advance(b"ab\r\nyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", &limits)
                .map_err(|r| r.status.code()),
            Err(431)
        );
    }

    #[test]
    fn refuses_endless_empty_lines() {
        assert_eq!(scan(&b"\r\n".repeat(4)), Ok(Scan::Partial));
        assert_eq!(scan(&b"\r\n".repeat(5)).map_err(|r| r.status.code()), Err(400));
    }
}
