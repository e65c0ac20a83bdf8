//! Boot lane: requests are answered on the main thread, without a coroutine runtime, as long as
//! there is only one at a time.
//!
//! Threads, epoll and a coroutine's stack cost more than a small program's whole start, and most
//! instances get one request at a time. The lane needs none of them: it accepts, waits with
//! poll(2), and answers with the same [`Connection`] code that runs on coroutines. While a handler
//! waits, the lookout watches for other connections. As soon as two peers have sent something, the
//! runtime starts and takes over the listener and every connection with all that it has read.
//! Silent connections (a health check's, an idle client's) delay nothing.
//!
//! What a first reply does not need is set up in the first pause, and never before a request.

use super::accept;
use super::connection::{Connection, First};
use super::early;
use super::futex;
use super::lookout::{self, LaneHold};
use super::runtime;
use super::server::Server;
use super::service::Service;
use super::stack_guard;
use super::stop;
use super::timeline::{self, Mark};
use super::waiting::{self, Place, now_runs};
use crate::log;
use crate::sys::monotonic_ns;
use std::io;
use std::mem;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Largest number of silent connections in the lane; one more starts the runtime.
const MOST_SILENT: usize = 8;
/// Time without input after a reply from which on delayed work is done, in milliseconds.
const PAUSE_MS: libc::c_int = 1;

/// Answers requests until there is more than one at a time, then starts the runtime. Returns
/// earlier, without a runtime, if the listener was shut down.
pub(super) fn run<S: Service>(server: &'static Server<S>, listener: TcpListener) {
    now_runs(Place::Lane);
    futex::link();
    lookout::make_timer();
    stack_guard::place(server.limits.stack_bytes);
    let hold: &'static Hold<S> = Box::leak(Box::new(Hold { server, lane: Mutex::new(None) }));
    let mut lane = Lane { server, listener, others: Vec::new(), settled: false, first: true };
    while let Some(next) = lane.next() {
        lane = match next {
            Next::Request(connection) => match hold.answer(lane, connection) {
                Some(lane) => lane,
                None => break, // another peer came, and the runtime has started
            },
            Next::Crowd => {
                lane.settle();
                lane.end();
                break;
            }
        };
    }
    now_runs(Place::Elsewhere);
    lookout::rest();
    stack_guard::remove();
    timeline::print();
}

/// The listener, and the connections whose next request has not begun to arrive.
struct Lane<S: 'static> {
    server: &'static Server<S>,
    listener: TcpListener,
    others: Vec<Connection<S>>,
    /// Whether the delayed work is done.
    settled: bool,
    /// Whether no request has come yet.
    first: bool,
}

/// State of the early connections that are not done: what they wait for (early.rs).
struct Early {
    waits: Vec<libc::pollfd>,
    until_ns: u64,
}

enum Next<S: 'static> {
    Request(Connection<S>),
    /// More peers or errors than the lane can handle.
    Crowd,
}

/// Result of one look at a connection or the listener.
enum Found<S: 'static> {
    Speaker(Connection<S>),
    /// A connection that has sent nothing yet, or is gone.
    Silent,
    /// No new connection.
    Nobody,
    Trouble,
}

impl<S: Service> Lane<S> {
    /// Waits for a request; `None` if the server stops and all requests are answered.
    fn next(&mut self) -> Option<Next<S>> {
        let mut ready = Vec::new();
        loop {
            if stop::stopped() {
                let last = self.last_speaker();
                if last.is_none() {
                    stop::forget_listener();
                }
                return last.map(Next::Request);
            }
            let mut speakers = Vec::new();
            let early = self.begun_early();
            if self.first && self.others.is_empty() && early.waits.is_empty() {
                // With no connection yet, accept itself is the wait: one system call less than
                // poll.
                match self.accept() {
                    Found::Speaker(connection) => return Some(Next::Request(connection)),
                    Found::Silent if self.others.is_empty() => continue,
                    Found::Silent | Found::Nobody => {}
                    Found::Trouble if stop::stopped() => continue,
                    Found::Trouble => return Some(Next::Crowd),
                }
                // From here on poll(2) reports a connection before accept(2) is called.
                let _ = self.listener.set_nonblocking(true);
            }
            let ready_now = self.others.iter().position(Connection::has_input);
            let waits_early = !early.waits.is_empty();
            self.poll(&mut ready, ready_now.is_some(), early);
            if ready_now.is_none() && ready.iter().all(|polled| polled.revents == 0) {
                self.others.retain_mut(|other| other.lingers_for() != Some(Duration::ZERO));
                if self.first && waits_early {
                    continue; // only a time-out of an early connection
                }
                self.settle(); // a pause
                lookout::rest();
                continue;
            }
            for index in (0..self.others.len()).rev() {
                if ready.get(index + 1).is_some_and(|polled| polled.revents != 0)
                    || ready_now == Some(index)
                {
                    let connection = self.others.swap_remove(index);
                    if let Found::Speaker(speaker) = self.receive(connection) {
                        speakers.push(speaker);
                    }
                }
            }
            if ready.first().is_some_and(|polled| polled.revents != 0) {
                if self.server.slots.is_full() {
                    return Some(self.crowd(speakers)); // the runtime decides which one has to leave
                }
                match self.accept() {
                    Found::Speaker(connection) => speakers.push(connection),
                    Found::Silent | Found::Nobody => {}
                    Found::Trouble if stop::stopped() => {}
                    Found::Trouble => return Some(self.crowd(speakers)),
                }
            }
            if speakers.len() > 1 || self.others.len() > MOST_SILENT {
                return Some(self.crowd(speakers));
            }
            if let Some(speaker) = speakers.pop() {
                return Some(Next::Request(speaker));
            }
        }
    }

    /// Continues the early connections: before a wait, never before a request.
    fn begun_early(&mut self) -> Early {
        let mut early = Early { waits: Vec::new(), until_ns: u64::MAX };
        if let Some(steps) = early::steps()
            && !self.others.iter().any(Connection::has_input)
        {
            early.until_ns = steps.go_on(&mut early.waits);
            if self.first && !early.waits.is_empty() {
                let _ = self.listener.set_nonblocking(true); // it is not all that is waited for
            }
        }
        early
    }

    fn crowd(&mut self, speakers: Vec<Connection<S>>) -> Next<S> {
        self.others.extend(speakers);
        Next::Crowd
    }

    /// A connection whose request arrived before the server began to stop.
    fn last_speaker(&mut self) -> Option<Connection<S>> {
        while let Some(connection) = self.others.pop() {
            if connection.has_input() {
                return Some(connection);
            }
            let mut connection = connection;
            match connection.receive() {
                First::Bytes => return Some(connection),
                First::Nothing if connection.lingers_for().is_some() => connection.run(),
                First::Nothing | First::End => {}
            }
        }
        None
    }

    /// Waits until the listener (the first result) or a connection (the others, in order) is ready.
    /// Does not wait if there is something to do already, and waits for no more than a pause if
    /// delayed work is left.
    fn poll(&mut self, ready: &mut Vec<libc::pollfd>, at_once: bool, early: Early) {
        ready.clear();
        self.watched(ready);
        ready.extend(early.waits);
        let put_off = !self.first && (!self.settled || lookout::has_thread());
        let limit_ms = match (at_once, put_off) {
            (true, _) => 0,
            (false, true) => PAUSE_MS,
            (false, false) => {
                let lingers = self.others.iter_mut().filter_map(Connection::lingers_for).min();
                let lingers_ms = lingers.map(|left| left.as_millis() as u64 + 1);
                let until_ns = early.until_ns.min(log::mistakes_due());
                let until_ms = (until_ns != u64::MAX)
                    .then(|| until_ns.saturating_sub(monotonic_ns()).div_ceil(1_000_000));
                let least_ms = lingers_ms.into_iter().chain(until_ms).min();
                least_ms.map_or(-1, |left_ms| {
                    libc::c_int::try_from(left_ms).unwrap_or(libc::c_int::MAX)
                })
            }
        };
        waiting::wait_on(ready, limit_ms);
    }

    fn watched(&self, polled: &mut Vec<libc::pollfd>) {
        let listener = self.listener.as_raw_fd();
        let fds = std::iter::once(listener).chain(self.others.iter().map(Connection::fd));
        let watch = |fd: RawFd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        polled.extend(fds.map(watch));
    }

    /// Accepts one connection. Most peers have already sent their request.
    fn accept(&mut self) -> Found<S> {
        match accept::accept_one(self.listener.as_raw_fd()) {
            Ok(fd) => self.receive(accept::admit(self.server, fd)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Found::Nobody,
            Err(_) => Found::Trouble,
        }
    }

    /// Returns the connection if it has sent something. A silent one is put (back) among the
    /// others, and one that is gone is dropped.
    fn receive(&mut self, mut connection: Connection<S>) -> Found<S> {
        if connection.has_input() {
            return Found::Speaker(connection);
        }
        match connection.receive() {
            First::Bytes => return Found::Speaker(connection),
            First::Nothing => self.others.push(connection),
            First::End => {}
        }
        Found::Silent
    }

    /// Does the work that was delayed until a reply was out.
    fn settle(&mut self) {
        if !mem::replace(&mut self.settled, true) {
            (self.server.settle)();
            timeline::print();
        }
    }

    /// Ends the lane: the runtime takes over.
    fn end(self) {
        runtime::start(self.server, self.listener, self.others);
    }
}

/// Where the lane is kept while a handler runs in it; the lookout may end it there.
struct Hold<S: 'static> {
    server: &'static Server<S>,
    lane: Mutex<Option<Lane<S>>>,
}

impl<S: Service> Hold<S> {
    /// Answers a request. Returns the lane, if it has not ended meanwhile.
    fn answer(&'static self, lane: Lane<S>, connection: Connection<S>) -> Option<Lane<S>> {
        if lane.first {
            timeline::mark(Mark::FirstRequest);
        }
        *self.lane() = Some(lane);
        lookout::begin(self);
        let kept = connection.exchange_once();
        lookout::end();
        let Some(mut lane) = self.lane().take() else {
            (self.server.settle)(); // delayed if the lookout's thread has ended the lane
            timeline::print();
            if let Some(connection) = kept {
                accept::spawn(self.server, connection);
            }
            return None;
        };
        let upgraded = kept.as_ref().is_some_and(Connection::is_upgraded);
        lane.others.extend(kept);
        if upgraded && !lane.first {
            lane.settle();
            lane.end();
            return None;
        }
        if mem::take(&mut lane.first) {
            timeline::mark(Mark::FirstReply);
            if self.server.workers > 1 || upgraded {
                lane.settle();
                lane.end();
                return None;
            }
            // From here on poll(2) reports a connection before accept(2) is called.
            let _ = lane.listener.set_nonblocking(true);
        }
        Some(lane)
    }

    fn lane(&self) -> MutexGuard<'_, Option<Lane<S>>> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Service> LaneHold for Hold<S> {
    fn watched(&self, polled: &mut Vec<libc::pollfd>) {
        if let Some(lane) = &*self.lane() {
            let before = polled.len();
            lane.watched(polled);
            if stop::stopped() {
                polled.truncate(before); // the listener would be ready for ever
            }
        }
    }

    fn look(&self, here_is_time: bool) -> bool {
        let mut held = self.lane();
        let Some(lane) = held.as_mut() else { return true };
        if stop::stopped() {
            return false; // the main thread answers them before it ends
        }
        if lane.is_over() {
            if let Some(mut lane) = held.take() {
                if here_is_time {
                    lane.settle();
                }
                lane.end();
            }
            return true;
        }
        false
    }
}

impl<S: Service> Lane<S> {
    /// Accepts new connections. Returns whether another peer beside the handler's has sent
    /// something, or there are more than the lane holds.
    fn is_over(&mut self) -> bool {
        let _ = self.listener.set_nonblocking(true);
        for connection in mem::take(&mut self.others) {
            if let Found::Speaker(speaker) = self.receive(connection) {
                self.others.push(speaker);
            }
        }
        while self.others.len() <= MOST_SILENT {
            if self.server.slots.is_full() {
                return accept::has_waiting_peer(self.listener.as_raw_fd());
            }
            match self.accept() {
                Found::Speaker(speaker) => self.others.push(speaker),
                Found::Silent => {}
                Found::Nobody => break,
                Found::Trouble => return true,
            }
        }
        self.others.len() > MOST_SILENT || self.others.iter().any(Connection::has_input)
    }
}
