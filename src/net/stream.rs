//! Outgoing TCP stream whose waits hold up no other requests.

use super::dial::{Dial, earlier};
use super::socket;
use super::until::Until;
use crate::transport::early::Wait;
use crate::transport::wait_for;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// An outgoing TCP connection.
///
/// Reads and writes wait until the stream's deadline (that of `connect`, until
/// [`TcpStream::set_deadline`] changes it), and at most for the read or write time-out if one is
/// set. A longer wait ends in an error of kind `TimedOut` that names the peer and what was waited
/// for. Small pieces are sent at once (TCP_NODELAY). Dropping the stream closes it.
pub struct TcpStream {
    state: State,
    /// The destination as given, for messages.
    peer: String,
    deadline: Until,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    nonblocking: bool,
    /// What the last operation that would have blocked waits for.
    waits: Wait,
    sent: u64,
}

enum State {
    Dialing(Box<Dial>),
    Open(OwnedFd),
    /// Connecting has failed, and the error was returned.
    Failed,
}

impl TcpStream {
    /// Connects to one of these addresses: the first that answers; if one takes longer than 250 ms,
    /// the next is tried beside it. `until` becomes the stream's deadline.
    ///
    /// # Errors
    /// Why no address can be connected to; `TimedOut` if none has answered in time.
    pub fn connect_to(addresses: &[SocketAddr], until: impl Into<Until>) -> io::Result<TcpStream> {
        let mut stream = TcpStream::begin_to(addresses);
        stream.deadline = until.into();
        stream.finish()?;
        Ok(stream)
    }

    /// Begins to connect to one of these addresses without waiting: the first read or write, or
    /// [`TcpStream::finish`], continues. The stream has no deadline yet.
    pub fn begin_to(addresses: &[SocketAddr]) -> TcpStream {
        let peer = addresses.first().map_or_else(String::new, ToString::to_string);
        TcpStream::dialing(Dial::to(addresses), peer)
    }

    pub(super) fn dialing(dial: Dial, peer: String) -> TcpStream {
        TcpStream {
            state: State::Dialing(Box::new(dial)),
            peer,
            deadline: Until::NEVER,
            read_timeout: None,
            write_timeout: None,
            nonblocking: false,
            waits: Wait { fd: -1, events: 0, until_ns: 0 },
            sent: 0,
        }
    }

    /// Waits until the stream is connected.
    ///
    /// # Errors
    /// Why it cannot be connected; `WouldBlock` if that would wait and
    /// [`TcpStream::set_nonblocking`] is on.
    pub fn finish(&mut self) -> io::Result<()> {
        loop {
            let dial = match &mut self.state {
                State::Open(_) => return Ok(()),
                State::Failed => return Err(ErrorKind::NotConnected.into()),
                State::Dialing(dial) => dial,
            };
            match dial.go_on() {
                Ok(Some(connected)) => {
                    self.state = State::Open(connected);
                    self.waits.events = 0;
                    return Ok(());
                }
                Ok(None) => self.waits = dial.waits_for(),
                Err(error) => {
                    self.state = State::Failed;
                    let text = format!("cannot connect to `{}`: {error}", self.peer);
                    return Err(io::Error::new(error.kind(), text));
                }
            }
            if self.nonblocking {
                return Err(ErrorKind::WouldBlock.into());
            }
            if self.deadline.has_passed() {
                let text = format!("cannot connect to `{}`: {}", self.peer, dial.unanswered());
                self.state = State::Failed;
                return Err(io::Error::new(ErrorKind::TimedOut, text));
            }
            wait_for(earlier(self.waits, self.deadline));
        }
    }

    /// Sets the deadline of all later operations.
    pub fn set_deadline(&mut self, until: impl Into<Until>) {
        self.deadline = until.into();
    }

    /// Sets the longest wait of one read; `None`: until the deadline.
    pub fn set_read_timeout(&mut self, limit: Option<Duration>) {
        self.read_timeout = limit;
    }

    /// Sets the longest wait of one write; `None`: until the deadline.
    pub fn set_write_timeout(&mut self, limit: Option<Duration>) {
        self.write_timeout = limit;
    }

    /// Sets whether an operation that would wait fails with `WouldBlock` instead.
    pub fn set_nonblocking(&mut self, on: bool) {
        self.nonblocking = on;
        self.waits.events = 0;
    }

    /// Number of bytes given to the kernel so far. Compare it before and after a failure to know
    /// whether anything was sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether an idle connection is no longer usable: the peer has closed it, or has sent bytes
    /// that were not asked for.
    pub fn is_stale(&self) -> bool {
        let peeked = self.peek(&mut [0]);
        !peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Reads without removing the bytes; 0 bytes mean the peer's end. Does not wait.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        socket::receive(self.open()?, buffer, libc::MSG_PEEK)
    }

    /// Closes one or both directions.
    ///
    /// # Errors
    /// The system's error: the connection is already over.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let socket = std::net::TcpStream::from(self.open()?.try_clone()?);
        socket.shutdown(how)
    }

    /// The peer's address.
    ///
    /// # Errors
    /// If it is not connected.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        std::net::TcpStream::from(self.open()?.try_clone()?).peer_addr()
    }

    /// What the last operation that returned `WouldBlock` waits for.
    pub(super) fn waits(&self) -> Wait {
        self.waits
    }

    fn open(&self) -> io::Result<&OwnedFd> {
        match &self.state {
            State::Open(socket) => Ok(socket),
            State::Dialing(_) | State::Failed => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// Repeats an operation until it returns something other than `WouldBlock`, and waits in
    /// between.
    fn retry(
        &mut self,
        events: libc::c_short,
        mut once: impl FnMut(&OwnedFd) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.finish()?;
        let mut end = None;
        loop {
            let socket = self.open()?;
            match once(socket) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(self.explain(error, events)),
                size => {
                    self.waits.events &= !events;
                    return size;
                }
            }
            let fd = socket.as_raw_fd();
            if self.nonblocking {
                let before = if self.waits.fd == fd { self.waits.events } else { 0 };
                self.waits = Wait { fd, events: before | events, until_ns: u64::MAX };
                return Err(ErrorKind::WouldBlock.into());
            }
            self.waits = Wait { fd, events, until_ns: u64::MAX };
            let end = *end.get_or_insert_with(|| self.end(events));
            if end.has_passed() {
                return Err(self.timed_out(events));
            }
            wait_for(earlier(self.waits, end));
        }
    }

    fn end(&self, events: libc::c_short) -> Until {
        let limit = if events == libc::POLLIN { self.read_timeout } else { self.write_timeout };
        self.deadline.min(limit.into())
    }

    #[cold]
    fn timed_out(&self, events: libc::c_short) -> io::Error {
        let what = if events == libc::POLLIN { "sent nothing" } else { "took nothing" };
        io::Error::new(ErrorKind::TimedOut, format!("`{}` {what} in time", self.peer))
    }

    #[cold]
    fn explain(&self, error: io::Error, events: libc::c_short) -> io::Error {
        let what = if events == libc::POLLIN { "read from" } else { "write to" };
        io::Error::new(error.kind(), format!("cannot {what} `{}`: {error}", self.peer))
    }
}

impl Read for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.retry(libc::POLLIN, |socket| socket::receive(socket, buffer, 0))
    }
}

impl Write for TcpStream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buffer)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let size = self.retry(libc::POLLOUT, |socket| socket::send(socket, slices))?;
        self.sent += size as u64;
        Ok(size)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsRawFd for TcpStream {
    /// -1 before it is connected.
    fn as_raw_fd(&self) -> RawFd {
        self.open().map_or(-1, AsRawFd::as_raw_fd)
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpStream")
            .field("peer", &self.peer)
            .field("fd", &self.as_raw_fd())
            .finish_non_exhaustive()
    }
}
