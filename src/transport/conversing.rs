//! A connection after its WebSocket handshake: reads messages, calls the handler for each, and
//! decides how the connection ends. This file parses the heads of frames, so that it knows a size
//! before it takes memory; tungstenite processes their contents.
//!
//! Between messages the connection waits on its coroutine and holds no buffer. Each message is one
//! call of the handler, which keeps its thread until it returns (handling.rs). So a thousand silent
//! connections hold no thread, and as many messages run at once as requests may: 256.

use super::budget::{SMALL_BYTES, Share};
use super::event_loop::Ready;
use super::handling::in_handler;
use super::home::home;
use super::link::Link;
use super::outgoing::Outgoing;
use super::panics::catch;
use super::records;
use super::server::Shared;
use super::slots::{Expiry, Patience, Seat, Waited};
use crate::conversation::{Conversation, Ended, Message, Out, Sender, Settings, Socket, Upgrade};
use crate::error::{Caller, Error, Result};
use crate::log;
use crate::spare;
use crate::wire::frame::FrameHead;
use ::log::Level;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::sync::OnceLock;
use std::time::Duration;
use tungstenite::Error as Failure;
use tungstenite::error::ProtocolError;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

/// Smallest free space in the buffer before a read, and largest read from the socket, in bytes.
const READ_BYTES: usize = 4 * 1024;
/// Number of messages that one peer may send without a pause before other connections get a turn.
const LONGEST_STREAK: usize = 256;
/// Largest reason in a close frame, in bytes (RFC 6455, section 5.5).
const REASON_BYTES: usize = 123;

/// Function that serves a connection after its handshake. The bytes are those that arrived with the
/// handshake. Returns whether the peer still has something to read.
pub(super) type Converse = fn(Shared, &mut Link, &Seat, Vec<u8>, Upgrade) -> bool;

/// Set by the first handshake, so that a function without any is linked without this file.
static CONVERSE: OnceLock<Converse> = OnceLock::new();

/// Lets connections become WebSockets.
pub(crate) fn converse_from_now_on() {
    CONVERSE.get_or_init(|| {
        |server, link, seat, input, upgrade| Conversing::new(server, link, seat, input).run(upgrade)
    });
}

/// That function, once there was a handshake.
pub(super) fn converse() -> Option<Converse> {
    CONVERSE.get().copied()
}

/// One WebSocket and its state.
struct Conversing<'c> {
    wire: Wire<'c>,
    /// tungstenite's state, which assembles frames; `None` between messages.
    frames: Option<WebSocketContext>,
}

/// The connection as tungstenite sees it: a read returns bytes that have already arrived, of one
/// frame at most; a write waits until the bytes are sent.
struct Wire<'c> {
    server: Shared,
    link: &'c mut Link,
    seat: &'c Seat,
    settings: Settings,
    /// Bytes that were read from the socket and not passed on yet.
    input: Vec<u8>,
    start: usize,
    /// Bytes of the current frame that are not passed on yet.
    frame_left: u64,
    /// Whether the last data frame did not complete its message.
    in_pieces: bool,
    /// Size of the current message, in bytes.
    message_bytes: usize,
    share: Option<Share<'static>>,
    /// Number of control frames and empty fragments since that time.
    controls: (Expiry, u32),
    /// Why the server refused the peer's frame.
    refused: Option<End>,
    /// Whether a write failed: the peer is gone or too slow.
    broken: bool,
}

/// Why the connection ends, and which side ended it.
#[derive(Clone)]
struct End {
    code: u16,
    reason: String,
    /// Text for the log in place of the reason: the peer does not get a handler's words.
    causes: Option<String>,
    by_peer: bool,
    level: Level,
}

impl End {
    fn of(code: u16, reason: impl Into<String>, level: Level) -> End {
        End { code, reason: reason.into(), causes: None, by_peer: false, level }
    }

    /// The peer made a mistake.
    fn mistake(code: u16, reason: impl Into<String>) -> End {
        End::of(code, reason, Level::Warn)
    }

    /// The connection ended without a close frame, and the server cannot send one.
    fn gone(reason: &str) -> End {
        End { by_peer: true, ..End::of(1006, reason, Level::Info) }
    }
}

/// Why a wait for the peer returned.
enum More {
    Bytes,
    /// Another thread posted a message, the server stops, or neither.
    Nudged,
}

/// Since when the peer is silent.
struct Silence {
    since: Expiry,
    /// Whether the server sent a ping since then and has no answer.
    pinged: bool,
}

impl<'c> Conversing<'c> {
    /// `input` holds the bytes that arrived after the handshake.
    fn new(server: Shared, link: &'c mut Link, seat: &'c Seat, input: Vec<u8>) -> Conversing<'c> {
        let settings = Settings {
            message_bytes: 0,
            idle: Duration::ZERO,
            ping_every: None,
            controls_per_second: 0,
            outbox_bytes: 0,
            text_only: false,
            keeps_place: Duration::ZERO,
        };
        let now = seat.deadline_in(Duration::ZERO);
        let wire = Wire {
            server,
            link,
            seat,
            settings,
            input,
            start: 0,
            frame_left: 0,
            in_pieces: false,
            message_bytes: 0,
            share: None,
            controls: (now, 0),
            refused: None,
            broken: false,
        };
        Conversing { wire, frames: None }
    }

    /// Serves the connection until it ends. Returns whether the peer still has something to read.
    fn run(mut self, upgrade: Upgrade) -> bool {
        let Upgrade { mut conversation, settings, request_id, path } = upgrade;
        self.wire.settings = settings;
        let sender = Sender::new(settings.outbox_bytes, self.wire.server.budget);
        let Ok(nudge) = self.wire.link.nudge() else { return false };
        sender.on_post(move || nudge.give());
        self.wire.seat.be_nudged(Some(nudge));
        let mut handled = Handled { id: &request_id, sender: &sender };
        let end = self.serve(&mut *conversation, &mut handled);
        sender.close();
        self.wire.seat.be_nudged(None);
        if !self.wire.broken && end.code != 1006 && !end.by_peer {
            self.say_close(&end);
        }
        let ended = Ended { code: end.code, by_peer: end.by_peer };
        let closed = in_handler(|| {
            catch(|| records::serving(&request_id, move || conversation.closed(ended)))
        });
        if let Err(panicked) = closed {
            let error = panicked.into_error();
            let line = format_args!("GET {path}: a WebSocket's end failed: {error:#}");
            log::failure(Level::Error, &request_id, line);
        }
        let (code, reason) = (end.code, end.causes.as_ref().unwrap_or(&end.reason));
        let line = format_args!("GET {path}: the WebSocket ended with {code}: {reason}");
        if end.level != Level::Warn || log::admits_mistake() {
            log::failure(end.level, &request_id, line);
        }
        self.wire.server.slots.report_mistakes();
        spare::give_back(std::mem::take(&mut self.wire.input));
        !self.wire.broken && end.code != 1006
    }

    fn serve(&mut self, conversation: &mut dyn Conversation, handled: &mut Handled<'_>) -> End {
        let opened = handled.call(&mut self.wire, |socket| conversation.opened(socket));
        if let Err(end) = opened {
            return end;
        }
        let mut silence = Silence { since: self.wire.now(), pinged: false };
        let mut patience = None;
        let mut streak = 0;
        loop {
            if self.wire.server.slots.is_stopping() {
                return End::of(1001, "the server stops", Level::Debug);
            }
            if let Err(end) = self.send_posted(handled.sender) {
                return end;
            }
            streak += 1;
            if streak >= LONGEST_STREAK {
                streak = 0;
                if let Some(home) = home() {
                    home.give_way();
                }
            }
            match self.next(conversation, handled) {
                Ok(true) => {
                    silence = Silence { since: self.wire.now(), pinged: false };
                    if !self.wire.is_within() {
                        patience = None;
                    }
                }
                Ok(false) => match self.more(&mut silence, &mut patience) {
                    Ok(More::Bytes) => {}
                    Ok(More::Nudged) => streak = 0,
                    Err(end) => return end,
                },
                Err(end) => return end,
            }
        }
    }

    /// Passes the next message to the handler, if the message is complete. Returns false if it
    /// needs more bytes.
    fn next(
        &mut self,
        conversation: &mut dyn Conversation,
        handled: &mut Handled<'_>,
    ) -> std::result::Result<bool, End> {
        if self.frames.is_none() && !self.wire.has_input() {
            return Ok(false);
        }
        let frames = self.frames.get_or_insert_with(|| {
            let most = self.wire.settings.message_bytes;
            let config = WebSocketConfig::default()
                .read_buffer_size(READ_BYTES)
                .write_buffer_size(0)
                .max_write_buffer_size(4 * 1024)
                .max_message_size(Some(most))
                .max_frame_size(Some(most.max(125)));
            WebSocketContext::new(Role::Server, Some(config))
        });
        let read = frames.read(&mut self.wire);
        if let Some(end) = self.wire.refused.take() {
            return Err(end);
        }
        let message = match read {
            Ok(message) => message,
            Err(Failure::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(false);
            }
            Err(failure) => return Err(self.wire.end_of(&failure)),
        };
        let taken = match &message {
            tungstenite::Message::Text(text) => Message::Text(text),
            tungstenite::Message::Binary(_) if self.wire.settings.text_only => {
                return Err(End::mistake(1003, "only text is taken"));
            }
            tungstenite::Message::Binary(bytes) => Message::Binary(bytes),
            tungstenite::Message::Close(frame) => {
                let end = match frame {
                    Some(frame) => (u16::from(frame.code), frame.reason.as_str().to_owned()),
                    None => (1005, String::new()),
                };
                // Sends the answering close frame, which the peer waits for.
                let _ = frames.read(&mut self.wire);
                return Err(End { by_peer: true, ..End::of(end.0, end.1, Level::Debug) });
            }
            _ => return Ok(true), // a ping is answered before the next read
        };
        let server = self.wire.server;
        server.budget.await_readers(&|| server.relieve());
        let done = handled.call(&mut self.wire, |socket| conversation.message(socket, taken));
        drop(message);
        self.wire.message_bytes = 0;
        self.wire.share = None;
        done.map(|()| true)
    }

    /// Reads what has arrived, or waits for it.
    fn more(
        &mut self,
        silence: &mut Silence,
        patience: &mut Option<Patience>,
    ) -> std::result::Result<More, End> {
        let wire = &mut self.wire;
        wire.compact();
        if wire.link.may_have_input() {
            if wire.input.capacity() == 0 {
                wire.input = spare::take();
            }
            wire.input.reserve(READ_BYTES);
            match wire.link.try_read(&mut wire.input) {
                Ok(0) => return Err(End::gone("the peer closed it without a close frame")),
                Ok(size) => {
                    if let Some(patience) = patience {
                        patience.received(size);
                    }
                    return Ok(More::Bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(End::gone("the connection was reset")),
            }
        }
        let limits = wire.server.limits;
        let within = wire.is_within();
        let settings = &wire.settings;
        let (mut silent, latest);
        let patience = if within {
            latest = None;
            let patience = patience
                .get_or_insert_with(|| Patience::to_read(limits.body_rate, limits.body_timeout));
            patience.holds_memory = wire.share.is_some();
            patience
        } else {
            // A silent peer holds no buffer.
            self.frames = None;
            spare::give_back(std::mem::take(&mut wire.input));
            let quiet = wire.now().since(silence.since);
            let until = match settings.ping_every {
                Some(every) if !silence.pinged => every.min(settings.idle),
                Some(every) => every.saturating_mul(2).min(settings.idle),
                None => settings.idle,
            };
            let left = until.saturating_sub(quiet);
            if left.is_zero() {
                return wire.break_silence(silence, quiet);
            }
            silent = Patience::silent((settings.keeps_place, quiet), left);
            latest = Some(wire.seat.deadline_in(left));
            &mut silent
        };
        let (seat, how) = (wire.seat, Shutdown::Read);
        match seat.wait(wire.link, Ready::ToRead, how, patience, latest) {
            Ok(Waited::On) => Ok(More::Nudged),
            Ok(Waited::TooLong) if !within => Ok(More::Nudged),
            Ok(Waited::TooLong) => Err(End::mistake(1008, "the message did not arrive in time")),
            Ok(Waited::Evicted) if !within => {
                let reason = "the connection was silent for long, and another one needs its slot";
                Err(End::of(1013, reason, Level::Info))
            }
            Ok(Waited::Evicted) => {
                let reason = "the message arrived too slowly while others waited";
                Err(End::mistake(1008, reason))
            }
            Err(_) => Err(End::gone("the socket cannot be watched")),
        }
    }

    /// Sends the messages that other handlers posted.
    fn send_posted(&mut self, sender: &Sender) -> std::result::Result<(), End> {
        let stops = || self.wire.server.slots.is_stopping();
        let mut sent = 0;
        while sent < LONGEST_STREAK
            && !stops()
            && let Some((bytes, is_text)) = sender.take()
        {
            self.wire.send(if is_text { 1 } else { 2 }, &bytes).map_err(|_| gone())?;
            sent += 1;
        }
        Ok(())
    }

    fn say_close(&mut self, end: &End) {
        let mut content = Vec::with_capacity(2 + REASON_BYTES);
        content.extend_from_slice(&end.code.to_be_bytes());
        let reason = &end.reason[..end.reason.floor_char_boundary(REASON_BYTES)];
        content.extend_from_slice(reason.as_bytes());
        let _ = self.wire.send(8, &content); // the peer may be gone
    }
}

fn gone() -> End {
    End::gone("the peer is gone or reads too slowly")
}

impl Wire<'_> {
    fn now(&self) -> Expiry {
        self.seat.deadline_in(Duration::ZERO)
    }

    fn has_input(&self) -> bool {
        self.input.len() > self.start
    }

    /// Whether a message or a frame is incomplete.
    fn is_within(&self) -> bool {
        self.frame_left > 0 || self.in_pieces || self.has_input()
    }

    fn compact(&mut self) {
        self.input.drain(..self.start);
        self.start = 0;
    }

    /// Checks a new frame against the limits before the server keeps any of it.
    fn admit(&mut self, head: FrameHead) -> std::result::Result<(), End> {
        if head.is_control() || head.content_bytes == 0 {
            let (since, count) = &mut self.controls;
            let now = self.seat.deadline_in(Duration::ZERO);
            if now.since(*since) > Duration::from_secs(1) {
                (*since, *count) = (now, 0);
            }
            *count += 1;
            if *count > self.settings.controls_per_second {
                return Err(End::mistake(1008, "too many control frames or empty pieces"));
            }
        }
        if head.is_control() {
            return Ok(());
        }
        self.in_pieces = !head.is_last;
        let size = usize::try_from(head.content_bytes).unwrap_or(usize::MAX);
        let whole = self.message_bytes.saturating_add(size);
        let budget = self.server.budget;
        let most = self.settings.message_bytes;
        let most = if whole > SMALL_BYTES { most.min(budget.body_limit(whole)) } else { most };
        if whole > most {
            return Err(End::mistake(1009, format!("a message is larger than {most} bytes")));
        }
        self.message_bytes = whole;
        if whole > SMALL_BYTES && self.share.is_none() {
            let is_whole = head.is_last && head.opcode != 0;
            let server = self.server;
            let share =
                server.budget.take(if is_whole { whole } else { most }, &|| server.relieve());
            self.share = Some(share);
        }
        Ok(())
    }

    /// Handles a silence that reached its limit: pings the peer, or ends the connection.
    fn break_silence(
        &mut self,
        silence: &mut Silence,
        quiet: Duration,
    ) -> std::result::Result<More, End> {
        if quiet >= self.settings.idle {
            return Err(End::of(1000, "nothing was sent for too long", Level::Info));
        }
        if silence.pinged {
            return Err(End::gone("a ping was not answered"));
        }
        silence.pinged = true;
        self.send(9, b"").map_err(|_| gone())?;
        Ok(More::Nudged)
    }

    /// Sends one complete frame and waits until it is sent.
    fn send(&mut self, opcode: u8, content: &[u8]) -> io::Result<()> {
        let mut head = Vec::with_capacity(10);
        FrameHead::write(&mut head, opcode, content.len());
        self.write_all_of(&mut [IoSlice::new(&head), IoSlice::new(content)])
    }

    fn write_all_of(&mut self, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        if self.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let limits = (self.server.limits, self.server.budget);
        let sent = Outgoing::new(self.link, self.seat, limits).write_all(slices);
        self.broken |= sent.is_err();
        sent
    }

    /// Maps an error of tungstenite to the end of the connection.
    fn end_of(&self, failure: &Failure) -> End {
        match failure {
            _ if self.broken => gone(),
            Failure::Utf8(_) => End::mistake(1007, "a text is not UTF-8"),
            Failure::Capacity(_) => {
                let most = self.settings.message_bytes;
                End::mistake(1009, format!("a message is larger than {most} bytes"))
            }
            Failure::Protocol(ProtocolError::ResetWithoutClosingHandshake) => gone(),
            Failure::Protocol(error) => End::mistake(1002, error.to_string()),
            _ => gone(),
        }
    }
}

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let unread = self.input.get(self.start..).unwrap_or_default();
        if self.frame_left == 0 {
            let admitted = match FrameHead::read(unread) {
                Ok(None) => return Err(io::ErrorKind::WouldBlock.into()),
                Ok(Some(head)) => {
                    self.admit(head).map(|()| head.head_bytes as u64 + head.content_bytes)
                }
                Err(why) => Err(End::mistake(1002, why)),
            };
            match admitted {
                Ok(size) => self.frame_left = size,
                Err(end) => {
                    self.refused = Some(end);
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        }
        let unread = self.input.get(self.start..).unwrap_or_default();
        let left = usize::try_from(self.frame_left).unwrap_or(usize::MAX);
        let size = buffer.len().min(unread.len()).min(left);
        if size == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        buffer[..size].copy_from_slice(&unread[..size]);
        self.start += size;
        self.frame_left -= size as u64;
        Ok(size)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all_of(&mut [IoSlice::new(bytes)])?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Data of the connection that each call of the handler needs.
struct Handled<'h> {
    id: &'h str,
    sender: &'h Sender,
}

impl Handled<'_> {
    /// Calls a handler. Returns how the connection ends, if the handler closes it or fails.
    fn call(
        &self,
        wire: &mut Wire<'_>,
        handler: impl FnOnce(&mut Socket<'_>) -> Result<()>,
    ) -> std::result::Result<(), End> {
        let mut output = Output { wire, close: None };
        let done = in_handler(|| {
            catch(|| {
                records::serving(self.id, || handler(&mut Socket::new(&mut output, self.sender)))
            })
        });
        let close = output.close;
        let error: Error = match done {
            // the handler got the error, and did not cause it
            _ if wire.broken => return Err(gone()),
            Ok(Ok(())) => return close.map_or(Ok(()), Err),
            Ok(Err(error)) => error,
            Err(panicked) => panicked.into_error(),
        };
        let status = error.status();
        let mut end = match error.is_peers_fault() || status.code() < 500 {
            true => End::mistake(1007, error.message_for(Caller::Web, status)),
            false => End::of(1011, "the handler failed", Level::Error),
        };
        end.causes = Some(match end.code {
            1007 => format!("{error:#}"),
            _ => format!("{}: {error:#}", end.reason),
        });
        Err(end)
    }
}

/// Sends a handler's messages.
struct Output<'m, 'c> {
    wire: &'m mut Wire<'c>,
    close: Option<End>,
}

impl Out for Output<'_, '_> {
    fn send(&mut self, message: Message<'_>) -> io::Result<()> {
        if self.close.is_some() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        self.wire.send(message.opcode(), message.bytes())
    }

    fn close(&mut self, code: u16, reason: &str) {
        let may_be_sent = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        let code = if may_be_sent { code } else { 1011 };
        self.close.get_or_insert_with(|| End::of(code, reason, Level::Debug));
    }
}
