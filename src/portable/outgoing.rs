//! Writer of replies: blocking writes with a time-out. RFC 9112, sections 4, 6 and 7.1.

use super::current::{set_request_id, with_request_id};
use super::panics;
use crate::log;
use crate::reply::{BodyWriter, Reply, ReplyBody, Sink, Stream, WriteBody};
use crate::wire::response::{self, ResponseFraming};
use crate::wire::{Version, date};
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

/// The parts of a request that its reply depends on.
#[derive(Clone, Copy)]
pub(super) struct ReplyMode {
    pub version: Version,
    pub keep_alive: bool,
    /// A HEAD request: the same head, no content (RFC 9110, section 9.3.2).
    pub head_only: bool,
}

/// Writes the reply. `Ok(true)` if the connection may carry another request.
///
/// # Errors
/// If the peer is gone or too slow, or if a stream failed half-way. The connection then ends.
pub(super) fn send(mut out: &TcpStream, asked: ReplyMode, reply: Reply) -> io::Result<bool> {
    let status = reply.status();
    let stream_id = with_request_id(str::to_owned);
    let framing = match (reply.body(), asked.version) {
        (Some(body), _) => ResponseFraming::Length(body.len() as u64),
        (None, Version::Http11) => ResponseFraming::Chunked,
        (None, Version::Http10) => ResponseFraming::UntilClose,
    };
    let keep_alive = asked.keep_alive && framing != ResponseFraming::UntilClose;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut head = Vec::new();
    let today = date::imf_fixdate(now.as_secs());
    response::begin(&mut head, status, framing, asked.version, keep_alive, &today);
    for (name, value) in reply.headers() {
        response::field(&mut head, name.as_bytes(), value.as_bytes());
    }
    response::end(&mut head);
    if asked.head_only || status.forbids_content() {
        out.write_all(&head)?;
        return Ok(keep_alive);
    }
    match reply.into_body() {
        ReplyBody::Static(body) => {
            head.extend_from_slice(body);
            out.write_all(&head)?;
        }
        ReplyBody::Bytes(body) => {
            head.extend_from_slice(&body);
            out.write_all(&head)?;
        }
        #[cfg(feature = "websocket")]
        ReplyBody::Upgrade(_) => out.write_all(&head)?,
        ReplyBody::Stream(Stream { write, .. }) => {
            out.write_all(&head)?;
            stream(out, framing, write, &stream_id)?;
        }
    }
    Ok(keep_alive)
}

fn stream(
    mut out: &TcpStream,
    framing: ResponseFraming,
    write: WriteBody,
    request_id: &str,
) -> io::Result<()> {
    set_request_id(request_id);
    let mut chunks = Chunks { out, chunked: framing == ResponseFraming::Chunked };
    let written = panics::catch(|| write(&mut BodyWriter::new(&mut chunks)));
    let written = written.unwrap_or_else(|panicked| {
        log::line(
            request_id,
            format_args!("a streaming reply panicked: {panicked}; its connection is cut"),
        );
        Err(io::ErrorKind::Other.into())
    });
    match (framing, &written) {
        (ResponseFraming::Chunked, Ok(())) => out.write_all(response::LAST_CHUNK),
        _ => written,
    }
}

/// Each write sends one chunk before it returns.
struct Chunks<'a> {
    out: &'a TcpStream,
    chunked: bool,
}

impl Sink for Chunks<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0); // an empty chunk would end the body
        }
        let mut piece = Vec::with_capacity(bytes.len() + 20);
        if self.chunked {
            response::chunk_head(&mut piece, bytes.len());
        }
        piece.extend_from_slice(bytes);
        if self.chunked {
            piece.extend_from_slice(response::CHUNK_END);
        }
        self.out.write_all(&piece)?;
        Ok(bytes.len())
    }
}
