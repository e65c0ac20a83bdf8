//! Probe: finds the moment at which an instance is ready, and sends the request: a tight connect
//! loop on a socket in the instance's network namespace, then one request, read to its last byte.
//! An accepted connect does not mean ready (the kernel accepts before the program runs): only the
//! reply ends a start.

use crate::reply::{Collector, ReplyError};
use crate::request::Answer;
use bench_kit::clock;
use nix::errno::Errno;
use nix::libc::suseconds_t;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{
    MsgFlags, Shutdown, SockaddrIn, connect, recv, send, setsockopt, shutdown, sockopt,
};
use nix::sys::time::TimeVal;
use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Pause between two turns of the loop if the core is shared with instances; it is the loop's
/// resolution.
const REST_NS: u64 = 100_000;
/// Turns of the loop between two checks that the instance is alive.
const TURNS_BETWEEN_LOOKS: u32 = 256;
/// Time limit of one connect. On an instance's own loopback it never waits. On a bridge whose other
/// end is gone it would wait for ARP and retransmissions, beyond the deadline and an interruption.
const CONNECT_US: suseconds_t = 50_000;
/// Time that an instance that was started ahead has to notice that its first connection is closed.
const SETTLE_US: suseconds_t = 50_000;

/// The times of one request, in CLOCK_MONOTONIC nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The first connect was called.
    pub began_ns: u64,
    /// The connection was accepted.
    pub connected_ns: u64,
    /// The first byte of the reply arrived.
    pub first_byte_ns: u64,
    /// The last byte of the reply arrived.
    pub last_byte_ns: u64,
    /// Number of connects that were refused before one was accepted.
    pub refused: u32,
    /// From the first connect to the last refused one, in nanoseconds.
    pub refused_for_ns: u64,
    /// The reply itself.
    pub answer: Answer,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No connection was accepted in time.
    #[error("nothing listened on port {port} within {waited_ms} ms")]
    NeverListened {
        /// The port.
        port: u16,
        /// Time that the probe waited.
        waited_ms: u64,
    },
    /// No whole reply came in time.
    #[error("it listened, but did not answer within {waited_ms} ms")]
    NeverAnswered {
        /// Time that the probe waited.
        waited_ms: u64,
    },
    /// The program closed the connection first.
    #[error("it closed the connection without an answer")]
    Closed,
    /// The reply is not HTTP.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// The program ended.
    #[error("the program ended before it {}", if *.listened { "answered" } else { "listened" })]
    Ended {
        /// Whether it had listened.
        listened: bool,
    },
    /// The user ended the run.
    #[error("interrupted")]
    Interrupted,
    /// The engine's message: there was nothing to connect to.
    #[error("{0}")]
    Engine(String),
    /// A socket of this machine failed.
    #[error("the probe's own socket failed: {0}")]
    Socket(#[source] io::Error),
}

/// Why waiting ends before the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// The program has ended.
    Ended,
    /// The user has interrupted the run.
    Interrupted,
}

/// Target, request and deadline.
pub struct Probe<'a> {
    /// Where the instance listens.
    pub target: SocketAddrV4,
    /// The bytes that are sent.
    pub request: &'a [u8],
    /// CLOCK_MONOTONIC nanoseconds.
    pub deadline_ns: u64,
    /// Whether this thread has its core to itself: it then never sleeps. Otherwise it tries every
    /// 100 microseconds to connect, and sleeps until the reply comes.
    pub spins: bool,
}

impl Probe<'_> {
    /// Connects as soon as possible, sends the request, and reads the answer. `ended` is called
    /// from time to time to find out whether to continue; it also keeps the instance's output pipe
    /// empty.
    ///
    /// # Errors
    /// [`ProbeError`]
    pub fn ask(
        &self,
        socket: &OwnedFd,
        mut ended: impl FnMut() -> Option<Gone>,
    ) -> Result<Exchange, ProbeError> {
        let began_ns = clock::now_ns();
        let (refused, refused_for_ns) = self.connect(socket, began_ns, &mut ended)?;
        let connected_ns = clock::now_ns();
        setsockopt(socket, sockopt::TcpNoDelay, &true).map_err(failed)?;
        // std ignores SIGPIPE
        match send(socket.as_raw_fd(), self.request, MsgFlags::empty()) {
            Ok(sent) if sent == self.request.len() => {}
            Ok(_) => return Err(failed(Errno::EMSGSIZE)),
            // The program accepted, and ended before the request could be sent.
            Err(Errno::ECONNRESET | Errno::EPIPE) => {
                look(&mut ended, true)?;
                return Err(ProbeError::Closed);
            }
            Err(errno) => return Err(failed(errno)),
        }
        let (first_byte_ns, last_byte_ns, answer) = self.read(socket, began_ns, &mut ended)?;
        Ok(Exchange {
            began_ns,
            connected_ns,
            first_byte_ns,
            last_byte_ns,
            refused,
            refused_for_ns,
            answer,
        })
    }

    /// Only connects, by the same loop, for an instance that gets its request later.
    ///
    /// # Errors
    /// [`ProbeError`]
    pub fn wait_listening(
        &self,
        socket: &OwnedFd,
        mut ended: impl FnMut() -> Option<Gone>,
    ) -> Result<(), ProbeError> {
        self.connect(socket, clock::now_ns(), &mut ended).map(drop)
    }

    fn connect(
        &self,
        socket: &OwnedFd,
        began_ns: u64,
        ended: &mut impl FnMut() -> Option<Gone>,
    ) -> Result<(u32, u64), ProbeError> {
        let address = SockaddrIn::from(self.target);
        setsockopt(socket, sockopt::SendTimeout, &TimeVal::new(0, CONNECT_US)).map_err(failed)?;
        let (mut refused, mut last_refusal_ns, mut waited_ns) = (0, began_ns, 0);
        loop {
            let (mut slow, turn_ns) = (false, last_refusal_ns);
            match connect(socket.as_raw_fd(), &address) {
                // EISCONN: an abandoned connect has succeeded meanwhile.
                Ok(()) | Err(Errno::EISCONN) => {
                    return Ok((refused, last_refusal_ns - began_ns - waited_ns));
                }
                Err(Errno::ECONNREFUSED | Errno::EINTR | Errno::ECONNABORTED) => refused += 1,
                // The instance's own interface is not up yet, or is gone: `ended` tells which.
                Err(
                    Errno::EHOSTUNREACH
                    | Errno::ENETUNREACH
                    | Errno::ETIMEDOUT
                    | Errno::EINPROGRESS
                    | Errno::EALREADY
                    | Errno::EAGAIN,
                ) => slow = true,
                Err(errno) => return Err(failed(errno)),
            }
            last_refusal_ns = clock::now_ns();
            if slow {
                // not a turn of a tight loop, so it must not be used for calibration
                waited_ns += last_refusal_ns - turn_ns;
            }
            if !self.spins {
                clock::sleep_until_ns(last_refusal_ns + REST_NS);
            }
            if slow || refused % TURNS_BETWEEN_LOOKS == 0 || !self.spins {
                look(ended, false)?;
                if last_refusal_ns > self.deadline_ns {
                    let waited_ms = (last_refusal_ns - began_ns) / 1_000_000;
                    return Err(ProbeError::NeverListened { port: self.target.port(), waited_ms });
                }
            }
        }
    }

    fn read(
        &self,
        socket: &OwnedFd,
        began_ns: u64,
        ended: &mut impl FnMut() -> Option<Gone>,
    ) -> Result<(u64, u64, Answer), ProbeError> {
        let mut collector = Collector::new(self.request.starts_with(b"HEAD "));
        let mut buffer = [0u8; 16 * 1024];
        let (mut turns, mut first_byte_ns) = (0u32, None);
        loop {
            match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(0) if first_byte_ns.is_none() => {
                    look(ended, true)?;
                    return Err(ProbeError::Closed);
                }
                Ok(0) => {
                    let at_ns = clock::now_ns();
                    return Ok((first_byte_ns.unwrap_or(at_ns), at_ns, collector.closed()?));
                }
                Ok(n) => {
                    let at_ns = clock::now_ns();
                    let first = *first_byte_ns.get_or_insert(at_ns);
                    if let Some(answer) = collector.push(&buffer[..n])? {
                        return Ok((first, at_ns, answer));
                    }
                }
                Err(Errno::EAGAIN | Errno::EINTR) => {
                    turns = turns.wrapping_add(1);
                    if !self.spins {
                        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
                        let _ = poll(&mut fds, 50u16);
                    }
                    if turns % TURNS_BETWEEN_LOOKS == 0 || !self.spins {
                        look(ended, true)?;
                        if clock::now_ns() > self.deadline_ns {
                            return Err(ProbeError::NeverAnswered {
                                waited_ms: clock::since_ns(began_ns) / 1_000_000,
                            });
                        }
                    }
                }
                Err(Errno::ECONNRESET) => {
                    look(ended, true)?;
                    return Err(ProbeError::Closed);
                }
                Err(errno) => return Err(failed(errno)),
            }
        }
    }
}

/// Closes our side of the connection that showed that the instance listens, and waits until the
/// instance has noticed, so that it is idle when the request comes. A program that never closes
/// gets 50 ms.
pub fn settle(ahead: &OwnedFd) {
    let _ = shutdown(ahead.as_raw_fd(), Shutdown::Write);
    let _ = setsockopt(ahead, sockopt::ReceiveTimeout, &TimeVal::new(0, SETTLE_US));
    let _ = recv(ahead.as_raw_fd(), &mut [0u8; 1], MsgFlags::empty());
}

fn look(ended: &mut impl FnMut() -> Option<Gone>, listened: bool) -> Result<(), ProbeError> {
    match ended() {
        None => Ok(()),
        Some(Gone::Ended) => Err(ProbeError::Ended { listened }),
        Some(Gone::Interrupted) => Err(ProbeError::Interrupted),
    }
}

fn failed(errno: Errno) -> ProbeError {
    ProbeError::Socket(errno.into())
}
