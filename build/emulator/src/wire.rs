//! HTTP/1.1 for both sides of the platform: reads a client's request and an instance's reply, as
//! whole messages with limits. It does no pipelining and drops trailers. RFC 9112.

use std::io::{self, BufRead, Read, Write};

/// Largest head, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Largest body, in bytes: SCF's limit for events and replies.
pub use microimage::scf::MAX_BODY_BYTES;

/// Header fields in their order.
pub type Fields = Vec<(String, String)>;

/// A complete request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Header fields.
    pub headers: Fields,
    /// The body, decoded.
    pub body: Vec<u8>,
}

/// A complete reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Header fields.
    pub headers: Fields,
    /// The body, decoded.
    pub body: Vec<u8>,
}

/// Why a message could not be read.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The other side closed before the first byte.
    #[error("the connection was closed without a reply")]
    Closed,
    /// It is not HTTP/1.1.
    #[error("{0}")]
    Syntax(String),
    /// The body exceeds the limit.
    #[error("the body is larger than the limit")]
    TooBig,
    /// The socket failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

/// A field's value; the case of names does not matter.
pub fn field<'a>(headers: &'a Fields, name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Whether a request asks for a WebSocket.
pub fn is_handshake(headers: &Fields) -> bool {
    let lists = |name: &str, member: &str| {
        let fields = headers.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        let mut members = fields.flat_map(|(_, value)| value.split(','));
        members.any(|has| has.trim().eq_ignore_ascii_case(member))
    };
    lists("connection", "upgrade") && lists("upgrade", "websocket")
}

/// Whether the field belongs to one connection and is never passed on (RFC 9110, section 7.6.1, and
/// the lengths).
pub fn is_hop(name: &str) -> bool {
    const HOPS: [&str; 8] = [
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    HOPS.iter().any(|hop| name.eq_ignore_ascii_case(hop))
}

impl Request {
    /// Reads a request; `None` if the client closed before its first byte.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn read(from: &mut (impl BufRead + Write100)) -> Result<Option<Request>, WireError> {
        Request::read_up_to(from, MAX_BODY_BYTES)
    }

    /// [`read`](Request::read) with another limit for the body, in bytes.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn read_up_to(
        from: &mut (impl BufRead + Write100),
        max_bytes: usize,
    ) -> Result<Option<Request>, WireError> {
        let head = match head(from) {
            Err(WireError::Closed) => return Ok(None),
            head => head?,
        };
        let mut fields = [httparse::EMPTY_HEADER; 128];
        let mut parsed = httparse::Request::new(&mut fields);
        parsed
            .parse(&head)
            .map_err(|error| WireError::Syntax(format!("the request is not HTTP/1.1: {error}")))?;
        let headers = owned(parsed.headers);
        let (method, target) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
        let mut request =
            Request { method: method.into(), target: target.into(), headers, body: Vec::new() };
        let length = length(&request.headers)?;
        if matches!(length, Length::Exactly(length) if length > max_bytes as u64) {
            return Err(WireError::TooBig); // before `100 Continue` is sent
        }
        if field(&request.headers, "expect")
            .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
        {
            from.go_on()?;
        }
        request.body = match length {
            Length::None => Vec::new(),
            other => body(from, other, max_bytes)?,
        };
        Ok(Some(request))
    }

    /// Writes the request, for a connection that is kept.
    ///
    /// # Errors
    /// The socket's error.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut out = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        if field(&self.headers, "host").is_none() {
            out.extend_from_slice(b"Host: localhost\r\n");
        }
        let bare = self.body.is_empty() && matches!(self.method.as_str(), "GET" | "HEAD");
        write_rest(out, &self.headers, &self.body, (!bare).then_some(self.body.len() as u64), to)
    }
}

/// Fields that turn a connection into a WebSocket. They belong to one connection, so they are never
/// among the fields that are passed on.
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

impl Request {
    /// Writes the request as a WebSocket's handshake.
    ///
    /// # Errors
    /// The socket's error.
    pub fn write_handshake(&self, to: &mut impl Write) -> io::Result<()> {
        let out = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        write_switch(out, &self.headers, to)
    }
}

fn write_switch(mut out: String, headers: &Fields, to: &mut impl Write) -> io::Result<()> {
    for (name, value) in headers.iter().filter(|(name, _)| !is_hop(name)) {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str(UPGRADE);
    to.write_all(out.as_bytes())?;
    to.flush()
}

impl Reply {
    /// Writes the reply as the one that switches protocols.
    ///
    /// # Errors
    /// The socket's error.
    pub fn write_switch(&self, to: &mut impl Write) -> io::Result<()> {
        write_switch("HTTP/1.1 101 Switching Protocols\r\n".to_owned(), &self.headers, to)
    }

    /// A reply of our own.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Reply {
        Reply {
            status,
            headers: vec![("Content-Type".into(), content_type.into())],
            body: body.into(),
        }
    }

    /// Reads the reply to a request with this method; the second value is whether the connection
    /// may be used again.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn read(from: &mut impl BufRead, method: &str) -> Result<(Reply, bool), WireError> {
        match Reply::read_or_switch(from, method)? {
            (Reply { status: 101, .. }, _) => {
                Err(WireError::Syntax("it switches protocols without a request to do so".into()))
            }
            read => Ok(read),
        }
    }

    /// [`read`](Reply::read), except that 101 is a final reply too. The bytes after its head are
    /// not HTTP.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn read_or_switch(
        from: &mut impl BufRead,
        method: &str,
    ) -> Result<(Reply, bool), WireError> {
        loop {
            let head = head(from)?;
            let mut fields = [httparse::EMPTY_HEADER; 128];
            let mut parsed = httparse::Response::new(&mut fields);
            parsed.parse(&head).map_err(|error| WireError::Syntax(error.to_string()))?;
            let status = parsed.code.unwrap_or_default();
            if status == 101 {
                let headers = owned(parsed.headers);
                return Ok((Reply { status, headers, body: Vec::new() }, false));
            }
            if (100..200).contains(&status) {
                continue; // an interim reply
            }
            let is_old = parsed.version == Some(0);
            let headers = owned(parsed.headers);
            let closes = is_old
                || field(&headers, "connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
            let bodiless = method == "HEAD" || status == 204 || status == 304;
            let length = match length(&headers)? {
                _ if bodiless => Length::Exactly(0),
                Length::None => Length::ToEnd,
                other => other,
            };
            let kept = !closes && !matches!(length, Length::ToEnd);
            let body = body(from, length, MAX_BODY_BYTES)?;
            return Ok((Reply { status, headers, body }, kept));
        }
    }

    /// Writes the reply to a request with this method: for HEAD the body's length without the body.
    ///
    /// # Errors
    /// The socket's error.
    pub fn write(&self, method: &str, to: &mut impl Write) -> io::Result<()> {
        let out = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status)).into_bytes();
        let body = if method == "HEAD" { &[] } else { self.body.as_slice() };
        let length = match (self.status, self.body.len() as u64) {
            (204 | 304, _) => None,
            // For HEAD a function sends the length that the body would have.
            (_, 0) => Some(
                field(&self.headers, "content-length")
                    .and_then(|text| text.parse().ok())
                    .unwrap_or(0),
            ),
            (_, length) => Some(length),
        };
        write_rest(out, &self.headers, body, length, to)
    }
}

/// Sends `100 Continue` to a client that waits with its body.
pub trait Write100 {
    /// Sends 100 Continue.
    ///
    /// # Errors
    /// The socket's error.
    fn go_on(&mut self) -> io::Result<()>;
}

impl Write100 for io::BufReader<std::net::TcpStream> {
    fn go_on(&mut self) -> io::Result<()> {
        self.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
    }
}

impl Write100 for &[u8] {
    fn go_on(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Length {
    None,
    Exactly(u64),
    Chunked,
    ToEnd,
}

fn write_rest(
    mut out: Vec<u8>,
    headers: &Fields,
    body: &[u8],
    length: Option<u64>,
    to: &mut impl Write,
) -> io::Result<()> {
    for (name, value) in headers.iter().filter(|(name, _)| !is_hop(name)) {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if let Some(length) = length {
        out.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    to.write_all(&out)?;
    to.flush()
}

/// Reads a head with its empty line.
fn head(from: &mut impl BufRead) -> Result<Vec<u8>, WireError> {
    let mut head = Vec::new();
    loop {
        let before = head.len();
        let room = (MAX_HEAD_BYTES + 1).saturating_sub(before);
        from.by_ref().take(room as u64).read_until(b'\n', &mut head)?;
        if head.len() == before || !head.ends_with(b"\n") {
            return Err(match head.len() {
                0 => WireError::Closed,
                n if n > MAX_HEAD_BYTES => {
                    WireError::Syntax(format!("the head is larger than {MAX_HEAD_BYTES} bytes"))
                }
                _ => WireError::Syntax("the connection ends within the head".into()),
            });
        }
        match &head[before..] {
            // an empty line before the first one is allowed
            b"\r\n" | b"\n" if before == 0 => head.clear(),
            b"\r\n" | b"\n" => return Ok(head),
            _ => {}
        }
    }
}

fn owned(fields: &[httparse::Header<'_>]) -> Fields {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    fields.iter().map(|field| (field.name.to_owned(), text(field.value))).collect()
}

fn length(headers: &Fields) -> Result<Length, WireError> {
    let wrong = |what: &str| Err(WireError::Syntax(what.to_owned()));
    let coding = field(headers, "transfer-encoding");
    let lengths: Vec<&str> = headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map(|(_, v)| v.trim())
        .collect();
    match (coding, lengths.as_slice()) {
        (Some(_), [_, ..]) => wrong("it has a content-length and a transfer-encoding"),
        (Some(coding), []) if coding.eq_ignore_ascii_case("chunked") => Ok(Length::Chunked),
        (Some(_), []) => wrong("its transfer-encoding is not `chunked`"),
        (None, []) => Ok(Length::None),
        (None, [first, rest @ ..]) if rest.iter().all(|other| other == first) => {
            match first.parse() {
                Ok(length) if first.bytes().all(|b| b.is_ascii_digit()) => {
                    Ok(Length::Exactly(length))
                }
                _ => wrong("its content-length is not a number"),
            }
        }
        (None, _) => wrong("its content-lengths differ"),
    }
}

fn body(from: &mut impl BufRead, length: Length, max_bytes: usize) -> Result<Vec<u8>, WireError> {
    let mut body = Vec::new();
    match length {
        Length::None => {}
        Length::Exactly(length) => {
            if length > max_bytes as u64 {
                return Err(WireError::TooBig);
            }
            from.take(length).read_to_end(&mut body)?;
            if body.len() as u64 != length {
                return Err(WireError::Syntax("the connection ends within the body".into()));
            }
        }
        Length::ToEnd => {
            from.take(max_bytes as u64 + 1).read_to_end(&mut body)?;
            if body.len() > max_bytes {
                return Err(WireError::TooBig);
            }
        }
        Length::Chunked => loop {
            let size = chunk_line(from)?;
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_| {
                WireError::Syntax("a chunk's size is not a hexadecimal number".into())
            })?;
            if size.saturating_add(body.len() as u64) > max_bytes as u64 {
                return Err(WireError::TooBig);
            }
            if size == 0 {
                while !chunk_line(from)?.is_empty() {} // trailers
                return Ok(body);
            }
            let expected = body.len() as u64 + size;
            from.take(size).read_to_end(&mut body)?;
            if body.len() as u64 != expected || !chunk_line(from)?.is_empty() {
                return Err(WireError::Syntax(
                    "a chunk's length differs from its size line".into(),
                ));
            }
        },
    }
    Ok(body)
}

/// Reads a line of the chunked coding, without its end.
fn chunk_line(from: &mut impl BufRead) -> Result<String, WireError> {
    let mut line = Vec::new();
    from.by_ref().take(4096).read_until(b'\n', &mut line)?;
    match line.strip_suffix(b"\n") {
        Some(line) => {
            Ok(String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned())
        }
        None => Err(WireError::Syntax("the connection ends within a chunk".into())),
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        404 => "Not Found",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_is_known_whatever_fields_its_lists_are_in() {
        let fields = |all: &[(&str, &str)]| -> Fields {
            all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        for (all, is_one) in [
            (&[("Connection", "Upgrade"), ("Upgrade", "websocket")][..], true),
            (&[("connection", "keep-alive, upgrade"), ("upgrade", "WebSocket")], true),
            (
                &[
                    ("Connection", "keep-alive"),
                    ("Connection", "Upgrade"),
                    ("Upgrade", "websocket"),
                ],
                true,
            ),
            (&[("Connection", "Upgrade"), ("Upgrade", "h2c"), ("Upgrade", "websocket")], true),
            (&[("Connection", "close"), ("Upgrade", "websocket")], false),
            (&[("Connection", "upgrade")], false),
            (&[("Connection", "Upgrade"), ("Upgrade", "h2c")], false),
        ] {
            assert_eq!(is_handshake(&fields(all)), is_one, "{all:?}");
        }
    }

    #[test]
    fn reads_bodies_by_length_chunks_and_end() {
        for (text, kept) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\nConnection: \
                 close\r\n\r\nhello",
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: \
                 chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nA: b\r\n\r\n",
                true,
            ),
            ("HTTP/1.1 200 OK\r\n\r\nhello", false),
        ] {
            let (reply, again) = Reply::read(&mut text.as_bytes(), "GET").unwrap();
            assert_eq!(
                (reply.status, reply.body.as_slice(), again),
                (200, &b"hello"[..], kept),
                "{text}"
            );
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(Reply::read(&mut head.as_bytes(), "HEAD").unwrap().0.body, b"");
    }

    #[test]
    fn refuses_what_is_cut_off_or_too_big() {
        let whole =
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n0\r\n\r\n";
        assert_eq!(Request::read(&mut whole.as_bytes()).unwrap().unwrap().body, b"he");
        assert_eq!(Request::read(&mut &b""[..]).unwrap(), None);
        for end in 1..whole.len() {
            assert!(Request::read(&mut &whole.as_bytes()[..end]).is_err(), "cut at {end}");
        }
        for text in [
            "POST / HTTP/1.1\r\nContent-Length: 7000000\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\na",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            "no http\r\n\r\n",
        ] {
            assert!(Request::read(&mut text.as_bytes()).is_err(), "{text}");
        }
        let long = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(MAX_HEAD_BYTES));
        assert!(Request::read(&mut long.as_bytes()).is_err());
    }

    #[test]
    fn a_reply_to_head_has_the_bodys_length_and_no_body() {
        let reply = Reply::new(446, "text/plain", "no listener");
        for (method, expected) in [("GET", "\r\n\r\nno listener"), ("HEAD", "\r\n\r\n")] {
            let mut out = Vec::new();
            reply.write(method, &mut out).unwrap();
            let out = String::from_utf8(out).unwrap();
            assert!(
                out.contains("Content-Length: 11\r\n") && out.ends_with(expected),
                "{method}: {out}"
            );
        }
    }

    #[test]
    fn passes_on_all_fields_except_the_connections() {
        let request = Request {
            method: "GET".into(),
            target: "/a?b".into(),
            headers: vec![
                ("Connection".into(), "close".into()),
                ("X".into(), "y".into()),
                ("Host".into(), "h".into()),
            ],
            body: b"hi".to_vec(),
        };
        let mut out = Vec::new();
        request.write(&mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "GET /a?b HTTP/1.1\r\nX: y\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
        );
    }
}
