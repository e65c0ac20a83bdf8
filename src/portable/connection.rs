//! One connection on its own thread: it reads a request, answers it, and reads the next. Reads
//! block, each with a time-out. RFC 9112.

use super::limits::time_after;
use super::outgoing::{self, ReplyMode};
use super::server::Server;
use super::service::{RequestHead, Service};
use crate::body::Body;
use crate::deadline::Arrival;
use crate::error::Error;
use crate::request::Request;
use crate::stopping::stopping;
use crate::sys::monotonic_ns;
use crate::wire::chunked::{Decoder, Step};
use crate::wire::head::{begins_with_head, spelt_target};
use crate::wire::{Framing, Head, Reject, Scan, Scanner, Status, Version, response};
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// Smallest free space in the buffer before a read, in bytes.
const READ_BYTES: usize = 16 * 1024;
/// How long a peer that has received its last reply may keep its side open without sending.
const SILENCE: Duration = Duration::from_secs(2);
/// Longest lingering close.
const LONGEST_LINGER: Duration = Duration::from_secs(300);

/// A connection and what has been read from it.
pub(super) struct Connection<S: 'static> {
    server: &'static Server<S>,
    stream: TcpStream,
    /// Bytes that were read and not processed yet; the next request starts with the first of them.
    input: Vec<u8>,
}

/// Why a request does not get an ordinary reply.
enum End {
    /// The peer is gone.
    Close,
    /// The peer made a mistake: the server answers it and closes the connection.
    Refuse(Error),
}

impl From<Reject> for End {
    fn from(reject: Reject) -> End {
        End::Refuse(reject.into())
    }
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> End {
        End::Close
    }
}

/// What follows an exchange.
enum Over {
    Close,
    /// The server has sent the last reply, and the peer may still be sending, or may not have read
    /// it.
    Linger,
}

impl<S: Service> Connection<S> {
    pub fn new(server: &'static Server<S>, stream: TcpStream) -> Connection<S> {
        Connection { server, stream, input: Vec::new() }
    }

    /// Serves requests until either side ends the connection.
    pub fn run(mut self) {
        if self.stream.set_write_timeout(Some(self.server.limits.write_timeout)).is_err() {
            return;
        }
        loop {
            match self.await_first_byte() {
                Ok(true) => {}
                Ok(false) | Err(_) => return,
            }
            self.server.is_busy(true);
            let over = self.exchange();
            self.server.is_busy(false);
            match over {
                Ok(()) => {}
                Err(Over::Close) => return,
                Err(Over::Linger) => return self.linger(),
            }
        }
    }

    /// Waits for the next request without a limit of its own; returns whether there is one.
    fn await_first_byte(&mut self) -> io::Result<bool> {
        if self.input.is_empty() {
            self.input = Vec::new(); // an idle connection holds no memory
            self.stream.set_read_timeout(None)?;
            return Ok(self.read_some()? > 0);
        }
        Ok(true)
    }

    /// Reads what has arrived, or waits for it.
    fn read_some(&mut self) -> io::Result<usize> {
        let filled = self.input.len();
        self.input.resize(filled + READ_BYTES, 0);
        let read = loop {
            match self.stream.read(&mut self.input[filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.input.truncate(filled + read.as_ref().copied().unwrap_or(0));
        read
    }

    /// Reads before `deadline`; `what` names the part in an error.
    fn read_until(&mut self, deadline: Instant, what: &str) -> Result<(), End> {
        let late = || {
            let why = format!("the request {what} did not arrive in time");
            End::Refuse(Error::peer(Status::REQUEST_TIMEOUT, why))
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(late());
        }
        self.stream.set_read_timeout(Some(left))?;
        match self.read_some() {
            Ok(0) => {
                let why = match what {
                    "head" => "the connection ended within a request head",
                    _ => "the connection ended within a request body",
                };
                Err(Reject::bad_request(why).into())
            }
            Ok(_) => Ok(()),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                Err(late())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Serves one request and sends its reply.
    fn exchange(&mut self) -> Result<(), Over> {
        let (start, end) = match self.read_head() {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(()), // empty lines, and no request yet
            Err(End::Close) => return Err(Over::Close),
            Err(End::Refuse(error)) => return Err(self.refuse(&error, None)),
        };
        let arrival = Arrival::at_monotonic(monotonic_ns());
        let mut head = Head::default();
        if let Err(reject) = head.read(&self.input, start, end, &self.server.limits.head) {
            let spelt = self.input.get(start..end).and_then(|head| spelt_target(&reject, head));
            let error = spelt.map_or(reject.into(), |target| {
                Error::peer(reject.status, format!("{}: send `{target}`", reject.reason))
            });
            return Err(self.refuse(&error, None));
        }
        let (len, next) = match self.read_body(&head, end) {
            Ok(body) => body,
            Err(End::Close) => return Err(Over::Close),
            Err(End::Refuse(error)) => return Err(self.refuse(&error, Some(&head))),
        };
        let head_only = head.method.of(&self.input) == b"HEAD";
        let filled = self.input.len();
        if filled < end + len + Body::PADDING_BYTES {
            self.input.resize(end + len + Body::PADDING_BYTES, 0);
        }
        // The bytes after the body may be the next request: the parser reads them and puts them
        // back.
        let (head_bytes, rest) = self.input.split_at_mut(end);
        let body = Body::new(&mut rest[..len + Body::PADDING_BYTES], len);
        let request = Request::new(&head, head_bytes, body).with_arrival(arrival);
        #[cfg_attr(not(feature = "websocket"), allow(unused_mut))]
        let mut reply = self.server.service.call(request);
        self.input.truncate(filled);
        #[cfg(feature = "websocket")]
        if reply.take_upgrade().is_some() {
            let why = "WebSockets need Linux: this is the transport of other systems";
            let error = Error::peer(Status::NOT_IMPLEMENTED, why);
            return Err(self.refuse(&error, Some(&head)));
        }
        self.input.drain(..next);
        let keep_alive = head.keep_alive && !stopping();
        let asked = ReplyMode { version: head.version, keep_alive, head_only };
        match outgoing::send(&self.stream, asked, reply) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Over::Linger),
            Err(_) => Err(Over::Close),
        }
    }

    /// Reads to the end of a request's head and returns its offsets in `input`; `None` if only
    /// empty lines have arrived, which belong to no request (RFC 9112, section 2.2).
    fn read_head(&mut self) -> Result<Option<(usize, usize)>, End> {
        let mut scanner = Scanner::default();
        let deadline = time_after(self.server.limits.head_timeout);
        loop {
            match scanner.advance(&self.input, &self.server.limits.head)? {
                Scan::Complete { start, end } => return Ok(Some((start, end))),
                _ if !scanner.begun() => {
                    self.input.clear();
                    return Ok(None);
                }
                _ => self.read_until(deadline, "head")?,
            }
        }
    }

    /// Reads the complete body after its head and decodes it in place; returns its size and where
    /// the next request starts.
    fn read_body(&mut self, head: &Head, head_end: usize) -> Result<(usize, usize), End> {
        let view = RequestHead { head, bytes: &self.input };
        let limit = self.server.service.admit(&view).map_err(End::Refuse)?.body_bytes;
        let too_large = || {
            let message = format!("the request body is larger than {limit} bytes");
            End::Refuse(Error::peer(Status::CONTENT_TOO_LARGE, message))
        };
        let body_timeout = self.server.limits.body_timeout;
        let mut invited = !head.expects_continue;
        let mut decoder = match head.framing {
            Framing::Length(size) => {
                let size = usize::try_from(size).ok().filter(|size| *size <= limit);
                let size = size.ok_or_else(too_large)?;
                let end = head_end + size;
                while self.input.len() < end {
                    self.invite(&mut invited)?;
                    self.read_until(time_after(body_timeout), "body")?;
                }
                return Ok((size, end));
            }
            Framing::Chunked => Decoder::default(),
        };
        let (mut raw, mut len) = (head_end, 0);
        loop {
            match decoder.step(self.input.get(raw..).unwrap_or_default())? {
                Step::Content { content } => {
                    if content.len() > limit.saturating_sub(len) {
                        return Err(too_large());
                    }
                    self.input.copy_within(raw + content.start..raw + content.end, head_end + len);
                    len += content.len();
                    raw += content.end;
                }
                Step::End { consumed } => return Ok((len, raw + consumed)),
                Step::Partial { .. } => {
                    self.input.truncate(head_end + len); // the raw bytes are decoded
                    self.invite(&mut invited)?;
                    self.read_until(time_after(body_timeout), "body")?;
                    raw = head_end + len;
                }
            }
        }
    }

    /// Asks the peer to send its body, if it waits for that (RFC 9110, section 10.1.1).
    fn invite(&mut self, invited: &mut bool) -> Result<(), End> {
        if !std::mem::replace(invited, true) {
            (&self.stream).write_all(response::CONTINUE)?;
        }
        Ok(())
    }

    /// Answers a mistake; the connection ends.
    fn refuse(&mut self, error: &Error, head: Option<&Head>) -> Over {
        let view = head.map(|head| RequestHead { head, bytes: &self.input });
        let reply = self.server.service.refuse(error, view.as_ref());
        let asked = ReplyMode {
            version: head.map_or(Version::Http11, |head| head.version),
            keep_alive: false,
            head_only: match head {
                Some(head) => head.method.of(&self.input) == b"HEAD",
                // No parsed head: HEAD is recognised by its bytes (RFC 9110, section 9.3.2).
                None => begins_with_head(&self.input),
            },
        };
        match outgoing::send(&self.stream, asked, reply) {
            Ok(_) => Over::Linger,
            Err(_) => Over::Close,
        }
    }

    /// Reads what the peer still sends until it ends its side. To close at once would cause a
    /// reset, and the peer could lose the last reply (RFC 9112, section 9.6).
    fn linger(mut self) {
        let end = time_after(LONGEST_LINGER);
        let _ = self.stream.shutdown(Shutdown::Write);
        if self.stream.set_read_timeout(Some(SILENCE)).is_err() {
            return;
        }
        while Instant::now() < end {
            self.input.clear();
            if !matches!(self.read_some(), Ok(1..)) {
                return;
            }
        }
    }
}
