//! WebSocket API for handlers: messages, where to send them, and how a connection ends. `transport`
//! has the sockets and frames. RFC 6455.

use crate::body::Body;
use crate::error::{Error, Result};
use crate::json;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// One complete WebSocket message, independent of the number of its frames.
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

    /// The message as JSON, of either kind.
    ///
    /// As [`Request::json`](crate::Request::json). If a handler returns this error, the connection
    /// ends with code 1007 and that reason, because the peer made the mistake.
    pub fn json<T: DeserializeOwned>(self) -> Result<T> {
        let mut bytes = Vec::with_capacity(self.bytes().len() + Body::PADDING_BYTES);
        bytes.extend_from_slice(self.bytes()); // it is parsed in place
        json::parse(Body::from_vec(&mut bytes))
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
/// Each call is a handler: it keeps its thread until it returns, and may block. Between calls the
/// connection waits on a coroutine and holds no thread. Calls of one connection never overlap. The
/// server logs an error or a panic and ends the connection with code 1011; an error of status 4xx
/// is the peer's mistake and ends it with 1007.
pub trait Conversation: Send + 'static {
    /// The server calls this after it has sent the reply to the handshake.
    ///
    /// # Errors
    /// Ends the connection with code 1011.
    fn opened(&mut self, socket: &mut Socket<'_>) -> Result<()> {
        let _ = socket;
        Ok(())
    }

    /// The server calls this for each message.
    ///
    /// # Errors
    /// Ends the connection with code 1011.
    fn message(&mut self, socket: &mut Socket<'_>, message: Message<'_>) -> Result<()>;

    /// The server calls this once after the connection has ended, for whatever reason, if it has
    /// called `opened`.
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

/// Destination of a handler's messages.
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
    /// handler has already closed the connection. The connection ends, and the server does not
    /// count that as a failure of the handler.
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

    /// Sends a value as a text message in JSON.
    ///
    /// # Errors
    /// If the value cannot be written as JSON, which counts as a failure of the handler. Otherwise
    /// as [`Socket::send`].
    pub fn send_json<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let mut bytes = Vec::new();
        json::write(value, &mut bytes)?;
        let text = std::str::from_utf8(&bytes).map_err(|error| Error::of(&error))?;
        Ok(self.send_text(text)?)
    }

    /// Ends the connection when the handler returns. Code 1000 means a normal end; 3000 to 4999 are
    /// free for the function. SCF maps 1000 and 1011 to status 200 and every other code to 439. The
    /// server replaces a code that it must not send with 1011, and cuts a reason at 123 bytes.
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

/// Sends to one peer from any thread: from handlers of other connections, or from background work.
/// Clones send to the same peer. Posted messages wait in memory up to
/// [`WebSocket::outbox_bytes`](crate::WebSocket::outbox_bytes).
#[derive(Clone)]
pub struct Sender(Arc<Outbox>);

struct Outbox {
    most_bytes: usize,
    memory: &'static dyn Memory,
    state: Mutex<Posted>,
    /// Wakes the connection, so that it sends what was posted.
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Default)]
struct Posted {
    messages: VecDeque<Held>,
    bytes: usize,
    closed: bool,
}

/// Limits the memory of all outboxes together.
pub(crate) trait Memory: Send + Sync {
    /// Reserves the bytes; returns false if there is no room.
    fn hold(&self, bytes: usize) -> bool;
    fn let_go(&self, bytes: usize);
}

/// Number of outboxes that hold a message, by the message's address: a text for many peers is in
/// memory only once.
static HELD: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

fn held() -> MutexGuard<'static, BTreeMap<usize, usize>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A message in an outbox, with its share of the memory.
struct Held {
    bytes: Arc<[u8]>,
    is_text: bool,
    memory: &'static dyn Memory,
}

impl Held {
    /// Returns `None` if there is no room.
    fn new(bytes: Arc<[u8]>, is_text: bool, memory: &'static dyn Memory) -> Option<Held> {
        let mut held = held();
        match held.entry(bytes.as_ptr().addr()) {
            // An empty message has no address of its own, and costs nothing.
            _ if bytes.is_empty() => {}
            Entry::Occupied(mut times) => *times.get_mut() += 1,
            Entry::Vacant(place) if memory.hold(bytes.len()) => _ = place.insert(1),
            Entry::Vacant(_) => return None,
        }
        Some(Held { bytes, is_text, memory })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = held();
        if let Entry::Occupied(mut times) = held.entry(self.bytes.as_ptr().addr())
            && !self.bytes.is_empty()
        {
            *times.get_mut() -= 1;
            if *times.get() == 0 {
                times.remove();
                self.memory.let_go(self.bytes.len());
            }
        }
    }
}

/// Why a sender did not accept a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// The connection has ended.
    Closed,
    /// The outbox of this peer is full, or all outboxes together have reached their limit.
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

/// Bytes that each message in the outbox counts in addition to its content.
const MESSAGE_BYTES: usize = 64;

impl Sender {
    pub(crate) fn new(most_bytes: usize, memory: &'static dyn Memory) -> Sender {
        let (state, wake) = (Mutex::default(), OnceLock::new());
        Sender(Arc::new(Outbox { most_bytes, memory, state, wake }))
    }

    /// Posts a text. The connection sends messages in the order of posting, some time later. Pass
    /// an `Arc<str>` to many peers to copy the text only once.
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
        let Some(message) = Held::new(bytes, is_text, self.0.memory) else {
            return Err(Undelivered::Full);
        };
        posted.bytes += cost;
        posted.messages.push_back(message);
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

    /// Takes the next posted message; returns it and whether it is text.
    pub(crate) fn take(&self) -> Option<(Arc<[u8]>, bool)> {
        let mut posted = self.posted();
        let next = posted.messages.pop_front()?;
        posted.bytes -= next.bytes.len() + MESSAGE_BYTES;
        Some((next.bytes.clone(), next.is_text))
    }

    /// Accepts no further message.
    pub(crate) fn close(&self) {
        let posted =
            std::mem::replace(&mut *self.posted(), Posted { closed: true, ..Posted::default() });
        drop(posted); // not under the lock
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

/// The handler of a new WebSocket, and its limits.
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
    /// How long a silent peer keeps its place while another connection waits for one.
    pub keeps_place: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A memory limit of so many bytes.
    struct Room(AtomicUsize);

    impl Memory for Room {
        fn hold(&self, bytes: usize) -> bool {
            let less = |room: usize| room.checked_sub(bytes);
            self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
        }

        fn let_go(&self, bytes: usize) {
            self.0.fetch_add(bytes, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_text_for_many_takes_memory_once_until_the_last_has_it() {
        static ROOM: Room = Room(AtomicUsize::new(10));
        let senders: Vec<_> = (0..3).map(|_| Sender::new(10_000, &ROOM)).collect();
        let text: Arc<str> = "1234567".into();
        for sender in &senders {
            assert_eq!(sender.send_text(text.clone()), Ok(()));
        }
        assert_eq!(senders[0].send_text("1234"), Err(Undelivered::Full));
        assert_eq!(senders[0].send_text("123"), Ok(()));
        assert_eq!(senders[1].send_text(""), Ok(()), "an empty message takes no memory");
        senders[0].close();
        assert!(senders[1].take().is_some());
        assert_eq!(ROOM.0.load(Ordering::SeqCst), 3, "one outbox still holds it");
        drop(senders);
        assert_eq!(ROOM.0.load(Ordering::SeqCst), 10);
        assert!(held().get(&text.as_ptr().addr()).is_none());
    }

    #[test]
    fn a_message_parses_as_json() {
        assert_eq!(Message::Text("[1,2]").json::<Vec<u8>>().unwrap(), [1, 2]);
        let error = Message::Binary(b"{").json::<Vec<u8>>().unwrap_err();
        assert!(error.is_peers_fault());
    }

    #[test]
    fn an_outbox_is_bounded_and_keeps_the_order() {
        static ROOM: Room = Room(AtomicUsize::new(1000));
        let sender = Sender::new(2 * MESSAGE_BYTES + 5, &ROOM);
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
