//! Reader of a reply to its end: HTTP/1.1 response framing (RFC 9112, section 6) for bytes that
//! arrive in any pieces. It has no socket and no clock. httparse parses heads.

use crate::request::Answer;

/// Largest number of fields of a reply's head.
const FIELD_LIMIT: usize = 128;
/// Largest reply: the platform's own limit is 6 MB.
const SIZE_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// Why bytes are not a reply.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The bytes are not HTTP.
    #[error("the reply is not HTTP/1: {0}")]
    NotHttp(String),
    /// The connection ended inside the reply.
    #[error("the connection closed in the middle of the reply, after {0} bytes")]
    Cut(usize),
    /// The reply is larger than a platform would pass on.
    #[error("the reply is larger than {SIZE_LIMIT_BYTES} bytes")]
    TooLarge,
}

/// Collects a reply until it is complete. It reads each byte only once, even if the pieces are
/// small, because this time is part of the sample.
#[derive(Debug, Default)]
pub struct Collector {
    /// Bytes not yet parsed: the head, then the rest of the body.
    bytes: Vec<u8>,
    /// Whether the reply is to a HEAD, and so has no body in any case (RFC 9112, section 6.3, rule
    /// 1).
    bodiless: bool,
    received_bytes: usize,
    head: Option<(u16, Framing)>,
    body: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClosed,
}

impl Collector {
    /// A collector for the reply to a HEAD, or to another method.
    pub fn new(bodiless: bool) -> Self {
        Self { bodiless, ..Self::default() }
    }

    /// Adds bytes; returns the answer when its last byte has arrived.
    ///
    /// # Errors
    /// [`ReplyError`]
    pub fn push(&mut self, piece: &[u8]) -> Result<Option<Answer>, ReplyError> {
        self.received_bytes += piece.len();
        if self.received_bytes > SIZE_LIMIT_BYTES {
            return Err(ReplyError::TooLarge);
        }
        self.bytes.extend_from_slice(piece);
        self.answer(false)
    }

    /// Ends the reply because the peer has closed.
    ///
    /// # Errors
    /// [`ReplyError::Cut`], unless the close ends the reply.
    pub fn closed(mut self) -> Result<Answer, ReplyError> {
        self.answer(true)?.ok_or(ReplyError::Cut(self.received_bytes))
    }

    fn answer(&mut self, closed: bool) -> Result<Option<Answer>, ReplyError> {
        while self.head.is_none() {
            let Some((status, framing, head_bytes)) = self.parse_head()? else { return Ok(None) };
            self.bytes.drain(..head_bytes);
            // An interim reply: the final one follows (RFC 9110, section 15.2). 101 ends the
            // protocol.
            if !(100..200).contains(&status) || status == 101 {
                self.head = Some((status, framing));
            }
        }
        let Some((status, framing)) = self.head else { return Ok(None) };
        let whole = match framing {
            Framing::Length(length) => {
                let whole = self.bytes.len() >= length;
                if whole {
                    self.bytes.truncate(length);
                    self.body = std::mem::take(&mut self.bytes);
                }
                whole
            }
            Framing::Chunked => {
                let (understood, whole) = dechunk(&self.bytes, &mut self.body)?;
                self.bytes.drain(..understood);
                whole
            }
            Framing::UntilClosed => {
                self.body.append(&mut self.bytes);
                closed
            }
        };
        Ok(whole.then(|| Answer { status, body: std::mem::take(&mut self.body) }))
    }

    /// Status, framing and length of the head, once it is whole.
    fn parse_head(&self) -> Result<Option<(u16, Framing, usize)>, ReplyError> {
        let mut fields = [httparse::EMPTY_HEADER; FIELD_LIMIT];
        let mut head = httparse::Response::new(&mut fields);
        let not_http = |e: httparse::Error| ReplyError::NotHttp(e.to_string());
        let httparse::Status::Complete(head_bytes) = head.parse(&self.bytes).map_err(not_http)?
        else {
            return Ok(None);
        };
        let status = head.code.unwrap_or(0);
        let framing =
            if self.bodiless { Framing::Length(0) } else { framing(status, head.headers)? };
        Ok(Some((status, framing, head_bytes)))
    }
}

fn framing(status: u16, fields: &[httparse::Header<'_>]) -> Result<Framing, ReplyError> {
    let field =
        |name: &str| fields.iter().find(|f| f.name.eq_ignore_ascii_case(name)).map(|f| f.value);
    if matches!(status, 204 | 304) {
        return Ok(Framing::Length(0));
    }
    if field("transfer-encoding").is_some_and(|v| v.to_ascii_lowercase().ends_with(b"chunked")) {
        return Ok(Framing::Chunked);
    }
    let Some(length) = field("content-length") else { return Ok(Framing::UntilClosed) };
    std::str::from_utf8(length)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .filter(|&length: &usize| length <= SIZE_LIMIT_BYTES)
        .map(Framing::Length)
        .ok_or_else(|| {
            ReplyError::NotHttp("its content-length is not a number, or too large".into())
        })
}

/// Adds the complete chunks of `bytes` to `body`. Returns their size in `bytes`, and whether the
/// last chunk and the line after the trailers are among them.
fn dechunk(bytes: &[u8], body: &mut Vec<u8>) -> Result<(usize, bool), ReplyError> {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let bad = |_| ReplyError::NotHttp("a chunk's size is not a number".into());
        let httparse::Status::Complete((skip, size)) =
            httparse::parse_chunk_size(rest).map_err(bad)?
        else {
            return Ok((at, false));
        };
        let rest = rest.get(skip..).unwrap_or_default();
        if size == 0 {
            // Trailers end with an empty line, which follows at once if there are none.
            let done = rest.starts_with(b"\r\n") || rest.windows(4).any(|w| w == b"\r\n\r\n");
            return Ok((at, done));
        }
        let size = usize::try_from(size)
            .ok()
            .filter(|&s| s <= SIZE_LIMIT_BYTES)
            .ok_or(ReplyError::TooLarge)?;
        let (Some(chunk), Some(_)) = (rest.get(..size), rest.get(size..size + 2)) else {
            return Ok((at, false));
        };
        body.extend_from_slice(chunk);
        at += skip + size + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds every prefix: only the whole reply gives an answer.
    fn whole_only(reply: &[u8], status: u16, body: &[u8]) {
        for cut in 0..reply.len() {
            assert_eq!(Collector::default().push(&reply[..cut]), Ok(None), "{cut} bytes");
        }
        let expected = Answer { status, body: body.to_vec() };
        assert_eq!(Collector::default().push(reply), Ok(Some(expected.clone())));
        let mut slowly = Collector::default();
        let answers: Vec<_> = reply.chunks(1).map(|piece| slowly.push(piece).unwrap()).collect();
        assert_eq!(answers.last(), Some(&Some(expected)));
    }

    #[test]
    fn a_reply_with_a_length_ends_there() {
        whole_only(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", 200, b"hello");
        whole_only(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", 500, b"");
    }

    #[test]
    fn a_chunked_reply_ends_with_its_last_chunk() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        whole_only(format!("{head}3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n").as_bytes(), 200, b"abcde");
        whole_only(format!("{head}1\r\na\r\n0\r\nTrailer: x\r\n\r\n").as_bytes(), 200, b"a");
    }

    #[test]
    fn a_reply_without_a_length_ends_with_the_connection() {
        let mut collector = Collector::default();
        assert_eq!(collector.push(b"HTTP/1.0 200 OK\r\n\r\nall of it"), Ok(None));
        assert_eq!(collector.closed(), Ok(Answer { status: 200, body: b"all of it".to_vec() }));
    }

    #[test]
    fn a_reply_to_head_has_no_body_and_an_interim_reply_is_not_the_answer() {
        let mut head = Collector::new(true);
        let answer = head.push(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
        assert_eq!(answer, Ok(Some(Answer { status: 200, body: Vec::new() })));
        whole_only(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n\
              HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
            200,
            b"hi",
        );
    }

    #[test]
    fn a_close_in_the_middle_is_an_error() {
        let mut collector = Collector::default();
        assert_eq!(collector.push(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), Ok(None));
        assert!(matches!(collector.closed(), Err(ReplyError::Cut(_))));
    }

    #[test]
    fn refuses_what_is_not_http() {
        for bytes in [
            &b"SSH-2.0-OpenSSH\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        ] {
            assert!(
                matches!(Collector::default().push(bytes), Err(ReplyError::NotHttp(_))),
                "{bytes:?}"
            );
        }
    }
}
