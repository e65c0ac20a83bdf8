//! One connection: reads a request, answers it, reads the next. Written as if it blocked; while it
//! waits, others run.

use super::budget::{SMALL_BYTES, Share};
use super::clock;
#[cfg(feature = "websocket")]
use super::conversing::converse;
use super::event_loop::Ready;
use super::handling::in_handler;
use super::home::home;
use super::limits::{Limits, MinRate};
use super::link::Link;
use super::outgoing::{self, Outgoing, ReplyMode};
use super::server::Server;
use super::service::{Admission, RequestHead, Service};
use super::slots::{Expiry, Patience, Seat, Waited};
use crate::body::Body;
#[cfg(feature = "websocket")]
use crate::conversation::Upgrade;
use crate::deadline::Arrival;
use crate::error::Error;
use crate::reply::Reply;
use crate::request::Request;
use crate::spare;
use crate::wire::chunked::{Decoder, Step};
#[cfg(feature = "gzip")]
use crate::wire::gzip::{self, Gzip, Inflated};
use crate::wire::head::{begins_with_head, spelt_target};
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
    /// Bytes read and not yet processed; holds no memory while the connection is idle.
    input: Vec<u8>,
    /// Where the next request starts in `input`.
    start: usize,
    /// Number of requests since it last had to wait for the peer.
    streak: u32,
    /// Time left for the peer to read its last reply; `None` while another request may follow.
    lingers: Option<Box<Lingering>>,
    /// What the connection has become.
    #[cfg(feature = "websocket")]
    upgrade: Option<Box<Upgrade>>,
}

/// A connection that is open only so that the peer can read its last reply: closing it with unread
/// bytes would cause a reset (RFC 9112, section 9.6).
struct Lingering {
    patience: Patience,
    latest: Expiry,
    /// Time up to which the boot lane has counted.
    counted: Expiry,
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        self.seat.leave();
    }
}

/// Result of [`Connection::receive`].
pub(super) enum First {
    Bytes,
    Nothing,
    /// The peer has ended its side, or the connection has failed.
    End,
}

/// Why a request gets no ordinary reply.
enum End {
    /// No reply: the peer is gone or was cut off, or its last reply is out.
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
        End::Close // resets and time-outs of writes: there is no peer to answer
    }
}

/// What follows an exchange.
enum Over {
    /// The peer is gone, or was cut off.
    Close,
    /// The last reply is out, and the peer may still be sending, or has not read the reply.
    Linger,
}

/// Longest silence of a peer that has taken its last reply and keeps its side open.
const SILENCE: Duration = Duration::from_secs(2);
/// Longest time that a connection lingers, however quick the peer is: enough for a body of 80 MB at
/// 270 KB/s.
const LONGEST_LINGER: Duration = Duration::from_secs(300);
/// Largest number of requests of one connection in a row, if it always has the next one ready. Then
/// others run first, because a loop looks at its sockets only when nothing is left to run.
pub(super) const LONGEST_STREAK: u32 = 256;
/// Smallest free space for a read, in bytes.
const READ_BYTES: usize = 2 * 1024;
/// Largest body, whatever the configuration allows, in bytes: with its head it is one buffer.
const MOST_BYTES: usize = isize::MAX as usize / 2;
/// Free space for bodies of unknown size, in bytes.
const CHUNKED_READ_BYTES: usize = 16 * 1024;

impl<S: Service> Connection<S> {
    pub(crate) fn new(server: &'static Server<S>, link: Link, seat: Seat) -> Connection<S> {
        Connection {
            server,
            link,
            seat,
            input: Vec::new(),
            start: 0,
            streak: 0,
            lingers: None,
            #[cfg(feature = "websocket")]
            upgrade: None,
        }
    }

    /// Whether it has become a WebSocket, which needs a coroutine.
    pub(super) fn is_upgraded(&self) -> bool {
        #[cfg(feature = "websocket")]
        return self.upgrade.is_some();
        #[cfg(not(feature = "websocket"))]
        false
    }

    /// Serves the connection as a WebSocket to its end.
    #[cfg(feature = "websocket")]
    fn converse(&mut self, upgrade: Upgrade) -> Over {
        let mut input = std::mem::take(&mut self.input);
        input.drain(..std::mem::take(&mut self.start));
        let shared = self.server.shared();
        match converse() {
            Some(run) if run(shared, &mut self.link, &self.seat, input, upgrade) => Over::Linger,
            _ => Over::Close,
        }
    }

    pub(super) fn fd(&self) -> RawFd {
        self.link.fd()
    }

    /// Serves requests until either side ends it.
    pub(super) fn run(mut self) {
        let mut over = self.lingers.as_ref().map(|_| Over::Linger);
        while over.is_none() {
            #[cfg(feature = "websocket")]
            if let Some(upgrade) = self.upgrade.take() {
                over = Some(self.converse(*upgrade));
                break;
            }
            over = self.exchange().err();
            self.streak += 1;
            if self.streak >= LONGEST_STREAK {
                self.streak = 0;
                if let Some(home) = home() {
                    home.give_way();
                }
            }
        }
        spare::give_back(std::mem::take(&mut self.input));
        if let Some(Over::Linger) = over {
            self.linger();
        }
    }

    /// Whether bytes of a next request have been read.
    pub(super) fn has_input(&self) -> bool {
        self.input.len() > self.start
    }

    /// Serves one request. Returns the connection if it may have another, or lingers.
    pub(super) fn exchange_once(mut self) -> Option<Connection<S>> {
        match self.exchange() {
            Ok(()) => Some(self),
            Err(Over::Close) => None,
            Err(Over::Linger) => {
                self.begin_to_linger();
                matches!(self.discard(), First::Nothing).then_some(self)
            }
        }
    }

    /// Reads what has arrived of a next request, without waiting. Holds no buffer if that is
    /// nothing.
    pub(super) fn receive(&mut self) -> First {
        if self.lingers.is_some() {
            return self.discard();
        }
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

    /// Serves one request: reads it and sends its reply.
    fn exchange(&mut self) -> Result<(), Over> {
        let (start, end, large_head) = match self.read_head() {
            Ok(found) => found,
            Err(End::Close) => return Err(Over::Close),
            Err(End::Refuse(error)) => return Err(self.refuse(&error, None)),
        };
        let arrival = clock::arrival();
        let mut head = Head::default();
        if let Err(reject) = head.read(&self.input, start, end, &self.server.limits.head) {
            let spelt = self.input.get(start..end).and_then(|head| spelt_target(&reject, head));
            let error = spelt.map_or(reject.into(), |target| {
                Error::peer(reject.status, format!("{}: send `{target}`", reject.reason))
            });
            return Err(self.refuse(&error, None));
        }
        let body = match self.read_body(&head, end) {
            Ok(body) => body,
            Err(End::Close) => return Err(Over::Close),
            Err(End::Refuse(error)) => return Err(self.refuse(&error, Some(&head))),
        };
        #[cfg(feature = "gzip")]
        let body = match body.coded {
            None => Ok(body), // does not touch the large stack frame of `inflate`
            Some(_) => self.inflate(&mut head, end, body),
        };
        #[cfg(feature = "gzip")]
        let body = match body {
            Ok(body) => body,
            Err(End::Close) => return Err(Over::Close),
            Err(End::Refuse(error)) => return Err(self.refuse(&error, Some(&head))),
        };
        let head_only = head.method.of(&self.input) == b"HEAD";
        self.server.budget.await_readers(&|| self.server.relieve());
        #[cfg_attr(not(feature = "websocket"), allow(unused_mut))]
        let mut reply = self.call(&head, end, body.len, arrival);
        self.start = body.next;
        if self.start == self.input.len() {
            self.input.clear();
            self.start = 0;
        }
        // A large buffer is freed before its share is released: its peer may send nothing more for
        // a long time.
        if self.input.capacity() > spare::KEEP_BYTES {
            self.input = self.input.split_off(self.start);
            self.start = 0;
        }
        drop(large_head);
        drop(body.share);
        // Decided as late as possible: a signal may have come while the handler ran.
        let keep_alive = head.keep_alive && !self.server.slots.is_stopping();
        #[cfg(feature = "websocket")]
        let keep_alive = match reply.take_upgrade() {
            Some(upgrade) => {
                self.upgrade = Some(upgrade);
                true
            }
            None => keep_alive,
        };
        let asked = ReplyMode { version: head.version, keep_alive, head_only };
        let limits = (&self.server.limits, &self.server.budget);
        match outgoing::send(&mut self.link, &self.seat, limits, asked, reply) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Over::Linger),
            Err(_) => Err(Over::Close),
        }
    }

    /// Reads up to the end of a request's head. Returns its place in `input`, and its share of the
    /// budget if it is not small.
    fn read_head(&mut self) -> Result<(usize, usize, Option<Share<'static>>), End> {
        let mut scanner = Scanner::default();
        let mut wait = None;
        let mut share = None;
        loop {
            let unread = self.input.get(self.start..).unwrap_or_default();
            if let Scan::Complete { start, end } =
                scanner.advance(unread, &self.server.limits.head)?
            {
                return Ok((self.start + start, self.start + end, share));
            }
            if share.is_none() && unread.len() > SMALL_BYTES {
                // A growing buffer is at most twice as large as its contents.
                share = Some(
                    self.server.budget.take_head(2 * self.server.limits.head.head_bytes, &|| {
                        self.server.relieve()
                    }),
                );
            }
            if self.start > 0 {
                self.input.drain(..self.start);
                self.start = 0;
            }
            if !scanner.begun() {
                // Nothing yet, or empty lines that do not belong to a request (RFC 9112, section
                // 2.2).
                self.await_first_byte()?;
                continue;
            }
            self.reserve(READ_BYTES);
            let begin = |seat: &Seat, limits: &Limits| Incoming {
                patience: Patience::to_read(limits.head_rate, limits.head_timeout),
                latest: Some(seat.deadline_in(limits.head_timeout)),
            };
            let late = "the request head did not arrive in time";
            if self.read_within(&mut wait, begin, late)? == 0 {
                return Err(
                    Reject::bad_request("the connection ended within a request head").into()
                );
            }
        }
    }

    /// Waits for a request to begin, without holding a buffer.
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

    /// Reads and decodes the whole body after its head. Takes its share of the budget first; until
    /// then the body stays unread.
    fn read_body(&mut self, head: &Head, head_end: usize) -> Result<Received, End> {
        let view = RequestHead { head, bytes: &self.input };
        let admission = self.server.service.admit(&view).map_err(End::Refuse)?;
        let admitted = admission.body_bytes;
        let budget = &self.server.budget;
        #[cfg(feature = "gzip")]
        let coded = admission.is_gzip.then_some(admitted);
        match head.framing {
            Framing::Length(0) => Ok(Received {
                len: 0,
                next: head_end,
                share: None,
                #[cfg(feature = "gzip")]
                coded: None,
            }),
            Framing::Length(size) => {
                let size = usize::try_from(size).unwrap_or(usize::MAX);
                let limit = admitted.min(budget.body_limit(size)).min(MOST_BYTES);
                if size > limit {
                    return Err(too_large(limit));
                }
                #[cfg(feature = "gzip")]
                let held = match coded {
                    Some(_) if size > SMALL_BYTES => limit,
                    Some(_) => SMALL_BYTES,
                    None => size,
                };
                #[cfg(not(feature = "gzip"))]
                let held = size;
                let share = budget.take(held, &|| self.server.relieve());
                let end = head_end + size;
                if self.input.len() < end {
                    self.input.reserve(end + Body::PADDING_BYTES - self.input.len());
                    self.invite(head)?;
                }
                let mut wait = None;
                while self.input.len() < end {
                    self.read_more_of_body(&mut wait, Some(&share))?;
                }
                Ok(Received {
                    len: size,
                    next: end,
                    share: Some(share),
                    #[cfg(feature = "gzip")]
                    coded,
                })
            }
            Framing::Chunked => self.read_chunked(head, head_end, &admission),
        }
    }

    /// Decodes in place: content moves up to the content before it, and the raw bytes left are
    /// never more than one read. A body that is not small takes the share of the largest one,
    /// because its size is not known.
    fn read_chunked(
        &mut self,
        head: &Head,
        head_end: usize,
        admission: &Admission,
    ) -> Result<Received, End> {
        let admitted = admission.body_bytes;
        #[cfg(feature = "gzip")]
        let coded = admission.is_gzip.then_some(admitted);
        let mut decoder = Decoder::default();
        let mut raw = head_end;
        let mut len = 0;
        let mut invited = false;
        let mut limit = admitted;
        let mut share: Option<Share<'static>> = None;
        let mut wait = None;
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
                        #[cfg(feature = "gzip")]
                        Some(_) if coded.is_some() => {} // its share covers the inflated body
                        Some(share) => share.shrink_to(len),
                        None if len > 0 => {
                            #[cfg(feature = "gzip")]
                            let len = if coded.is_some() { SMALL_BYTES } else { len };
                            share = Some(self.server.budget.take(len, &|| self.server.relieve()))
                        }
                        None => {}
                    }
                    return Ok(Received {
                        len,
                        next: raw + consumed,
                        share,
                        #[cfg(feature = "gzip")]
                        coded,
                    });
                }
                Step::Partial { .. } => {
                    self.input.truncate(head_end + len); // all raw bytes have been decoded
                    if share.is_none() && len > SMALL_BYTES {
                        limit = admitted.min(self.server.budget.body_limit(admitted));
                        share = Some(self.server.budget.take(limit, &|| self.server.relieve()));
                    }
                    if !invited {
                        self.invite(head)?;
                        invited = true;
                    }
                    self.reserve(CHUNKED_READ_BYTES);
                    self.read_more_of_body(&mut wait, share.as_ref())?;
                    raw = head_end + len;
                }
            }
        }
    }

    /// Replaces a coded body by its inflated bytes. A small result stays in the budget's part of
    /// small bodies; a larger one has, or waits for, the share of the largest body, because its
    /// size is not known before. Not inlined, because its stack frame has 28 KiB.
    #[cfg(feature = "gzip")]
    #[inline(never)]
    fn inflate(
        &mut self,
        head: &mut Head,
        head_end: usize,
        mut body: Received,
    ) -> Result<Received, End> {
        let Some(admitted) = body.coded.filter(|_| body.len > 0) else { return Ok(body) };
        let mut is_large = body.len > SMALL_BYTES;
        let (mut gzip, mut input) = (Gzip::default(), Vec::new());
        input.extend_from_slice(&self.input[..head_end]);
        let len = loop {
            let budget = &self.server.budget;
            let limit = match is_large {
                true => admitted.min(budget.body_limit(admitted)).min(MOST_BYTES),
                false => admitted.min(SMALL_BYTES),
            };
            let coded = self.input.get(head_end..head_end + body.len).unwrap_or_default();
            // Inflating takes processor time, as handlers do.
            match in_handler(|| gzip.inflate(coded, &mut input, head_end, limit))? {
                Inflated::Whole => break input.len() - head_end,
                Inflated::More if is_large || limit == admitted => {
                    return Err(gzip::TOO_LARGE.into());
                }
                Inflated::More => {
                    // A connection that waits for a share may hold none.
                    body.share = None;
                    let limit = admitted.min(budget.body_limit(admitted)).min(MOST_BYTES);
                    body.share = Some(budget.take(limit, &|| self.server.relieve()));
                    is_large = true;
                }
            }
        };
        if let Some(share) = &mut body.share {
            share.shrink_to(len);
        }
        // The bytes that follow may be the next request.
        let next = input.len();
        input.reserve(Body::PADDING_BYTES + self.input.len() - body.next);
        input.extend_from_slice(self.input.get(body.next..).unwrap_or_default());
        self.input = input;
        head.fields.retain(|field| !gzip::is_about_coded_body(field.name.of(&self.input)));
        Ok(Received { len, next, share: body.share, coded: None })
    }

    /// Sends `100 Continue` to a peer that expects it (RFC 9110, section 10.1.1).
    fn invite(&mut self, head: &Head) -> Result<(), End> {
        if head.expects_continue {
            self.outgoing().write_all(&mut [IoSlice::new(response::CONTINUE)])?;
        }
        Ok(())
    }

    /// Reads more of the body. If others wait for the memory that this body holds, all its further
    /// waits together have the time of one.
    fn read_more_of_body(
        &mut self,
        wait: &mut Option<Incoming>,
        share: Option<&Share<'static>>,
    ) -> Result<(), End> {
        let limits = &self.server.limits;
        if let Some(wait) = wait {
            wait.patience.holds_memory = share.is_some();
            wait.latest = match wait.latest {
                _ if !share.is_some_and(Share::is_wanted) => None,
                None => Some(self.seat.deadline_in(limits.body_timeout)),
                latest => latest,
            };
        }
        let begin = |_: &Seat, limits: &Limits| {
            let mut patience = Patience::to_read(limits.body_rate, limits.body_timeout);
            patience.holds_memory = share.is_some();
            Incoming { patience, latest: None }
        };
        match self.read_within(wait, begin, "the request body did not arrive in time")? {
            0 => Err(Reject::bad_request("the connection ended within a request body").into()),
            _ => Ok(()),
        }
    }

    /// Reads what is there, or waits for it. The time counts from the first wait on: bytes that are
    /// already there cost none.
    fn read_within(
        &mut self,
        wait: &mut Option<Incoming>,
        begin: impl Fn(&Seat, &Limits) -> Incoming,
        too_late: &'static str,
    ) -> Result<usize, End> {
        loop {
            match self.link.try_read(&mut self.input) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let limits = &self.server.limits;
                    let Incoming { patience, latest } =
                        wait.get_or_insert_with(|| begin(&self.seat, limits));
                    self.streak = 0;
                    let (link, how) = (&mut self.link, Shutdown::Read);
                    let why = match self.seat.wait(link, Ready::ToRead, how, patience, *latest)? {
                        Waited::On => continue,
                        Waited::TooLong => too_late,
                        Waited::Evicted => BEHIND,
                    };
                    return Err(End::Refuse(Error::peer(Status::REQUEST_TIMEOUT, why)));
                }
                read => {
                    let size = read?;
                    if let Some(wait) = wait {
                        wait.patience.received(size);
                    }
                    return Ok(size);
                }
            }
        }
    }

    fn call(&mut self, head: &Head, head_end: usize, len: usize, arrival: Arrival) -> Reply {
        let filled = self.input.len();
        let padded_end = head_end + len + Body::PADDING_BYTES;
        if filled < padded_end {
            self.input.resize(padded_end, 0);
        }
        // The next request may follow the body: the parser reads those bytes and restores them.
        let (head_bytes, rest) = self.input.split_at_mut(head_end);
        let body = Body::new(&mut rest[..len + Body::PADDING_BYTES], len);
        let request = Request::new(head, head_bytes, body).with_arrival(arrival);
        let reply = in_handler(|| self.server.service.call(request));
        self.input.truncate(filled);
        reply
    }

    /// Answers a peer's mistake; the connection then ends.
    fn refuse(&mut self, error: &Error, head: Option<&Head>) -> Over {
        let view = head.map(|head| RequestHead { head, bytes: &self.input });
        let reply = self.server.service.refuse(error, view.as_ref());
        self.server.slots.report_mistakes();
        let asked = ReplyMode {
            version: head.map_or(Version::Http11, |head| head.version),
            keep_alive: false,
            head_only: match head {
                Some(head) => head.method.of(&self.input) == b"HEAD",
                // No parsed head: HEAD is recognised by its bytes (RFC 9110, section 9.3.2).
                None => begins_with_head(self.input.get(self.start..).unwrap_or_default()),
            },
        };
        let limits = (&self.server.limits, &self.server.budget);
        match outgoing::send(&mut self.link, &self.seat, limits, asked, reply) {
            Ok(_) => Over::Linger,
            Err(_) => Over::Close,
        }
    }

    /// Closes our side, and frees the slot for others.
    fn begin_to_linger(&mut self) {
        self.input = Vec::new();
        self.start = 0;
        self.link.shutdown(Shutdown::Write);
        self.seat.linger();
        let limits = &self.server.limits;
        let silent = Patience::to_read(MinRate { grace: SILENCE, ..limits.body_rate }, SILENCE);
        let reads = Patience::to_write(limits.reply_rate, limits.write_timeout, &self.link);
        let lingering = Box::new(Lingering {
            patience: Patience::to_end(reads, silent),
            latest: self.seat.deadline_in(LONGEST_LINGER),
            counted: self.seat.deadline_in(Duration::ZERO),
        });
        self.lingers = Some(lingering);
    }

    /// Reads and drops what the peer still sends, until it closes its side. The bounds are the
    /// peer's own progress and the number of lingering connections.
    fn linger(&mut self) {
        if self.lingers.is_none() {
            self.begin_to_linger();
        }
        while matches!(self.discard(), First::Nothing) {
            let Some(lingers) = &mut self.lingers else { return };
            let Lingering { patience, latest, .. } = &mut **lingers;
            let (link, how) = (&mut self.link, Shutdown::Both);
            match self.seat.wait(link, Ready::ToRead, how, patience, Some(*latest)) {
                Ok(Waited::On) => {}
                _ => return,
            }
        }
    }

    /// How long the boot lane may wait for the peer to close; `None` if the connection does not
    /// linger.
    pub(super) fn lingers_for(&mut self) -> Option<Duration> {
        let lingers = self.lingers.as_mut()?;
        let now = self.seat.deadline_in(Duration::ZERO);
        let left = lingers.patience.pass(now.since(lingers.counted), &self.link);
        lingers.counted = now;
        Some(left.min(lingers.latest.since(now)))
    }

    /// Drops what has come after the last request.
    fn discard(&mut self) -> First {
        for _ in 0..LONGEST_STREAK {
            match self.link.try_discard() {
                Ok(0) => return First::End,
                Ok(size) => {
                    if let Some(lingers) = &mut self.lingers {
                        lingers.patience.received(size);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return First::Nothing,
                Err(_) => return First::End,
            }
        }
        if let Some(home) = home() {
            home.give_way();
        }
        First::Nothing
    }

    fn reserve(&mut self, bytes: usize) {
        if self.input.capacity() - self.input.len() < bytes {
            self.input.reserve(bytes);
        }
    }

    fn outgoing(&mut self) -> Outgoing<'_> {
        let limits = (&self.server.limits, &self.server.budget);
        Outgoing::new(&mut self.link, &self.seat, limits)
    }
}

/// Wait for a head or a body: the time left to the peer, over all its reads.
struct Incoming {
    patience: Patience,
    /// When all of it must be here.
    latest: Option<Expiry>,
}

/// Message for a peer that lost its slot.
const BEHIND: &str = "the request arrived too slowly while other connections waited";

/// A complete body: its size, where in `input` the next request starts, and its share of the budget
/// until the reply is out.
struct Received {
    len: usize,
    next: usize,
    share: Option<Share<'static>>,
    /// Limit of the inflated body in bytes, if it is to be inflated.
    #[cfg(feature = "gzip")]
    coded: Option<usize>,
}

fn too_large(limit: usize) -> End {
    let message = format!("the request body is larger than {limit} bytes");
    End::Refuse(Error::peer(Status::CONTENT_TOO_LARGE, message))
}
