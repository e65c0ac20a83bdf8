//! WebSocket as its handler sees it: messages, where they are sent, and how it ends. Sockets and
//! frames are in `transport`. RFC 6455.

use crate::error::Result;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// One complete WebSocket message, whatever frames it was sent in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text, valid UTF-8.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// The text; `None` if the message is binary.
    pub fn text(self) -> Option<&'a str> {
        match self {
            Message::Text(text) => Some(text),
            Message::Binary(_) => None,
        }
    }

    /// The message's bytes, of either kind.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }

    pub(crate) fn opcode(self) -> u8 {
        match self {
            Message::Text(_) => 1,
            Message::Binary(_) => 2,
        }
    }
}

/// The handler of one WebSocket, with that connection's own state. A closure over a [`Socket`] and
/// a [`Message`] implements it.
///
/// Each call is a handler call: it keeps its thread to its end, and may block. Between calls the
/// connection waits on a coroutine and holds no thread. Calls for one connection never overlap. An
/// error or a panic is logged, and ends the connection with code 1011.
pub trait Conversation: Send + 'static {
    /// Called once the handshake's reply has been sent.
    ///
    /// # Errors
    /// Ends the connection with code 1011.
    fn opened(&mut self, socket: &mut Socket<'_>) -> Result<()> {
        let _ = socket;
        Ok(())
    }

    /// Called for each message.
    ///
    /// # Errors
    /// Ends the connection with code 1011.
    fn message(&mut self, socket: &mut Socket<'_>, message: Message<'_>) -> Result<()>;

    /// Called when the connection is over, however it ended; once, and only if `opened` was called.
    fn closed(&mut self, ended: Ended) {
        let _ = ended;
    }
}

impl<F> Conversation for F
where
    F: FnMut(&mut Socket<'_>, Message<'_>) -> Result<()> + Send + 'static,
{
    fn message(&mut self, socket: &mut Socket<'_>, message: Message<'_>) -> Result<()> {
        self(socket, message)
    }
}

/// How a WebSocket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Code of the close frame; 1005 if it had none, 1006 if no close frame came (RFC 6455, section
    /// 7.4.1).
    pub code: u16,
    /// Whether the peer ended it.
    pub by_peer: bool,
}

/// The peer's connection, usable while a handler runs.
pub struct Socket<'a> {
    out: &'a mut dyn Out,
    sender: &'a Sender,
}

/// Where messages are sent.
pub(crate) trait Out {
    fn send(&mut self, message: Message<'_>) -> io::Result<()>;
    fn close(&mut self, code: u16, reason: &str);
}

impl<'a> Socket<'a> {
    pub(crate) fn new(out: &'a mut dyn Out, sender: &'a Sender) -> Socket<'a> {
        Socket { out, sender }
    }

    /// Sends a message, and waits until the peer's system takes it.
    ///
    /// # Errors
    /// If the peer is gone or too slow ([`Limits::reply_rate`](crate::Limits::reply_rate)), or the
    /// handler has already closed the connection. The connection ends; that does not count as the
    /// handler's failure.
    pub fn send(&mut self, message: Message<'_>) -> io::Result<()> {
        self.out.send(message)
    }

    /// [`Socket::send`] for text.
    ///
    /// # Errors
    /// As [`Socket::send`].
    pub fn send_text(&mut self, text: &str) -> io::Result<()> {
        self.out.send(Message::Text(text))
    }

    /// Ends the connection when the handler returns. Code 1000 means a normal end; 3000 to 4999 are
    /// for the function's own use. SCF maps 1000 and 1011 to status 200 and every other code to
    /// 439. A code that a server must not send becomes 1011; a reason is cut at 123 bytes.
    pub fn close(&mut self, code: u16, reason: &str) {
        self.out.close(code, reason);
    }

    /// Returns a sender that works from any thread.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }
}

impl fmt::Debug for Socket<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Socket")
    }
}

/// Sends to one peer from anywhere: from other connections' handlers, from background work. Clones
/// send to the same peer. Posted messages wait in memory up to
/// [`WebSocket::outbox_bytes`](crate::WebSocket::outbox_bytes).
#[derive(Clone)]
pub struct Sender(Arc<Outbox>);

struct Outbox {
    most_bytes: usize,
    state: Mutex<Posted>,
    /// Makes the connection look at what was posted.
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Default)]
struct Posted {
    messages: VecDeque<(Arc<[u8]>, bool)>,
    bytes: usize,
    closed: bool,
}

/// Why a message was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// The connection is over.
    Closed,
    /// The peer is too slow: the messages that wait for it have reached the limit.
    Full,
}

impl fmt::Display for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Undelivered::Closed => "the connection is over",
            Undelivered::Full => "the peer is behind with its messages",
        })
    }
}

impl std::error::Error for Undelivered {}

/// What a message in the outbox counts beside its bytes.
const MESSAGE_BYTES: usize = 64;

impl Sender {
    pub(crate) fn new(most_bytes: usize) -> Sender {
        Sender(Arc::new(Outbox { most_bytes, state: Mutex::default(), wake: OnceLock::new() }))
    }

    /// Posts text. Messages are sent in the order in which they were posted, some time later. A
    /// text for many peers is copied only once if it is an `Arc<str>`.
    ///
    /// # Errors
    /// If the message was not accepted.
    pub fn send_text(&self, text: impl Into<Arc<str>>) -> std::result::Result<(), Undelivered> {
        self.post(Arc::from(text.into()), true)
    }

    /// Posts bytes.
    ///
    /// # Errors
    /// If the message was not accepted.
    pub fn send_binary(&self, bytes: impl Into<Arc<[u8]>>) -> std::result::Result<(), Undelivered> {
        self.post(bytes.into(), false)
    }

    fn post(&self, bytes: Arc<[u8]>, is_text: bool) -> std::result::Result<(), Undelivered> {
        let mut posted = self.posted();
        if posted.closed {
            return Err(Undelivered::Closed);
        }
        let cost = bytes.len() + MESSAGE_BYTES;
        if cost > self.0.most_bytes.saturating_sub(posted.bytes) {
            return Err(Undelivered::Full);
        }
        posted.bytes += cost;
        posted.messages.push_back((bytes, is_text));
        let first = posted.messages.len() == 1;
        drop(posted);
        if first && let Some(wake) = self.0.wake.get() {
            wake();
        }
        Ok(())
    }

    /// Sets the function to call when something is posted.
    pub(crate) fn on_post(&self, wake: impl Fn() + Send + Sync + 'static) {
        let _ = self.0.wake.set(Box::new(wake)); // a connection is opened once
    }

    /// The next posted message, and whether it is text.
    pub(crate) fn take(&self) -> Option<(Arc<[u8]>, bool)> {
        let mut posted = self.posted();
        let next = posted.messages.pop_front()?;
        posted.bytes -= next.0.len() + MESSAGE_BYTES;
        Some(next)
    }

    /// Accepts no message from now on.
    pub(crate) fn close(&self) {
        *self.posted() = Posted { closed: true, ..Posted::default() };
    }

    fn posted(&self) -> MutexGuard<'_, Posted> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

/// What a connection becomes, and its limits.
pub(crate) struct Upgrade {
    pub conversation: Box<dyn Conversation>,
    pub settings: Settings,
    /// For the log.
    pub request_id: String,
    pub path: String,
}

/// Limits of one WebSocket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub message_bytes: usize,
    pub idle: Duration,
    pub ping_every: Option<Duration>,
    pub controls_per_second: u32,
    pub outbox_bytes: usize,
    pub text_only: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outbox_has_a_limit_and_keeps_the_order() {
        let sender = Sender::new(2 * MESSAGE_BYTES + 5);
        assert_eq!(sender.send_text("abc"), Ok(()));
        assert_eq!(sender.send_binary(vec![1, 2, 3]), Err(Undelivered::Full));
        assert_eq!(sender.send_binary(vec![1, 2]), Ok(()));
        assert_eq!(sender.take(), Some((b"abc"[..].into(), true)));
        assert_eq!(sender.take(), Some(([1, 2][..].into(), false)));
        assert_eq!(sender.take(), None);
        sender.close();
        assert_eq!(sender.send_text("d"), Err(Undelivered::Closed));
    }
}
