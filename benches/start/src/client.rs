//! Client of a starting program: it connects repeatedly until the program listens, sends the event,
//! and spins until the first byte has arrived. It never sleeps: it has a core of its own, and the
//! time to wake it up would be part of the measurement.

use crate::event::{self, REQUEST, ReplyCheck};
use crate::launch::Instance;
use bench_kit::clock::now_ns;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// Time limit from execve to the whole reply, and from a further request to its reply.
const PATIENCE: Duration = Duration::from_secs(10);
/// Number of failed attempts between two checks of the process.
const ATTEMPTS_A_LOOK: u32 = 4096;
/// Size of the buffer, in bytes; a reply has a quarter of it.
const REPLY_BYTES: usize = 1024;

/// Why there was no correct reply.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program ended.
    #[error("the program ended before it answered")]
    Ended,
    /// No reply in time.
    #[error("no reply within {} s", PATIENCE.as_secs())]
    Late,
    /// A wrong reply, with the reason.
    #[error("wrong reply: {0}")]
    Wrong(String),
    /// A system call or a file failed.
    #[error("connection failed: {0}")]
    Io(#[from] io::Error),
}

/// Times of the events of a start, in nanoseconds of CLOCK_MONOTONIC.
#[derive(Debug, Clone, Copy)]
pub struct Moments {
    /// The program accepted the connection.
    pub listening_ns: u64,
    /// The first byte of the reply arrived.
    pub first_byte_ns: u64,
    /// The last byte of the reply arrived.
    pub reply_ns: u64,
}

/// A socket that connects to a starting program. Closing it resets the connection, so that no port
/// stays in TIME_WAIT.
pub struct Caller {
    socket: Socket,
    to: SockAddr,
}

impl Caller {
    /// A caller of `port` on loopback.
    ///
    /// # Errors
    /// If no socket can be made.
    pub fn new(port: u16) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        socket.set_linger(Some(Duration::ZERO))?;
        Ok(Self { socket, to: SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into() })
    }

    /// Tries to connect once; on loopback the result is known when the call returns.
    ///
    /// # Errors
    /// Any error except a refusal.
    pub fn connect(&self) -> io::Result<bool> {
        match self.socket.connect(&self.to) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends the event.
    ///
    /// # Errors
    /// If the connection breaks.
    pub fn send(&self) -> io::Result<()> {
        (&self.socket).write_all(REQUEST)
    }

    /// Sleeps until something has arrived.
    ///
    /// # Errors
    /// If nothing arrives in that time, or the connection breaks.
    pub fn wait(&self, patience: Duration) -> io::Result<()> {
        self.socket.set_read_timeout(Some(patience))?;
        self.socket.peek(&mut [MaybeUninit::uninit()]).map(drop)
    }

    /// Appends the bytes that have arrived to `reply`; returns their number, which may be 0.
    ///
    /// # Errors
    /// If the connection breaks or ends.
    pub fn receive(&self, reply: &mut Vec<u8>) -> io::Result<usize> {
        let mut chunk = [MaybeUninit::uninit(); REPLY_BYTES];
        match self.socket.recv_with_flags(&mut chunk, libc::MSG_DONTWAIT) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                // SAFETY: the call has initialised the first `n` bytes.
                // JUSTIFICATION: socket2 receives into uninitialised memory only.
                reply.extend(chunk[..n].iter().map(|byte| unsafe { byte.assume_init() }));
                Ok(n)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }
}

/// Calls a program that is starting, and waits for the reply. The connection of the returned caller
/// is open.
///
/// # Errors
/// If the program ends, does not answer, or gives a wrong reply.
pub fn call(instance: &Instance, caller: &Caller) -> Result<Moments, Error> {
    let mut patience = patience(instance, instance.exec_ns());
    while !caller.connect()? {
        patience()?;
    }
    let listening_ns = now_ns();
    let (first_byte_ns, reply_ns) = exchange(caller, patience)?;
    Ok(Moments { listening_ns, first_byte_ns, reply_ns })
}

/// Sends the event once more on the caller's connection, and waits for the reply. Returns the
/// nanoseconds from just before the send until the reply's last byte arrived.
///
/// # Errors
/// As [`call`].
pub fn call_again(instance: &Instance, caller: &Caller) -> Result<u64, Error> {
    let sent_ns = now_ns();
    let (_, reply_ns) = exchange(caller, patience(instance, sent_ns))?;
    Ok(reply_ns - sent_ns)
}

/// Checks now and then whether the program has ended or the time limit has passed.
fn patience(instance: &Instance, from_ns: u64) -> impl FnMut() -> Result<(), Error> {
    let deadline_ns = from_ns + PATIENCE.as_nanos() as u64;
    let mut attempts = 0u32;
    move || {
        attempts = attempts.wrapping_add(1);
        match attempts % ATTEMPTS_A_LOOK {
            0 if instance.has_ended() => Err(Error::Ended),
            0 if now_ns() > deadline_ns => Err(Error::Late),
            _ => Ok(()),
        }
    }
}

/// Sends the event and spins for the reply; returns the times of its first and last byte.
fn exchange(
    caller: &Caller,
    mut patience: impl FnMut() -> Result<(), Error>,
) -> Result<(u64, u64), Error> {
    caller.send()?;
    let mut reply = Vec::with_capacity(REPLY_BYTES);
    while caller.receive(&mut reply)? == 0 {
        patience()?;
    }
    let first_byte_ns = now_ns();
    let mut arrived_ns = first_byte_ns;
    loop {
        match event::check(&reply) {
            ReplyCheck::Correct(size) if size == reply.len() => {
                return Ok((first_byte_ns, arrived_ns));
            }
            ReplyCheck::Correct(_) => return Err(Error::Wrong("bytes after the reply".into())),
            ReplyCheck::Wrong(what) => return Err(Error::Wrong(what)),
            ReplyCheck::Partial => {
                patience()?;
                if caller.receive(&mut reply)? > 0 {
                    arrived_ns = now_ns();
                }
            }
        }
    }
}
