//! Parser of a complete request head: method, target, fields, and how the body's end is found. RFC
//! 9112, sections 3 to 6; RFC 9110, sections 7.2 (Host), 10.1.1 (Expect), 7.6.1 (Connection).
//!
//! A [`Head`] holds positions instead of references, because the buffer may grow and move while the
//! body arrives. Fields are stored inline (smallvec), so that a usual request allocates nothing.

use super::chunked::is_token_byte;
use super::{HeadLimits, Reject, Status};
use smallvec::SmallVec;
use std::mem::MaybeUninit;

/// A range of bytes in the buffer that the head was parsed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The bytes that this span names; empty if `bytes` is not the buffer it came from.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// Position of `part` in `whole`; `part` must be a slice of it.
    fn locate(part: &[u8], whole: &[u8]) -> Span {
        let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        debug_assert!(start + part.len() <= whole.len());
        Span { start: start as u32, end: (start + part.len()) as u32 }
    }

    fn offset(self, by: usize) -> Span {
        Span { start: self.start + by as u32, end: self.end + by as u32 }
    }
}

/// HTTP versions that are served; all others get 505.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// How the body's end is found. RFC 9112, section 6.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `Content-Length` bytes follow; 0 if the head has neither a length nor a coding.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// One header field line, OWS around the value removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Field {
    /// As it was sent; names are compared without case.
    pub name: Span,
    /// Without the white space around it.
    pub value: Span,
}

/// A valid request head.
#[derive(Clone, Debug)]
pub struct Head {
    /// As it was sent: methods are case-sensitive.
    pub method: Span,
    /// The path as it was sent, percent-encoding untouched; `*` for `OPTIONS *`, the authority for
    /// CONNECT.
    pub path: Span,
    /// What follows the first `?`, without it.
    pub query: Option<Span>,
    /// Host and port of a target in absolute form; they replace the Host field's (RFC 9112, section
    /// 3.2.2).
    pub authority: Option<Span>,
    /// The protocol version.
    pub version: Version,
    /// In the order they were sent. 32 inline: the platform's requests carry 15 to 25.
    pub fields: SmallVec<[Field; 32]>,
    /// How the end of the body is found.
    pub framing: Framing,
    /// Whether the connection may carry another request after this one (RFC 9112, section 9.3).
    pub keep_alive: bool,
    /// `Expect: 100-continue` on HTTP/1.1 with a body.
    pub expects_continue: bool,
}

impl Default for Head {
    /// An empty head, for [`Head::read`] to fill.
    fn default() -> Head {
        Head {
            method: Span::default(),
            path: Span::default(),
            query: None,
            authority: None,
            version: Version::Http11,
            fields: SmallVec::new(),
            framing: Framing::Length(0),
            keep_alive: false,
            expects_continue: false,
        }
    }
}

impl Head {
    /// Parses `bytes[start..end]`, which the scanner found complete. Spans are positions in
    /// `bytes`.
    ///
    /// # Errors
    /// Status and reason for the peer; the connection must close afterwards.
    pub fn parse(
        bytes: &[u8],
        start: usize,
        end: usize,
        limits: &HeadLimits,
    ) -> Result<Head, Reject> {
        let mut head = Head::default();
        head.read(bytes, start, end, limits)?;
        Ok(head)
    }

    /// [`Head::parse`] into an existing head, which saves copies of half a KiB. After an error the
    /// contents are meaningless.
    ///
    /// # Errors
    /// As [`Head::parse`].
    pub fn read(
        &mut self,
        bytes: &[u8],
        start: usize,
        end: usize,
        limits: &HeadLimits,
    ) -> Result<(), Reject> {
        let head = bytes.get(start..end).unwrap_or_default();
        if head.len() > u32::MAX as usize / 2 {
            return Err(Reject::new(
                Status::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the request head is larger than the limit",
            ));
        }
        let allowed = limits.fields.min(HeadLimits::MAX_FIELDS);
        match self.read_fields::<USUAL_FIELDS>(head, start, allowed.min(USUAL_FIELDS)) {
            Err(reject) if reject.status == TOO_MANY.status && allowed > USUAL_FIELDS => {
                self.read_many(head, start, allowed)
            }
            verdict => verdict,
        }
    }

    /// Parses with a table for the largest number of fields. It takes 4 KiB of stack, which every
    /// connection would keep, so only the few heads that need it use it.
    #[cold]
    #[inline(never)]
    fn read_many(&mut self, head: &[u8], start: usize, allowed: usize) -> Result<(), Reject> {
        self.read_fields::<{ HeadLimits::MAX_FIELDS }>(head, start, allowed)
    }

    /// Parses `head`, which begins at `start` of the buffer, with at most `allowed` fields and a
    /// table of `N`.
    #[inline(never)] // the table is on the stack of this call only
    fn read_fields<const N: usize>(
        &mut self,
        head: &[u8],
        start: usize,
        allowed: usize,
    ) -> Result<(), Reject> {
        let mut table = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; N];
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(head, &mut table[..allowed]) {
            Ok(httparse::Status::Complete(size)) if size == head.len() => {}
            // The scanner found the empty line; if the parser stops elsewhere, it has read the
            // lines differently.
            Ok(_) => {
                return Err(Reject::bad_request("the request head does not end at its empty line"));
            }
            Err(error) => return Err(reject_of(error, head)),
        }
        let (Some(method), Some(target), Some(minor)) =
            (parsed.method, parsed.path, parsed.version)
        else {
            return Err(Reject::bad_request("the request line is incomplete"));
        };
        let version = if minor == 1 { Version::Http11 } else { Version::Http10 };

        let mut meaning = Meaning::default();
        self.fields.clear();
        self.fields.reserve(parsed.headers.len());
        for header in parsed.headers.iter() {
            meaning.read(header.name.as_bytes(), header.value)?;
            self.fields.push(Field {
                name: Span::locate(header.name.as_bytes(), head).offset(start),
                value: Span::locate(header.value, head).offset(start),
            });
        }
        let target = Target::parse(method, target.as_bytes())?;
        meaning.check_host(version)?;
        self.framing = meaning.framing(version)?;
        self.method = Span::locate(method.as_bytes(), head).offset(start);
        self.path = Span::locate(target.path, head).offset(start);
        let place = |part| Span::locate(part, head).offset(start);
        self.query = target.query.map(place);
        self.authority = target.authority.map(place);
        self.version = version;
        self.keep_alive = !meaning.close && (version == Version::Http11 || meaning.keep_alive);
        self.expects_continue = meaning.expects_continue
            && version == Version::Http11
            && self.framing != Framing::Length(0);
        Ok(())
    }
}

/// Largest number of fields of a usual request: as many as a [`Head`] stores inline.
const USUAL_FIELDS: usize = 32;
const TOO_MANY: Reject =
    Reject::new(Status::REQUEST_HEADER_FIELDS_TOO_LARGE, "more header fields than the limit");

const INVALID_TARGET: &str = "the request target has an invalid byte; percent-encode it";
/// Largest target that an error spells out, in bytes.
const MOST_SPELT_BYTES: usize = 256;

/// The percent-encoded form of a target that has raw bytes (RFC 3986, section 2.1), as a hint for
/// the peer. `None` if `reject` has another reason, or the target is long.
#[cold]
pub(crate) fn spelt_target(reject: &Reject, head: &[u8]) -> Option<String> {
    if reject.reason != INVALID_TARGET {
        return None;
    }
    let line = head.split(|&byte| byte == b'\r').next()?;
    let (start, end) = (line.iter().position(|&byte| byte == b' ')?, line.len() - 9);
    let target = line.get(start + 1..end).filter(|target| target.len() <= MOST_SPELT_BYTES)?;
    let mut spelt = String::with_capacity(3 * target.len());
    for &byte in target {
        match byte {
            0x21..=0x7e => spelt.push(char::from(byte)),
            _ => {
                let digit = |value: u8| char::from(b"0123456789ABCDEF"[usize::from(value & 15)]);
                spelt.extend(['%', digit(byte >> 4), digit(byte)]);
            }
        }
    }
    (spelt.len() > target.len()).then_some(spelt)
}

fn reject_of(error: httparse::Error, head: &[u8]) -> Reject {
    use httparse::Error;
    match error {
        Error::HeaderName => Reject::bad_request(
            "a header field name has an invalid byte or a space before its colon",
        ),
        Error::HeaderValue => Reject::bad_request("a header field value has an invalid byte"),
        Error::NewLine => Reject::bad_request("a line does not end in CRLF"),
        Error::Token => Reject::bad_request("the request line has an invalid byte"),
        Error::TooManyHeaders => TOO_MANY,
        Error::Version if names_a_version(head) => {
            Reject::new(Status::HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.1 and HTTP/1.0 are served")
        }
        _ => Reject::bad_request("the request line is malformed"),
    }
}

/// Whether the request line has three parts, the last `HTTP/` DIGIT `.` DIGIT (RFC 9112, section
/// 2.3): a valid version, though perhaps not one that is served.
fn names_a_version(head: &[u8]) -> bool {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let mut parts = line.split(|&byte| byte == b' ').skip(2);
    match (parts.next(), parts.next()) {
        (Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None) => {
            major.is_ascii_digit() && minor.is_ascii_digit()
        }
        _ => false,
    }
}

/// The request target, in one of its four forms. RFC 9112, section 3.2.
struct Target<'a> {
    path: &'a [u8],
    query: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    fn parse(method: &str, target: &'a [u8]) -> Result<Target<'a>, Reject> {
        // Visible ASCII only: raw non-ASCII bytes and fragments are not allowed in a target.
        if target.iter().any(|&byte| !(0x21..=0x7e).contains(&byte) || byte == b'#') {
            return Err(Reject::bad_request(INVALID_TARGET));
        }
        match target {
            _ if method == "CONNECT" => Err(Reject::new(
                Status::NOT_IMPLEMENTED,
                "CONNECT is not supported: this is not a proxy",
            )),
            [b'/', ..] => Ok(Self::split(target)),
            b"*" if method == "OPTIONS" => {
                Ok(Target { path: target, query: None, authority: None })
            }
            _ => Self::absolute(target),
        }
    }

    /// Parses `http://authority/path?query`, which a server must accept (section 3.2.2).
    fn absolute(target: &'a [u8]) -> Result<Target<'a>, Reject> {
        let malformed =
            Reject::bad_request("the request target is neither a path nor an absolute URI");
        let scheme = [&b"http://"[..], b"https://"]
            .into_iter()
            .find(|scheme| {
                target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
            })
            .ok_or(malformed)?;
        let rest = &target[scheme.len()..];
        let authority_end = rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len());
        // Without a host it names no server (RFC 9110, section 4.2.1).
        if !is_authority(&rest[..authority_end]) || matches!(rest, [] | [b'/' | b'?' | b':', ..]) {
            return Err(malformed);
        }
        let authority = Some(&rest[..authority_end]);
        let path = Target { authority, ..Self::split(&rest[authority_end..]) };
        if path.path.is_empty() {
            // "http://host" and "http://host?q" mean "/": point at the slash that ends the scheme.
            return Ok(Target { path: &target[scheme.len() - 1..scheme.len()], ..path });
        }
        Ok(path)
    }

    fn split(target: &'a [u8]) -> Target<'a> {
        match target.iter().position(|&byte| byte == b'?') {
            Some(at) => {
                Target { path: &target[..at], query: Some(&target[at + 1..]), authority: None }
            }
            None => Target { path: target, query: None, authority: None },
        }
    }
}

/// Bytes that a host name may have, as a table, because every request has a Host. The percent sign
/// is not among them, although a registered name may hold one (RFC 3986, section 3.2.2): names on
/// the wire are A-labels (RFC 5890), and one parser decodes a `%` that the next refuses, so that
/// two hops disagree on the host.
static NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 0x7f {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')')
            || matches!(byte, b'*' | b'+' | b';' | b'=');
        byte += 1;
    }
    table
};

/// Whether the value is `uri-host [":" port]` (RFC 3986, section 3.2.2) by its alphabet, which
/// excludes paths, user names and lists. It compares some ten bytes one by one: memchr would detect
/// the processor's features first (see scan.rs).
fn is_authority(value: &[u8]) -> bool {
    let is_name_byte = |byte: &u8| NAME_BYTES[usize::from(*byte)];
    let (host_is_valid, port) = if let Some(literal) = value.strip_prefix(b"[") {
        // An IP literal (section 3.2.2): IPv6 by its alphabet, or a later version with its letter.
        let Some(end) = literal.iter().position(|&byte| byte == b']') else { return false };
        let is_valid = match &literal[..end] {
            [b'v' | b'V', rest @ ..] => rest.iter().all(|byte| is_name_byte(byte) || *byte == b':'),
            address => {
                let is_byte = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
                address.len() > 1 && address.iter().all(is_byte)
            }
        };
        (is_valid, &literal[end + 1..])
    } else {
        let end = value.iter().position(|&byte| byte == b':').unwrap_or(value.len());
        (value[..end].iter().all(is_name_byte), &value[end..])
    };
    let port_is_valid = match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    host_is_valid && port_is_valid
}

/// Whether the request that begins here, possibly after empty lines, has the method HEAD. The rest
/// of its request line may be malformed.
pub(crate) fn begins_with_head(mut input: &[u8]) -> bool {
    while let [b'\r' | b'\n', rest @ ..] = input {
        input = rest;
    }
    let rest = input.strip_prefix(b"HEAD");
    rest.is_some_and(|rest| rest.first().is_some_and(|&byte| !is_token_byte(byte)))
}

/// What the fields say about the message; it is collected line by line.
#[derive(Default)]
struct Meaning {
    hosts: u32,
    length: Option<u64>,
    coding: Coding,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Coding {
    #[default]
    None,
    Chunked,
}

impl Meaning {
    fn read(&mut self, name: &[u8], value: &[u8]) -> Result<(), Reject> {
        // Lengths first: most names of a request are none of these six.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                self.hosts += 1;
                if !is_authority(value) {
                    return Err(Reject::bad_request("the Host field is not a host and port"));
                }
            }
            6 if name.eq_ignore_ascii_case(b"expect") => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Reject::new(
                        Status::EXPECTATION_FAILED,
                        "only `Expect: 100-continue` is served",
                    ));
                }
                self.expects_continue = true;
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                for option in list(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = content_length(value)?;
                if self.length.is_some_and(|earlier| earlier != length) {
                    return Err(Reject::bad_request("two Content-Length fields differ"));
                }
                self.length = Some(length);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                for coding in list(value) {
                    if !coding.eq_ignore_ascii_case(b"chunked") {
                        return Err(Reject::new(
                            Status::NOT_IMPLEMENTED,
                            "the only transfer coding served is `chunked`",
                        ));
                    }
                    if self.coding == Coding::Chunked {
                        return Err(Reject::bad_request(
                            "the chunked transfer coding is applied twice",
                        ));
                    }
                    self.coding = Coding::Chunked;
                }
                if self.coding == Coding::None {
                    return Err(Reject::bad_request("the Transfer-Encoding field names no coding"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// RFC 9112, section 3.2: exactly one Host on HTTP/1.1, at most one on HTTP/1.0.
    fn check_host(&self, version: Version) -> Result<(), Reject> {
        match (self.hosts, version) {
            (1, _) | (0, Version::Http10) => Ok(()),
            (0, _) => Err(Reject::bad_request("the Host field is missing")),
            _ => Err(Reject::bad_request("there is more than one Host field")),
        }
    }

    fn framing(&self, version: Version) -> Result<Framing, Reject> {
        match (self.coding, self.length) {
            (Coding::Chunked, Some(_)) => {
                Err(Reject::bad_request("both Transfer-Encoding and Content-Length are present"))
            }
            (Coding::Chunked, None) if version == Version::Http10 => {
                Err(Reject::bad_request("HTTP/1.0 has no Transfer-Encoding"))
            }
            (Coding::Chunked, None) => Ok(Framing::Chunked),
            (Coding::None, length) => Ok(Framing::Length(length.unwrap_or(0))),
        }
    }
}

/// Parses digits only: no sign, no list, no empty value. A number beyond 64 bits becomes a very
/// large one, which the body limit refuses.
fn content_length(value: &[u8]) -> Result<u64, Reject> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Reject::bad_request("the Content-Length field is not a number"));
    }
    Ok(value
        .iter()
        .fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

/// The members of a comma-separated list (RFC 9110, section 5.6.1), without empty ones.
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(head: &str) -> Result<Head, Reject> {
        Head::parse(head.as_bytes(), 0, head.len(), &HeadLimits::default())
    }

    fn fields(lines: &str) -> Result<Head, Reject> {
        parse(&format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"))
    }

    #[test]
    fn reads_a_platform_request() {
        let text = "POST /event-invoke?a=b HTTP/1.1\r\nHost: 127.0.0.1:9000\r\nContent-Length: \
                    92\r\nX-Scf-Name:  f \r\n\r\n";
        let head = parse(text).unwrap();
        let bytes = text.as_bytes();
        assert_eq!(head.method.of(bytes), b"POST");
        assert_eq!(head.path.of(bytes), b"/event-invoke");
        assert_eq!(head.query.map(|query| query.of(bytes)), Some(&b"a=b"[..]));
        assert_eq!(head.framing, Framing::Length(92));
        assert!(head.keep_alive && !head.expects_continue);
        assert_eq!(head.fields[2].value.of(bytes), b"f");
    }

    #[test]
    fn spans_are_positions_in_the_whole_buffer() {
        let text = "junkGET /x HTTP/1.0\r\n\r\n";
        let head = Head::parse(text.as_bytes(), 4, text.len(), &HeadLimits::default()).unwrap();
        assert_eq!(head.path.of(text.as_bytes()), b"/x");
        assert!(!head.keep_alive, "HTTP/1.0 closes unless asked");
    }

    #[test]
    fn frames_or_refuses() {
        let cases: &[(&str, Result<Framing, u16>)] = &[
            ("", Ok(Framing::Length(0))),
            ("Content-Length: 0\r\n", Ok(Framing::Length(0))),
            ("Content-Length: 5\r\ncontent-length: 5\r\n", Ok(Framing::Length(5))),
            ("Content-Length: 00005\r\n", Ok(Framing::Length(5))),
            ("Content-Length: 18446744073709551615\r\n", Ok(Framing::Length(u64::MAX))),
            ("Content-Length: 184467440737095516160\r\n", Ok(Framing::Length(u64::MAX))),
            ("Transfer-Encoding: chunked\r\n", Ok(Framing::Chunked)),
            ("transfer-encoding: , Chunked ,\r\n", Ok(Framing::Chunked)),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", Err(400)),
            ("Content-Length: abc\r\n", Err(400)),
            ("Content-Length: +5\r\n", Err(400)),
            ("Content-Length: -5\r\n", Err(400)),
            ("Content-Length: 5, 5\r\n", Err(400)),
            ("Content-Length: 5 5\r\n", Err(400)),
            ("Content-Length: 0x5\r\n", Err(400)),
            ("Content-Length:\r\n", Err(400)),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Err(400)),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Err(400)),
            ("Transfer-Encoding: chunked, chunked\r\n", Err(400)),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(400)),
            ("Transfer-Encoding:\r\n", Err(400)),
            ("Transfer-Encoding: gzip\r\n", Err(501)),
            ("Transfer-Encoding: gzip, chunked\r\n", Err(501)),
            ("Transfer-Encoding: identity\r\n", Err(501)),
            ("Transfer-Encoding: chunked;a=b\r\n", Err(501)),
            ("Content-Length : 5\r\n", Err(400)),
            ("Transfer-Encoding : chunked\r\n", Err(400)),
            (" Content-Length: 5\r\n", Err(400)),
            ("X: a\r\n b\r\n", Err(400)), // obs-fold
            ("X: a\r\n\tb\r\n", Err(400)),
            ("X: a\0b\r\n", Err(400)),
            ("X\0: a\r\n", Err(400)),
            ("no colon\r\n", Err(400)),
            (": empty name\r\n", Err(400)),
            ("Expect: 100-Continue\r\n", Ok(Framing::Length(0))),
            ("Expect: 200-ok\r\n", Err(417)),
        ];
        for (lines, expected) in cases {
            let verdict =
                fields(lines).map(|head| head.framing).map_err(|reject| reject.status.code());
            assert_eq!(verdict, *expected, "{}", lines.escape_debug());
        }
        let old = parse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(old.map_err(|reject| reject.status.code()).err(), Some(400));
    }

    #[test]
    fn hosts() {
        for (lines, expected) in [
            ("Host: a\r\n", 200),
            ("Host:\r\n", 200),
            ("Host: [::1]:9000\r\n", 200),
            ("Host: h:\r\n", 200),
            ("Host: [::1\r\n", 400),
            ("Host: [::1]x\r\n", 400),
            ("Host: [::1]:x\r\n", 400),
            ("Host: [a]b]\r\n", 400),
            ("Host: ::1\r\n", 400),
            ("Host: a:1:2\r\n", 400),
            ("", 400),
            ("Host: a\r\nHost: a\r\n", 400),
            ("Host: a, b\r\n", 400),
            ("Host: a/b\r\n", 400),
            ("Host: user@a\r\n", 400),
            ("Host: a:b\r\n", 400),
            ("Host: a b\r\n", 400),
            ("Host: a%41\r\n", 400),
            ("Host: a%\r\n", 400),
        ] {
            let status = parse(&format!("GET / HTTP/1.1\r\n{lines}\r\n"))
                .map_or_else(|reject| reject.status.code(), |_| 200);
            assert_eq!(status, expected, "{}", lines.escape_debug());
        }
    }

    #[test]
    fn request_lines() {
        for (line, expected) in [
            ("GET / HTTP/1.1", Ok("/")),
            ("OPTIONS * HTTP/1.1", Ok("*")),
            ("GET http://h HTTP/1.1", Ok("/")),
            ("GET HTTP://h:80/p/q?r HTTP/1.1", Ok("/p/q")),
            ("GET https://h?q HTTP/1.1", Ok("/")),
            ("GET //evil HTTP/1.1", Ok("//evil")),
            ("get /x HTTP/1.1", Ok("/x")),
            ("GET * HTTP/1.1", Err(400)),
            ("GET x HTTP/1.1", Err(400)),
            ("GET ftp://h/ HTTP/1.1", Err(400)),
            ("GET http:///x HTTP/1.1", Err(400)),
            ("GET http://:80/x HTTP/1.1", Err(400)),
            ("GET http://?q HTTP/1.1", Err(400)),
            ("GET http://[]/x HTTP/1.1", Err(400)),
            ("GET http://[::g]:80/x HTTP/1.1", Err(400)),
            ("GET http://[::1]:8x/x HTTP/1.1", Err(400)),
            ("GET http://[::ffff:1.2.3.4]:80/x HTTP/1.1", Ok("/x")),
            ("GET http://[v1.a:b]/x HTTP/1.1", Ok("/x")),
            ("GET http://a%b/x HTTP/1.1", Err(400)),
            ("GET http://u@h/x HTTP/1.1", Err(400)),
            ("GET /a#b HTTP/1.1", Err(400)),
            ("GET /\u{e4} HTTP/1.1", Err(400)),
            ("CONNECT h:80 HTTP/1.1", Err(501)),
            ("GET / HTTP/1.2", Err(505)),
            ("GET / HTTP/2.0", Err(505)),
            ("PRI * HTTP/2.0", Err(505)),
            ("GET / HTTP/0.9", Err(505)),
            ("GET / http/1.1", Err(400)),
            ("GET / HTTP/1.1 ", Err(400)),
            ("GET /", Err(400)),
            ("GET  / HTTP/1.1", Err(400)),
            ("GET / a HTTP/1.1", Err(400)),
            ("G\x01T / HTTP/1.1", Err(400)),
            ("\u{16}\u{3}\u{1}", Err(400)), // the start of a TLS handshake
        ] {
            let text = format!("{line}\r\nHost: a\r\n\r\n");
            let verdict = parse(&text)
                .map(|head| String::from_utf8_lossy(head.path.of(text.as_bytes())).into_owned());
            assert_eq!(
                verdict.map_err(|reject| reject.status.code()),
                expected.map(str::to_owned),
                "{line:?}"
            );
        }
    }

    #[test]
    fn takes_128_fields_and_refuses_129() {
        let lines = |n: usize| "X-F: 1\r\n".repeat(n - 1); // Host is one of them
        assert_eq!(fields(&lines(128)).map(|head| head.fields.len()).ok(), Some(128));
        assert_eq!(fields(&lines(129)).map_err(|reject| reject.status.code()).err(), Some(431));
    }

    #[test]
    fn connection_options() {
        for (version, lines, expected) in [
            ("1.1", "", true),
            ("1.1", "Connection: close\r\n", false),
            ("1.1", "Connection: Keep-Alive, CLOSE\r\n", false),
            ("1.0", "", false),
            ("1.0", "Connection: keep-alive\r\n", true),
            ("1.0", "Connection: keep-alive, close\r\n", false),
        ] {
            let head = parse(&format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n")).unwrap();
            assert_eq!(head.keep_alive, expected, "{version} {lines:?}");
        }
    }
}
