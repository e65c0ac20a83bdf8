//! Sending replies: a reply is sent whole before anything more is read. A slow peer is waited for,
//! a peer that has stopped reading is not.

use super::budget::{Budget, Share};
use super::clock;
use super::current::{set_request_id, with_request_id};
use super::event_loop::Ready;
use super::handling::in_handler;
use super::limits::Limits;
use super::link::Link;
use super::panics;
use super::slots::{Patience, Seat, Waited};
use crate::log;
use crate::reply::{BodyWriter, Reply, ReplyBody, Sink, Stream, WriteBody};
use crate::spare;
use crate::wire::Version;
use crate::wire::response::{self, ResponseFraming};
use std::io::{self, IoSlice};
use std::net::Shutdown;

/// What a reply depends on in its request.
#[derive(Clone, Copy)]
pub(super) struct ReplyMode {
    pub version: Version,
    pub keep_alive: bool,
    /// A HEAD request: the same head, no content (RFC 9110, section 9.3.2).
    pub head_only: bool,
}

/// Bodies up to this size are copied behind their head: one piece for the kernel instead of two.
const COPY_BYTES: usize = 2 * 1024;

/// Sends the reply. `Ok(true)` if the connection may have another request.
///
/// # Errors
/// If the peer is gone, or too slow, or a stream failed half-way: the connection is over.
pub(super) fn send(
    link: &mut Link,
    seat: &Seat,
    limits: (&Limits, &Budget),
    asked: ReplyMode,
    reply: Reply,
) -> io::Result<bool> {
    let status = reply.status();
    // The id of the handler that has just ended here: a stream may be written on another thread.
    let stream_id = reply.body().is_none().then(|| with_request_id(str::to_owned));
    let framing = match (reply.body(), asked.version) {
        (Some(body), _) => ResponseFraming::Length(body.len() as u64),
        (None, Version::Http11) => ResponseFraming::Chunked,
        (None, Version::Http10) => ResponseFraming::UntilClose,
    };
    let keep_alive = asked.keep_alive && framing != ResponseFraming::UntilClose;
    let mut head = spare::take_to_write();
    response::begin(&mut head, status, framing, asked.version, keep_alive, &clock::today());
    for (name, value) in reply.headers() {
        response::field(&mut head, name.as_bytes(), value.as_bytes());
    }
    response::end(&mut head);

    let mut out = Outgoing::new(link, seat, limits);
    let sent = if asked.head_only || status.forbids_content() {
        out.write_all(&mut [IoSlice::new(&head)])
    } else {
        match reply.into_body() {
            ReplyBody::Static(body) => out.write_head_and_body(&mut head, body),
            ReplyBody::Bytes(body) => {
                out.body_bytes = body.capacity();
                let sent = out.write_head_and_body(&mut head, &body);
                spare::give_back(body);
                sent
            }
            #[cfg(feature = "websocket")]
            ReplyBody::Upgrade(_) => out.write_all(&mut [IoSlice::new(&head)]),
            ReplyBody::Stream(Stream { write, .. }) => {
                let id = stream_id.unwrap_or_default();
                out.write_all(&mut [IoSlice::new(&head)])
                    .and_then(|()| in_handler(|| out.stream(framing, write, &id)))
            }
        }
    };
    spare::give_back(head);
    sent.map(|()| keep_alive)
}

/// A link whose writes wait until everything is sent.
pub(super) struct Outgoing<'c> {
    link: &'c mut Link,
    seat: &'c Seat,
    limits: (&'c Limits, &'c Budget),
    /// Size of what is in memory until it is sent: the body, or a stream's current piece.
    body_bytes: usize,
    /// Set once the reader was waited for: its rate, and the memory share of the reply.
    slow: Option<(Patience, Share<'c>)>,
}

/// Number of bytes of an unread reply that the kernel keeps.
const KERNEL_BYTES: usize = 128 * 1024;

impl<'c> Outgoing<'c> {
    pub(super) fn new(
        link: &'c mut Link,
        seat: &'c Seat,
        limits: (&'c Limits, &'c Budget),
    ) -> Outgoing<'c> {
        Outgoing { link, seat, limits, body_bytes: 0, slow: None }
    }

    pub(super) fn write_all(&mut self, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        IoSlice::advance_slices(&mut slices, 0); // drops empty ones
        while !slices.is_empty() {
            match self.link.try_write(slices) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(size) => {
                    IoSlice::advance_slices(&mut slices, size);
                    if let Some((patience, _)) = &mut self.slow {
                        patience.sent(size);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait()?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until the peer takes more.
    fn wait(&mut self) -> io::Result<()> {
        let (limits, budget) = self.limits;
        let held = self.body_bytes.saturating_add(KERNEL_BYTES);
        let (patience, share) = match &mut self.slow {
            Some(slow) => slow,
            none => {
                self.link.limit_unsent();
                let (rate, longest) = (limits.reply_rate, limits.write_timeout);
                let mut patience = Patience::to_write(rate, longest, self.link);
                patience.holds_memory = true;
                none.insert((patience, budget.take_reply(held)))
            }
        };
        if !share.is_of(budget.plain(held)) {
            *share = budget.take_reply(held); // a stream's pieces differ
        }
        match self.seat.wait(self.link, Ready::ToWrite, Shutdown::Both, patience, None)? {
            Waited::On => Ok(()),
            Waited::TooLong | Waited::Evicted => {
                self.link.reset_on_close(); // or the kernel would keep the unread bytes
                Err(io::ErrorKind::TimedOut.into())
            }
        }
    }

    fn write_head_and_body(&mut self, head: &mut Vec<u8>, body: &[u8]) -> io::Result<()> {
        if body.len() <= COPY_BYTES {
            head.extend_from_slice(body);
            return self.write_all(&mut [IoSlice::new(head)]);
        }
        self.write_all(&mut [IoSlice::new(head), IoSlice::new(body)])
    }

    fn stream(
        &mut self,
        framing: ResponseFraming,
        write: WriteBody,
        request_id: &str,
    ) -> io::Result<()> {
        set_request_id(request_id);
        let mut chunks = Chunks { out: self, chunked: framing == ResponseFraming::Chunked };
        let written = panics::catch(|| write(&mut BodyWriter::new(&mut chunks)));
        let written = written.unwrap_or_else(|panicked| {
            log::line(
                request_id,
                format_args!("a streaming reply panicked: {panicked}; its connection is cut"),
            );
            Err(io::ErrorKind::Other.into())
        });
        match (framing, &written) {
            (ResponseFraming::Chunked, Ok(())) => {
                self.write_all(&mut [IoSlice::new(response::LAST_CHUNK)])
            }
            // The body's end is the connection's end, and an orderly one would make the body look
            // complete.
            (ResponseFraming::UntilClose, Err(_)) => {
                self.link.reset_on_close();
                written
            }
            _ => written,
        }
    }
}

/// Writer of chunks: each write is one chunk, and is sent when the call returns.
struct Chunks<'o, 'c> {
    out: &'o mut Outgoing<'c>,
    chunked: bool,
}

impl Sink for Chunks<'_, '_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0); // an empty chunk would end the body
        }
        self.out.body_bytes = bytes.len();
        if self.chunked {
            let mut size = Vec::with_capacity(18);
            response::chunk_head(&mut size, bytes.len());
            let mut slices =
                [IoSlice::new(&size), IoSlice::new(bytes), IoSlice::new(response::CHUNK_END)];
            self.out.write_all(&mut slices)?;
        } else {
            self.out.write_all(&mut [IoSlice::new(bytes)])?;
        }
        Ok(bytes.len())
    }
}
