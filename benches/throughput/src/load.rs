//! Client: a number of connections to one program, each with one request under way. It checks every
//! reply.
//!
//! A new connection for each request is closed by a reset (SO_LINGER 0): otherwise the ports of a
//! few seconds would all wait in TIME_WAIT, and the bench would measure that.

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::time::{ClockId, clock_gettime};
use serde::Serialize;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use start_bench::event::{self, REQUEST, ReplyCheck};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Nothing for so long, and the program counts as stuck.
const PATIENCE: Duration = Duration::from_secs(5);
/// Larger than any reply of the function.
const REPLY_BYTES: usize = 1024;

/// How a connection is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// For one request after the other.
    KeepAlive,
    /// For one request, after which the client resets the connection.
    NewConnection,
    /// For one request that says `Connection: close`.
    Close,
}

impl Mode {
    /// What is sent: the start bench's event. `Connection: close` takes the place of a field that
    /// the function does not read, because may_minihttp takes 16 fields and the event has as many.
    fn request(self) -> Vec<u8> {
        let text = String::from_utf8_lossy(REQUEST);
        match self {
            Mode::KeepAlive | Mode::NewConnection => REQUEST.to_vec(),
            Mode::Close => {
                text.replacen("X-Scf-Trigger-Src: Timer", "Connection: close", 1).into_bytes()
            }
        }
    }
}

/// How much is asked for, and how long.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// How connections are used.
    pub mode: Mode,
    /// Connections at once.
    pub connections: usize,
    /// Replies of this time are checked and not counted.
    pub warm_up: Duration,
    /// How long replies are counted.
    pub time: Duration,
}

/// What came back in the counted time.
#[derive(Debug, Default)]
pub struct Latencies {
    /// How long was counted.
    pub elapsed: Duration,
    /// For how long the client had a processor meanwhile.
    pub client_cpu: Duration,
    /// From the send (with a new connection: from the connect) to the whole reply, in nanoseconds.
    pub latencies_ns: Vec<u64>,
}

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No reply for a long time.
    #[error("no reply for {} s", PATIENCE.as_secs())]
    Stuck,
    /// A wrong reply, with the reason.
    #[error("wrong reply: {0}")]
    Wrong(String),
    /// A system call or a file failed.
    #[error("connection failed: {0}")]
    Io(#[from] io::Error),
}

impl From<nix::Error> for Error {
    fn from(error: nix::Error) -> Error {
        Error::Io(error.into())
    }
}

/// One of the connections.
struct Peer {
    socket: Socket,
    /// When the request that is on its way was begun.
    since: Instant,
    sent: bool,
    reply: Vec<u8>,
}

/// Asks the program on `port` of loopback until the time is over.
///
/// `counting` is called when the warm-up ends, with `true`, and when the time does, with `false`.
///
/// # Errors
/// If one reply is wrong or missing: a server under ordinary load has no excuse.
pub fn drive(port: u16, load: Load, mut counting: impl FnMut(bool)) -> Result<Latencies, Error> {
    let address: SockAddr = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into();
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let request = load.mode.request();
    let mut peers = Vec::with_capacity(load.connections);
    for index in 0..load.connections {
        peers.push(connect(&address, &epoll, index, &request)?);
    }
    let begun = Instant::now();
    let mut counted_from = None;
    let mut client_cpu = Duration::ZERO;
    let mut outcome =
        Latencies { latencies_ns: Vec::with_capacity(1 << 20), ..Latencies::default() };
    let mut events = vec![EpollEvent::empty(); load.connections];
    loop {
        let now = Instant::now();
        match counted_from {
            None if now - begun >= load.warm_up => {
                counting(true);
                client_cpu = own_cpu()?;
                counted_from = Some(Instant::now());
            }
            Some(from) if now - from >= load.time => {
                counting(false);
                outcome.elapsed = now - from;
                outcome.client_cpu = own_cpu()?.saturating_sub(client_cpu);
                return Ok(outcome);
            }
            _ => {}
        }
        let patience = EpollTimeout::try_from(PATIENCE).unwrap_or(EpollTimeout::NONE);
        let ready = epoll.wait(&mut events, patience)?;
        if ready == 0 {
            return Err(Error::Stuck);
        }
        for event in &events[..ready] {
            let index = event.data() as usize;
            let Some(latency) = peers[index].advance(&request)? else { continue };
            if counted_from.is_some() {
                outcome.latencies_ns.push(latency.as_nanos() as u64);
            }
            match load.mode {
                Mode::KeepAlive => peers[index].begin(&request)?,
                Mode::NewConnection | Mode::Close => {
                    peers[index] = connect(&address, &epoll, index, &request)?
                }
            }
        }
    }
}

/// Processor time of the calling thread.
fn own_cpu() -> Result<Duration, Error> {
    let spent = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    Ok(Duration::from(spent))
}

/// A connection on its way; epoll says when it is there.
fn connect(address: &SockAddr, epoll: &Epoll, index: usize, request: &[u8]) -> Result<Peer, Error> {
    let since = Instant::now();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_linger(Some(Duration::ZERO))?;
    // EINPROGRESS: on loopback too, if the backlog is full.
    let there = match socket.connect(address) {
        Ok(()) => true,
        Err(error) if error.raw_os_error() == Some(nix::libc::EINPROGRESS) => false,
        Err(error) => return Err(error.into()),
    };
    let interest = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
    epoll.add(socket.as_fd(), EpollEvent::new(interest, index as u64))?;
    let mut peer = Peer { socket, since, sent: false, reply: Vec::with_capacity(REPLY_BYTES) };
    if there {
        peer.send(request)?;
    }
    Ok(peer)
}

impl Peer {
    fn begin(&mut self, request: &[u8]) -> Result<(), Error> {
        self.since = Instant::now();
        self.reply.clear();
        self.send(request)
    }

    /// The request is smaller than any socket buffer: it goes out whole or the connection is
    /// broken.
    fn send(&mut self, request: &[u8]) -> Result<(), Error> {
        match self.socket.write(request) {
            Ok(size) if size == request.len() => {
                self.sent = true;
                Ok(())
            }
            Ok(size) => Err(Error::Wrong(format!("only {size} bytes of the request were taken"))),
            // still connecting
            Err(error) if error.kind() == io::ErrorKind::NotConnected && !self.sent => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads what is there; the time that the request took, if its reply is whole.
    fn advance(&mut self, request: &[u8]) -> Result<Option<Duration>, Error> {
        if !self.sent {
            if let Some(error) = self.socket.take_error()? {
                return Err(error.into());
            }
            self.send(request)?;
        }
        let mut chunk = [0; REPLY_BYTES];
        match self.socket.read(&mut chunk) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(size) => self.reply.extend_from_slice(&chunk[..size]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        match event::check(&self.reply) {
            ReplyCheck::Correct(size) if size == self.reply.len() => Ok(Some(self.since.elapsed())),
            ReplyCheck::Correct(_) => Err(Error::Wrong("bytes after the reply".into())),
            ReplyCheck::Wrong(what) => Err(Error::Wrong(what)),
            ReplyCheck::Partial => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_sends_16_fields_and_the_whole_event() {
        for mode in [Mode::KeepAlive, Mode::NewConnection, Mode::Close] {
            let request = String::from_utf8(mode.request()).expect("text");
            let (head, body) = request.split_once("\r\n\r\n").expect("a head");
            assert_eq!(head.lines().count(), 1 + 16, "{head}");
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
            assert_eq!(head.contains("Connection: close"), mode == Mode::Close);
        }
    }
}
