//! Where a reply ends: HTTP/1.1 response framing (RFC 9112, section 6) over whatever pieces have
//! arrived. Bytes in, verdict out; no socket, no clock. Heads are read by httparse.

use crate::request::Answer;

/// Fields a reply's head may have.
const FIELD_LIMIT: usize = 128;
/// A reply beyond this is not waited for: the platform's own limit is 6 MB.
const SIZE_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// Why bytes are no reply.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    #[error("what came back is not HTTP/1: {0}")]
    NotHttp(String),
    #[error("the connection closed in the middle of the reply, after {0} bytes")]
    Cut(usize),
    #[error("the reply is larger than {SIZE_LIMIT_BYTES} bytes")]
    TooLarge,
}

/// Collects a reply until it is whole.
#[derive(Debug, Default)]
pub struct Collector {
    bytes: Vec<u8>,
}

enum Framing {
    Length(usize),
    Chunked,
    UntilClosed,
}

impl Collector {
    /// Adds what has arrived; the answer once its last byte is there.
    ///
    /// # Errors
    /// [`ReplyError`]
    pub fn push(&mut self, piece: &[u8]) -> Result<Option<Answer>, ReplyError> {
        if self.bytes.len() + piece.len() > SIZE_LIMIT_BYTES {
            return Err(ReplyError::TooLarge);
        }
        self.bytes.extend_from_slice(piece);
        self.answer(false)
    }

    /// The peer has closed.
    ///
    /// # Errors
    /// [`ReplyError::Cut`] unless the close is what ends the reply.
    pub fn closed(self) -> Result<Answer, ReplyError> {
        self.answer(true)?.ok_or(ReplyError::Cut(self.bytes.len()))
    }

    fn answer(&self, closed: bool) -> Result<Option<Answer>, ReplyError> {
        let mut fields = [httparse::EMPTY_HEADER; FIELD_LIMIT];
        let mut head = httparse::Response::new(&mut fields);
        let not_http = |e: httparse::Error| ReplyError::NotHttp(e.to_string());
        let httparse::Status::Complete(head_bytes) = head.parse(&self.bytes).map_err(not_http)? else {
            return Ok(None);
        };
        let status = head.code.unwrap_or(0);
        let framing = framing(status, head.headers)?;
        let rest = self.bytes.get(head_bytes..).unwrap_or_default();
        let body = match framing {
            Framing::Length(length) => rest.get(..length).map(<[u8]>::to_vec),
            Framing::Chunked => dechunk(rest)?,
            Framing::UntilClosed => closed.then(|| rest.to_vec()),
        };
        Ok(body.map(|body| Answer { status, body }))
    }
}

fn framing(status: u16, fields: &[httparse::Header<'_>]) -> Result<Framing, ReplyError> {
    let field = |name: &str| fields.iter().find(|f| f.name.eq_ignore_ascii_case(name)).map(|f| f.value);
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
        .ok_or_else(|| ReplyError::NotHttp("its content-length is no number, or too large".into()))
}

/// The body of a chunked message, once its last chunk and the line after the trailers are there.
fn dechunk(mut rest: &[u8]) -> Result<Option<Vec<u8>>, ReplyError> {
    let mut body = Vec::new();
    loop {
        let bad = |_| ReplyError::NotHttp("a chunk's size is no number".into());
        let httparse::Status::Complete((skip, size)) = httparse::parse_chunk_size(rest).map_err(bad)? else {
            return Ok(None);
        };
        rest = rest.get(skip..).unwrap_or_default();
        if size == 0 {
            // Trailers end with an empty line; without any, that line comes at once.
            let done = rest.starts_with(b"\r\n") || rest.windows(4).any(|w| w == b"\r\n\r\n");
            return Ok(done.then_some(body));
        }
        let size = usize::try_from(size).ok().filter(|&s| s <= SIZE_LIMIT_BYTES).ok_or(ReplyError::TooLarge)?;
        let (Some(chunk), Some(after)) = (rest.get(..size), rest.get(size + 2..)) else { return Ok(None) };
        body.extend_from_slice(chunk);
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds every prefix: nothing but the whole gives an answer.
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
            assert!(matches!(Collector::default().push(bytes), Err(ReplyError::NotHttp(_))), "{bytes:?}");
        }
    }
}
