//! One HTTP/1.1 exchange on a reusable connection: RFC 9112, the client's side. Limits bound what a
//! server may send, and a reply that ends early is an error, never a short body.

use httparse::{EMPTY_HEADER, Status};
use std::io::{self, Read, Write};

/// Size of a reply's head, and of each interim reply, in bytes.
const HEAD_BYTES: usize = 32 * 1024;
/// Number of fields in a head.
const FIELDS: usize = 64;
/// Size of a body, in bytes.
const BODY_BYTES: usize = 6 * 1024 * 1024;
/// Number of interim replies (1xx) before the final one.
const INTERIM_REPLIES: usize = 8;
/// Size of one read, in bytes.
const CHUNK: usize = 8 * 1024;

/// A complete reply.
pub struct Reply {
    /// Its status, 200 to 599.
    pub status: u16,
    /// Its content, without transfer coding.
    pub body: Vec<u8>,
    /// Whether the connection can carry another request.
    pub is_reusable: bool,
}

/// How the end of a body is found.
#[derive(Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// Sends a complete request and reads the complete reply. The request must not be HEAD or CONNECT.
///
/// # Errors
/// An error of the connection; `InvalidData` if a reply is malformed or over a limit,
/// `UnexpectedEof` if it ends early.
pub fn exchange(stream: &mut (impl Read + Write), request: &[u8]) -> io::Result<Reply> {
    stream.write_all(request)?;
    stream.flush()?;
    let mut reader = Reader { stream, bytes: Vec::with_capacity(CHUNK), at: 0 };
    for _ in 0..=INTERIM_REPLIES {
        let head = reader.head()?;
        if head.status >= 200 {
            let body = reader.body(head.framing)?;
            let is_whole = !matches!(head.framing, Framing::UntilClose);
            let is_reusable = head.keeps && is_whole && reader.at == reader.bytes.len();
            return Ok(Reply { status: head.status, body, is_reusable });
        }
    }
    Err(invalid("the reply has too many interim replies"))
}

struct Head {
    status: u16,
    framing: Framing,
    keeps: bool,
}

/// Bytes that have arrived, and the number of them that are consumed.
struct Reader<'a, S> {
    stream: &'a mut S,
    bytes: Vec<u8>,
    at: usize,
}

impl<S: Read> Reader<'_, S> {
    /// Reads more; returns the number of bytes, 0 at the end.
    fn more(&mut self) -> io::Result<usize> {
        if self.at == self.bytes.len() {
            self.bytes.clear();
            self.at = 0;
        }
        let had = self.bytes.len();
        self.bytes.resize(had + CHUNK, 0);
        let read = loop {
            match self.stream.read(&mut self.bytes[had..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.bytes.truncate(had + *read.as_ref().unwrap_or(&0));
        read
    }

    fn more_or_cut(&mut self) -> io::Result<()> {
        match self.more()? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the reply ended early")),
            _ => Ok(()),
        }
    }

    fn head(&mut self) -> io::Result<Head> {
        loop {
            let mut fields = [EMPTY_HEADER; FIELDS];
            let mut reply = httparse::Response::new(&mut fields);
            match reply.parse(&self.bytes[self.at..]) {
                Ok(Status::Complete(length)) => {
                    let head = judge(&reply)?;
                    self.at += length;
                    return Ok(head);
                }
                Ok(Status::Partial) if self.bytes.len() - self.at > HEAD_BYTES => {
                    return Err(invalid("the reply's head is too large"));
                }
                Ok(Status::Partial) => self.more_or_cut()?,
                Err(error) => return Err(invalid(&format!("the reply is malformed: {error}"))),
            }
        }
    }

    fn body(&mut self, framing: Framing) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        match framing {
            Framing::Length(length) => self.take(length, &mut body)?,
            Framing::Chunked => loop {
                let size = self.chunk_size()?;
                if size == 0 {
                    self.trailers()?;
                    break;
                }
                self.take(size, &mut body)?;
                self.line_end()?;
            },
            Framing::UntilClose => loop {
                let rest = self.bytes.len() - self.at;
                self.take(rest, &mut body)?;
                if self.more()? == 0 {
                    break;
                }
            },
        }
        Ok(body)
    }

    /// Moves `length` bytes to `body`.
    fn take(&mut self, mut length: usize, body: &mut Vec<u8>) -> io::Result<()> {
        if length > BODY_BYTES - body.len() {
            return Err(invalid("the reply's body is larger than 6 MiB"));
        }
        while length > 0 {
            if self.at == self.bytes.len() {
                self.more_or_cut()?;
            }
            let part = length.min(self.bytes.len() - self.at);
            body.extend_from_slice(&self.bytes[self.at..self.at + part]);
            self.at += part;
            length -= part;
        }
        Ok(())
    }

    fn chunk_size(&mut self) -> io::Result<usize> {
        loop {
            match httparse::parse_chunk_size(&self.bytes[self.at..]) {
                Ok(Status::Complete((length, size))) => {
                    self.at += length;
                    return usize::try_from(size).map_err(|_| invalid("a chunk is too large"));
                }
                Ok(Status::Partial) if self.bytes.len() - self.at > HEAD_BYTES => {
                    return Err(invalid("a chunk's extension is too large"));
                }
                Ok(Status::Partial) => self.more_or_cut()?,
                Err(_) => return Err(invalid("a chunk has no size")),
            }
        }
    }

    /// Skips the CRLF after a chunk.
    fn line_end(&mut self) -> io::Result<()> {
        let mut end = Vec::new();
        self.take(2, &mut end)?;
        if end == b"\r\n" { Ok(()) } else { Err(invalid("a chunk has no end")) }
    }

    /// Skips the trailer fields after the last chunk.
    fn trailers(&mut self) -> io::Result<()> {
        loop {
            let mut fields = [EMPTY_HEADER; FIELDS];
            match httparse::parse_headers(&self.bytes[self.at..], &mut fields) {
                Ok(Status::Complete((length, _))) => {
                    self.at += length;
                    return Ok(());
                }
                Ok(Status::Partial) if self.bytes.len() - self.at > HEAD_BYTES => {
                    return Err(invalid("the reply's trailers are too large"));
                }
                Ok(Status::Partial) => self.more_or_cut()?,
                Err(error) => return Err(invalid(&format!("the trailers are malformed: {error}"))),
            }
        }
    }
}

/// Decides how the body ends (RFC 9112, section 6.3) and whether the connection stays open (section
/// 9.3).
fn judge(reply: &httparse::Response<'_, '_>) -> io::Result<Head> {
    let status = reply.code.unwrap_or(0);
    let mut keeps = reply.version == Some(1);
    let mut length = None;
    let mut codings = 0;
    for field in reply.headers.iter() {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        if is("transfer-encoding") {
            codings += 1;
            if !field.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                return Err(invalid("the reply has a transfer coding other than chunked"));
            }
        } else if is("content-length") {
            let value = str::from_utf8(field.value).ok().map(str::trim);
            let value = value.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let value = value.and_then(|text| text.parse().ok());
            if value.is_none() || length.is_some_and(|known| Some(known) != value) {
                return Err(invalid("the reply has a wrong Content-Length"));
            }
            length = value;
        } else if is("connection") {
            let has = |word: &str| {
                let mut words = field.value.split(|byte| *byte == b',');
                words.any(|it| it.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
            };
            keeps = (keeps || has("keep-alive")) && !has("close");
        }
    }
    let framing = match (codings, length) {
        _ if status < 200 || status == 204 || status == 304 => Framing::Length(0),
        (0, Some(length)) => Framing::Length(length),
        (0, None) => Framing::UntilClose,
        (1, None) => Framing::Chunked,
        _ => return Err(invalid("the reply states its length in two ways")),
    };
    if status < 100 || status == 101 || status > 599 {
        return Err(invalid(&format!("the reply has status {status}")));
    }
    Ok(Head { status, framing, keeps })
}

fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}
