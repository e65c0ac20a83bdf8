//! Meaning of a connection's bytes, by `firstbyte::wire` alone: the requests with their bodies, and
//! the connection's end. The steps are those of the server's connection, without its sockets and
//! clocks; the differential test compares it with another parser, and wire_table.rs checks the
//! server's verdicts over a socket against it.

use firstbyte::HeadLimits;
use firstbyte::wire::chunked::{Decoder, Step};
use firstbyte::wire::{Framing, Head, Reject, Scan, Scanner};

/// The body limit of docs/CONTRACTS.md, section 2.
pub const BODY_LIMIT_BYTES: u64 = 6 * 1024 * 1024;

/// One complete request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The method, as it was sent.
    pub method: String,
    /// Path and query, as they were sent; without scheme and authority.
    pub target: String,
    /// Names in lower case, sorted by name; values of one name in the order they were sent.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The whole body, without its framing.
    pub body: Vec<u8>,
}

/// State at the end of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// After a complete request that may be followed by another.
    Open,
    /// Within a request.
    Partial,
    /// After a request that ends its connection.
    Close,
    /// At a mistake.
    Refused(u16, &'static str),
}

/// Sorts fields as [`Message::fields`] wants them. Of several Content-Length fields, which agree in
/// an accepted request, the first is kept, as a recipient may do (RFC 9110, section 8.6).
pub fn sorted(fields: impl Iterator<Item = (String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    let mut fields: Vec<_> =
        fields.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    fields.sort_by(|one, other| one.0.cmp(&other.0)); // stable: values of one name keep their order
    fields.dedup_by(|one, other| one.0 == "content-length" && one.0 == other.0);
    fields
}

/// Reads all requests of one connection.
pub fn read(mut bytes: &[u8]) -> (Vec<Message>, End) {
    let mut messages = Vec::new();
    loop {
        match read_one(bytes) {
            Ok(Some((message, consumed, keep_alive))) => {
                messages.push(message);
                bytes = &bytes[consumed..];
                if !keep_alive {
                    return (messages, End::Close);
                }
            }
            Ok(None) => {
                let rest_is_empty_lines = bytes.iter().all(|byte| b"\r\n".contains(byte));
                return (messages, if rest_is_empty_lines { End::Open } else { End::Partial });
            }
            Err(reject) => return (messages, End::Refused(reject.status.code(), reject.reason)),
        }
    }
}

fn read_one(bytes: &[u8]) -> Result<Option<(Message, usize, bool)>, Reject> {
    let limits = HeadLimits::default();
    let Scan::Complete { start, end } = Scanner::default().advance(bytes, &limits)? else {
        return Ok(None);
    };
    let head = Head::parse(bytes, start, end, &limits)?;
    let Some((body, consumed)) = read_body(head.framing, &bytes[end..])? else { return Ok(None) };
    let text = |bytes: &[u8]| {
        String::from_utf8(bytes.to_vec()).expect("the wire admits visible ASCII only")
    };
    let mut target = text(head.path.of(bytes));
    if let Some(query) = head.query {
        target = format!("{target}?{}", text(query.of(bytes)));
    }
    let fields = head
        .fields
        .iter()
        .map(|field| (text(field.name.of(bytes)), field.value.of(bytes).to_vec()));
    let message =
        Message { method: text(head.method.of(bytes)), target, fields: sorted(fields), body };
    Ok(Some((message, end + consumed, head.keep_alive)))
}

fn read_body(framing: Framing, bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Reject> {
    match framing {
        // Larger bodies are 413 before they are read, so the framing never reaches their end.
        Framing::Length(size) if size > BODY_LIMIT_BYTES => Ok(None),
        Framing::Length(size) => {
            Ok(bytes.get(..size as usize).map(|body| (body.to_vec(), size as usize)))
        }
        Framing::Chunked => {
            let mut decoder = Decoder::default();
            let (mut body, mut at) = (Vec::new(), 0);
            loop {
                match decoder.step(&bytes[at..])? {
                    Step::Content { content } => {
                        body.extend_from_slice(&bytes[at..][content.clone()]);
                        at += content.end;
                    }
                    Step::End { consumed } => return Ok(Some((body, at + consumed))),
                    Step::Partial { .. } => return Ok(None),
                }
            }
        }
    }
}
