//! One connection: read a request, answer it, read the next. Written as if it blocked; where it
//! waits, others run.

use super::budget::{SMALL_BYTES, Share};
use super::clock;
use super::event_loop::Ready;
use super::handling::in_handler;
use super::home::home;
use super::link::Link;
use super::outgoing::{self, Outgoing, ReplyMode};
use super::server::Server;
use super::service::{RequestHead, Service};
use super::slots::{Expiry, Seat};
use crate::body::Body;
use crate::deadline::Arrival;
use crate::error::Error;
use crate::reply::Reply;
use crate::request::Request;
use crate::spare;
use crate::wire::chunked::{Decoder, Step};
use crate::wire::head::spelt_target;
use crate::wire::{Framing, Head, Reject, Scan, Scanner, Status, Version, response};
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::RawFd;
use std::time::Duration;

/// A connection and what has been read from it. Drop order (field order): deregister, close the
/// socket, free the slot.
pub(crate) struct Connection<S: 'static> {
    server: &'static Server<S>,
    link: Link,
    seat: Seat,
    /// Bytes read and not yet done with; holds no memory while the connection is idle.
    input: Vec<u8>,
    /// Where the next request starts in `input`.
    start: usize,
    /// Requests since it last had to wait for the peer.
    streak: u32,
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        self.seat.leave();
    }
}

/// What [`Connection::receive`] found.
pub(super) enum First {
    Bytes,
    Nothing,
    /// The peer has ended its side, or the connection has failed.
    End,
}

/// Why a connection does not go on to another request.
enum End {
    /// Nothing more to say: the peer is gone, was cut off, or was told that this is the end.
    Close,
    /// The peer made a mistake: it is answered, and the connection closes.
    Refuse(Error),
}

impl From<Reject> for End {
    fn from(reject: Reject) -> End {
        End::Refuse(reject.into())
    }
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> End {
        End::Close // resets and time-outs of writes: nobody is there to be told
    }
}

/// Bytes and time that a refused peer may still use up, so that it reads the refusal before the
/// reset that closing on unread data would cause (RFC 9112, section 9.6).
const LINGER_BYTES: usize = 8 * 1024 * 1024;
const LINGER: Duration = Duration::from_secs(2);
/// Requests that a peer which never lets its connection run dry gets answered in a row: then it
/// goes behind the others, because a loop looks at its sockets only when nothing is left to run.
pub(super) const LONGEST_STREAK: u32 = 256;
/// Free space that a read finds at least, in bytes.
const READ_BYTES: usize = 2 * 1024;
/// Size above which no body is, whatever the configuration says, in bytes: with its head it is one
/// buffer.
const MOST_BYTES: usize = isize::MAX as usize / 2;
/// Free space for bodies whose size is not known, in bytes.
const CHUNKED_READ_BYTES: usize = 16 * 1024;

impl<S: Service> Connection<S> {
    pub(crate) fn new(server: &'static Server<S>, link: Link, seat: Seat) -> Connection<S> {
        Connection { server, link, seat, input: Vec::new(), start: 0, streak: 0 }
    }

    pub(super) fn fd(&self) -> RawFd {
        self.link.fd()
    }

    /// Serves requests until either side ends it.
    pub(super) fn run(mut self) {
        while self.exchange().is_ok() {
            self.streak += 1;
            if self.streak >= LONGEST_STREAK {
                self.streak = 0;
                if let Some(home) = home() {
                    home.give_way();
                }
            }
        }
        spare::give_back(std::mem::take(&mut self.input));
    }

    /// Whether bytes of a next request are here already.
    pub(super) fn has_input(&self) -> bool {
        self.input.len() > self.start
    }

    /// Serves one request; the connection if it may carry another.
    pub(super) fn exchange_once(mut self) -> Option<Connection<S>> {
        self.exchange().is_ok().then_some(self)
    }

    /// Takes in what has arrived of a next request, without waiting and holding no buffer for
    /// nothing.
    pub(super) fn receive(&mut self) -> First {
        if self.input.capacity() == 0 {
            self.input = spare::take();
        }
        self.reserve(READ_BYTES);
        match self.link.try_read(&mut self.input) {
            Ok(0) => First::End,
            Ok(_) => First::Bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if self.input.is_empty() {
                    spare::give_back(std::mem::take(&mut self.input));
                }
                First::Nothing
            }
            Err(_) => First::End,
        }
    }

    /// One request and its reply. `Err(())`: the connection is over.
    fn exchange(&mut self) -> Result<(), ()> {
        let (start, end, large_head) = match self.read_head() {
            Ok(found) => found,
            Err(End::Close) => return Err(()),
            Err(End::Refuse(error)) => return self.refuse(&error, None),
        };
        let arrival = clock::arrival();
        let mut head = Head::default();
        if let Err(reject) = head.read(&self.input, start, end, &self.server.limits.head) {
            let spelt = self.input.get(start..end).and_then(|head| spelt_target(&reject, head));
            let error = spelt.map_or(reject.into(), |target| {
                Error::peer(reject.status, format!("{}: send `{target}`", reject.reason))
            });
            return self.refuse(&error, None);
        }
        let mut body = match self.read_body(&head, end) {
            Ok(body) => body,
            Err(End::Close) => return Err(()),
            Err(End::Refuse(error)) => return self.refuse(&error, Some(&head)),
        };
        let head_only = head.method.of(&self.input) == b"HEAD";
        let reply = self.call(&head, end, body.len, arrival);
        self.start = body.next;
        if self.start == self.input.len() {
            self.input.clear();
            self.start = 0;
        }
        // What was large is let go before its share is: whoever has sent it may say nothing more
        // for a long time.
        if self.input.capacity() > spare::KEEP_BYTES {
            self.input = self.input.split_off(self.start);
            self.start = 0;
        }
        drop(large_head);
        if let Some(share) = &mut body.share {
            share.shrink_to(self.server.budget.plain(reply.body().map_or(0, <[u8]>::len)));
        }
        // ReplyMode as late as possible: a signal may have come while the handler ran.
        let keep_alive = head.keep_alive && !self.server.slots.is_stopping();
        let asked = ReplyMode { version: head.version, keep_alive, head_only };
        let stall = self.server.limits.write_timeout;
        match outgoing::send(&mut self.link, &self.seat, stall, asked, reply) {
            Ok(true) => Ok(()),
            Ok(false) => {
                // A peer that said it would close has nothing left to send; any other may be
                // sending right now.
                if head.keep_alive || !self.input.is_empty() {
                    self.linger();
                }
                Err(())
            }
            Err(_) => Err(()),
        }
    }

    /// Reads up to the end of a request's head: its place in `input`, and its share of the budget
    /// if it is not small.
    fn read_head(&mut self) -> Result<(usize, usize, Option<Share<'static>>), End> {
        let mut scanner = Scanner::default();
        let mut deadline = None;
        let mut share = None;
        loop {
            let unread = self.input.get(self.start..).unwrap_or_default();
            if let Scan::Complete { start, end } =
                scanner.advance(unread, &self.server.limits.head)?
            {
                return Ok((self.start + start, self.start + end, share));
            }
            if share.is_none() && unread.len() > SMALL_BYTES {
                // A buffer that grows is at most twice as large as what is in it.
                share = Some(self.server.budget.take_head(2 * self.server.limits.head.head_bytes));
            }
            if self.start > 0 {
                self.input.drain(..self.start);
                self.start = 0;
            }
            if !scanner.begun() {
                // Nothing yet, or empty lines that are no request's (RFC 9112, section 2.2).
                self.await_first_byte()?;
                continue;
            }
            self.reserve(READ_BYTES);
            let limit = self.server.limits.head_timeout;
            let read =
                self.read_within(limit, &mut deadline, "the request head did not arrive in time")?;
            if read == 0 {
                return Err(
                    Reject::bad_request("the connection ended within a request head").into()
                );
            }
        }
    }

    /// Waits for a request to begin, holding no buffer meanwhile.
    fn await_first_byte(&mut self) -> Result<(), End> {
        let mut idle_since = None;
        loop {
            if self.link.may_have_input() {
                match self.receive() {
                    First::Bytes => return Ok(()),
                    First::End => return Err(End::Close),
                    First::Nothing => {}
                }
            } else if self.input.is_empty() {
                spare::give_back(std::mem::take(&mut self.input));
            }
            if !self.seat.idle(&mut idle_since) {
                return Err(End::Close);
            }
            self.streak = 0;
            let waited = self.link.wait(Ready::ToRead, None);
            if !self.seat.busy() {
                return Err(End::Close);
            }
            waited?;
        }
    }

    /// Reads the whole body behind its head, decoded. Its share of the budget comes first: until
    /// then it stays unread.
    fn read_body(&mut self, head: &Head, head_end: usize) -> Result<Received, End> {
        let view = RequestHead { head, bytes: &self.input };
        let admitted = self.server.service.admit(&view).map_err(End::Refuse)?.body_bytes;
        let budget = &self.server.budget;
        match head.framing {
            Framing::Length(0) => Ok(Received { len: 0, next: head_end, share: None }),
            Framing::Length(size) => {
                let size = usize::try_from(size).unwrap_or(usize::MAX);
                let limit = admitted.min(budget.body_limit(size)).min(MOST_BYTES);
                if size > limit {
                    return Err(too_large(limit));
                }
                let share = budget.take(size);
                let end = head_end + size;
                if self.input.len() < end {
                    self.input.reserve(end + Body::PADDING_BYTES - self.input.len());
                    self.invite(head)?;
                }
                let mut deadline = None;
                while self.input.len() < end {
                    self.read_more_of_body(&mut deadline, Some(&share))?;
                }
                Ok(Received { len: size, next: end, share: Some(share) })
            }
            Framing::Chunked => self.read_chunked(head, head_end, admitted),
        }
    }

    /// Decodes in place: content moves up against the content before it, and what is left of the
    /// raw bytes is never more than one read. A body that turns out not to be small takes a share
    /// for the largest, because nobody knows.
    fn read_chunked(
        &mut self,
        head: &Head,
        head_end: usize,
        admitted: usize,
    ) -> Result<Received, End> {
        let mut decoder = Decoder::default();
        let mut raw = head_end;
        let mut len = 0;
        let mut invited = false;
        let mut limit = admitted;
        let mut share: Option<Share<'static>> = None;
        let mut deadline = None;
        loop {
            match decoder.step(self.input.get(raw..).unwrap_or_default())? {
                Step::Content { content } => {
                    if content.len() > limit.saturating_sub(len) {
                        return Err(too_large(limit));
                    }
                    self.input.copy_within(raw + content.start..raw + content.end, head_end + len);
                    len += content.len();
                    raw += content.end;
                }
                Step::End { consumed } => {
                    match &mut share {
                        Some(share) => share.shrink_to(len),
                        None if len > 0 => share = Some(self.server.budget.take(len)),
                        None => {}
                    }
                    return Ok(Received { len, next: raw + consumed, share });
                }
                Step::Partial { .. } => {
                    self.input.truncate(head_end + len); // everything raw has been looked at
                    if share.is_none() && len > SMALL_BYTES {
                        limit = admitted.min(self.server.budget.body_limit(admitted));
                        share = Some(self.server.budget.take(limit));
                    }
                    if !invited {
                        self.invite(head)?;
                        invited = true;
                    }
                    self.reserve(CHUNKED_READ_BYTES);
                    self.read_more_of_body(&mut deadline, share.as_ref())?;
                    raw = head_end + len;
                }
            }
        }
    }

    /// Tells a peer that asked for it to send its body (RFC 9110, section 10.1.1).
    fn invite(&mut self, head: &Head) -> Result<(), End> {
        if head.expects_continue {
            self.outgoing().write_all(&mut [IoSlice::new(response::CONTINUE)])?;
        }
        Ok(())
    }

    /// Each wait has its own time; where others wait for the memory that this body holds, all
    /// further waits have it together.
    fn read_more_of_body(
        &mut self,
        deadline: &mut Option<Expiry>,
        share: Option<&Share<'static>>,
    ) -> Result<(), End> {
        let limit = self.server.limits.body_timeout;
        if !share.is_some_and(Share::is_wanted) {
            *deadline = None;
        }
        match self.read_within(limit, deadline, "the request body stopped arriving")? {
            0 => Err(Reject::bad_request("the connection ended within a request body").into()),
            _ => Ok(()),
        }
    }

    /// Reads what there is, or waits for it. The clock runs from the first wait on: what is already
    /// here costs none.
    fn read_within(
        &mut self,
        limit: Duration,
        deadline: &mut Option<Expiry>,
        too_late: &'static str,
    ) -> Result<usize, End> {
        loop {
            match self.link.try_read(&mut self.input) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let deadline = *deadline.get_or_insert_with(|| self.seat.deadline_in(limit));
                    self.streak = 0;
                    if self.seat.wait(&mut self.link, Ready::ToRead, deadline, Shutdown::Read)? {
                        return Err(End::Refuse(Error::peer(Status::REQUEST_TIMEOUT, too_late)));
                    }
                }
                read => return Ok(read?),
            }
        }
    }

    fn call(&mut self, head: &Head, head_end: usize, len: usize, arrival: Arrival) -> Reply {
        let filled = self.input.len();
        let padded_end = head_end + len + Body::PADDING_BYTES;
        if filled < padded_end {
            self.input.resize(padded_end, 0);
        }
        // What follows the body may be the next request: the parser reads it and puts it back as it
        // was.
        let (head_bytes, rest) = self.input.split_at_mut(head_end);
        let body = Body::new(&mut rest[..len + Body::PADDING_BYTES], len);
        let request = Request::new(head, head_bytes, body).with_arrival(arrival);
        let reply = in_handler(|| self.server.service.call(request));
        self.input.truncate(filled);
        reply
    }

    /// Answers a mistake and ends the connection.
    fn refuse(&mut self, error: &Error, head: Option<&Head>) -> Result<(), ()> {
        let view = head.map(|head| RequestHead { head, bytes: &self.input });
        let reply = self.server.service.refuse(error, view.as_ref());
        let asked = ReplyMode {
            version: head.map_or(Version::Http11, |head| head.version),
            keep_alive: false,
            head_only: head.is_some_and(|head| head.method.of(&self.input) == b"HEAD"),
        };
        let stall = self.server.limits.write_timeout;
        if outgoing::send(&mut self.link, &self.seat, stall, asked, reply).is_ok() {
            self.linger();
        }
        Err(())
    }

    /// Ends our side and takes in what the peer still sends, within bounds.
    fn linger(&mut self) {
        self.link.shutdown(Shutdown::Write);
        let deadline = self.seat.deadline_in(LINGER);
        let mut taken = 0;
        while taken < LINGER_BYTES {
            self.input.clear();
            self.reserve(CHUNKED_READ_BYTES);
            match self.link.try_read(&mut self.input) {
                Ok(0) => break,
                Ok(size) => taken += size,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let (link, how) = (&mut self.link, Shutdown::Both);
                    if self.seat.wait(link, Ready::ToRead, deadline, how).unwrap_or(true) {
                        break;
                    }
                }
                Err(_) => break,
            }
        }
    }

    fn reserve(&mut self, bytes: usize) {
        if self.input.capacity() - self.input.len() < bytes {
            self.input.reserve(bytes);
        }
    }

    fn outgoing(&mut self) -> Outgoing<'_> {
        Outgoing { link: &mut self.link, seat: &self.seat, stall: self.server.limits.write_timeout }
    }
}

/// A complete body: its size, where in `input` the next request starts, and its share of the budget
/// until the reply is out.
struct Received {
    len: usize,
    next: usize,
    share: Option<Share<'static>>,
}

fn too_large(limit: usize) -> End {
    let message = format!("the request body is larger than {limit} bytes");
    End::Refuse(Error::peer(Status::CONTENT_TOO_LARGE, message))
}
