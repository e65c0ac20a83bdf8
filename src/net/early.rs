//! Early connections: begun before they are needed, after the port is listened on, while the boot
//! lane waits for its first request.

use super::stream::TcpStream;
use super::until::Until;
use crate::sys;
use crate::transport::catch;
use crate::transport::early::{Step, Wait};
use std::fmt;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A connection that can be begun early: a stream with the handshake that makes it usable.
///
/// # Example
/// A greeting that the server sends first:
/// ```
/// use firstbyte::net::{Handshake, TcpStream};
/// use std::io::{self, BufRead, Read};
///
/// struct Greeted {
///     stream: TcpStream,
///     greeting: Vec<u8>,
/// }
///
/// impl Handshake for Greeted {
///     fn stream(&mut self) -> &mut TcpStream {
///         &mut self.stream
///     }
///
///     fn shake(&mut self) -> io::Result<()> {
///         while !self.greeting.ends_with(b"\r\n") {
///             let mut bytes = [0; 64];
///             let size = self.stream.read(&mut bytes)?; // `WouldBlock`: called again later
///             if size == 0 || self.greeting.len() > 1024 {
///                 return Err(io::Error::other("no greeting"));
///             }
///             self.greeting.extend_from_slice(&bytes[..size]);
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Handshake: Send + 'static {
    /// The stream below the handshake.
    fn stream(&mut self) -> &mut TcpStream;

    /// Continues the handshake until the connection is usable. Returns `WouldBlock` if the stream
    /// does, and is called again when the stream is ready for that operation.
    ///
    /// # Errors
    /// Why the connection cannot be made.
    fn shake(&mut self) -> io::Result<()>;

    /// Whether a connection that has waited is no longer usable. A protocol whose server sends
    /// bytes unasked (TLS 1.3: session tickets) reads them here, without waiting. Called for an
    /// early connection when bytes have arrived, and at its first use.
    fn is_stale(&mut self) -> bool {
        TcpStream::is_stale(self.stream())
    }
}

impl Handshake for TcpStream {
    fn stream(&mut self) -> &mut TcpStream {
        self
    }

    fn shake(&mut self) -> io::Result<()> {
        self.finish()
    }
}

/// A connection that is begun early, and taken over by its first use.
///
/// [`App::early`](crate::App::early) registers it: it is begun once the port is listened on, and
/// its handshake continues while the boot lane waits, without a thread, at a time when the platform
/// is still sending the first request. A peer that is silent or refuses delays nothing. The first
/// [`Early::connect`] continues from that state; every later one makes a new connection.
///
/// # Example
/// ```no_run
/// use firstbyte::net::{Early, TcpStream};
/// use firstbyte::{App, Event, Result};
/// use std::io::{Read, Write};
///
/// static REDIS: Early<TcpStream> =
///     Early::new(|| Ok(TcpStream::begin_to(&[([10, 0, 0, 7], 6379).into()])));
///
/// fn ping(event: Event<'_>) -> Result<String> {
///     let mut redis = REDIS.connect(event.context().deadline())?;
///     redis.write_all(b"PING\r\n")?;
///     let mut reply = [0; 7];
///     redis.read_exact(&mut reply)?;
///     Ok(String::from_utf8_lossy(&reply).into_owned())
/// }
///
/// firstbyte::main!(App::new().early(&REDIS).event(ping));
/// ```
pub struct Early<T> {
    begin: fn() -> io::Result<T>,
    keep: Duration,
    begun: Mutex<Begun<T>>,
}

enum Begun<T> {
    /// Not begun.
    Not,
    /// Taken over by its first use. If the boot lane asks again, it begins no second connection.
    Taken,
    /// In progress or finished; with its start by the clock that counts suspensions, in
    /// nanoseconds.
    Going {
        connection: T,
        done: bool,
        since_ns: u64,
        steps: u32,
    },
    Failed {
        error: io::Error,
        since_ns: u64,
    },
}

/// Age from which on a failed connection is replaced by a new attempt; the error of a younger one
/// is returned.
const OLD: Duration = Duration::from_secs(1);
/// Largest number of steps of a handshake, because a faulty one could wait for a stream that is
/// always ready.
const MOST_STEPS: u32 = 10_000;

/// Largest number of reads of a finished connection before its first use: TLS 1.3 servers send two
/// tickets, which are read while no request waits for the connection.
const MOST_IDLE_STEPS: u32 = 16;

impl<T: Handshake> Early<T> {
    /// `begin` makes the connection without waiting, as [`TcpStream::begin_to`] does.
    pub const fn new(begin: fn() -> io::Result<T>) -> Early<T> {
        Early { begin, keep: Duration::from_secs(55), begun: Mutex::new(Begun::Not) }
    }

    /// How old an early connection may be when it is used first, by the clock that counts
    /// suspensions (CLOCK_BOOTTIME); 55 s by default: many servers and networks drop idle ones
    /// after 60.
    pub const fn keep(mut self, age: Duration) -> Early<T> {
        self.keep = age;
        self
    }

    /// Returns the early connection if it is there or on its way and not stale; otherwise a new
    /// one. `until` is the stream's deadline.
    ///
    /// # Errors
    /// Why there is none. If the early connection has failed within the last second, its error is
    /// returned; otherwise a new connection is tried.
    pub fn connect(&self, until: impl Into<Until>) -> io::Result<T> {
        let until = until.into();
        let begun = std::mem::replace(&mut *self.begun(), Begun::Taken);
        let early = match begun {
            Begun::Going { connection, done, since_ns, .. } if age(since_ns) < self.keep => {
                Some((connection, done))
            }
            Begun::Failed { error, since_ns } if age(since_ns) < OLD => return Err(error),
            Begun::Not | Begun::Taken | Begun::Going { .. } | Begun::Failed { .. } => None,
        };
        if let Some((mut connection, done)) = early
            && !(done && connection.is_stale())
        {
            return finish(connection, until);
        }
        finish((self.begin)()?, until)
    }

    fn go_on(&self, begun: &mut Begun<T>) -> io::Result<Option<Wait>> {
        if let Begun::Not = begun {
            let connection = (self.begin)()?;
            *begun = Begun::Going { connection, done: false, since_ns: boottime_ns(), steps: 0 };
        }
        let Begun::Going { connection, done, steps, .. } = begun else { return Ok(None) };
        if *done {
            *steps += 1;
            let goes_on = *steps <= MOST_IDLE_STEPS && !connection.is_stale();
            return Ok(goes_on.then(|| readable(connection)));
        }
        connection.stream().set_nonblocking(true);
        let shaken = connection.shake();
        let waits = connection.stream().waits(); // the next line clears it
        connection.stream().set_nonblocking(false);
        match shaken {
            Ok(()) => {
                (*done, *steps) = (true, 0);
                Ok(Some(readable(connection)))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                *steps += 1;
                if *steps > MOST_STEPS {
                    return Err(io::Error::other(
                        "the handshake gives `WouldBlock` where its stream is ready",
                    ));
                }
                Ok(Some(waits))
            }
            Err(error) => Err(error),
        }
    }

    fn begun(&self) -> MutexGuard<'_, Begun<T>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn finish<T: Handshake>(mut connection: T, until: Until) -> io::Result<T> {
    connection.stream().set_deadline(until);
    connection.shake()?;
    Ok(connection)
}

/// The wait of a connection that is not used yet: until its peer sends something or closes it.
fn readable<T: Handshake>(connection: &mut T) -> Wait {
    Wait { fd: connection.stream().as_raw_fd(), events: libc::POLLIN, until_ns: u64::MAX }
}

fn age(since_ns: u64) -> Duration {
    Duration::from_nanos(boottime_ns().saturating_sub(since_ns))
}

/// The monotonic clock that continues while the machine is suspended.
pub(super) fn boottime_ns() -> u64 {
    let now = sys::ask(sys::BOOTTIME);
    let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or_default();
    sys::seconds(now).saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

impl<T: Handshake> Step for Early<T> {
    fn step(&self) -> Option<Wait> {
        let mut begun = self.begun();
        let gone_on = catch(|| self.go_on(&mut begun)).unwrap_or_else(|panicked| {
            Err(io::Error::other(format!("beginning the connection panicked: {panicked}")))
        });
        gone_on.unwrap_or_else(|error| {
            *begun = Begun::Failed { error, since_ns: boottime_ns() };
            None
        })
    }
}

impl<T> fmt::Debug for Early<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Early").field("keep", &self.keep).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::sync::OnceLock;
    use std::time::Instant;

    /// A connection whose server sends `ticket` unasked; `is_stale` reads it.
    struct Ticketed(TcpStream);

    impl Handshake for Ticketed {
        fn stream(&mut self) -> &mut TcpStream {
            &mut self.0
        }

        fn shake(&mut self) -> io::Result<()> {
            self.0.finish()
        }

        fn is_stale(&mut self) -> bool {
            self.0.set_nonblocking(true);
            let read = self.0.read(&mut [0; 64]);
            self.0.set_nonblocking(false);
            match read {
                Ok(size) => size == 0 || self.is_stale(),
                Err(error) => error.kind() != ErrorKind::WouldBlock,
            }
        }
    }

    fn steps_until(early: &Early<Ticketed>, is_over: impl Fn(Option<Wait>) -> bool) {
        let begun = Instant::now();
        while !is_over(early.step()) {
            assert!(begun.elapsed() < Duration::from_secs(10), "the state is not reached in time");
            early.tests_rest();
        }
    }

    impl Early<Ticketed> {
        /// Resets the count of steps: these tests count no time.
        fn tests_rest(&self) {
            if let Begun::Going { steps, .. } = &mut *self.begun() {
                *steps = 0;
            }
        }

        fn has_unread(&self) -> bool {
            match &*self.begun() {
                Begun::Going { connection, .. } => connection.0.is_stale(),
                _ => panic!("the connection is in progress"),
            }
        }
    }

    #[test]
    fn what_comes_unasked_is_read_before_the_first_use() {
        static SERVER: OnceLock<SocketAddr> = OnceLock::new();
        static EARLY: Early<Ticketed> =
            Early::new(|| Ok(Ticketed(TcpStream::begin_to(&[*SERVER.get().unwrap()]))));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        SERVER.set(listener.local_addr().unwrap()).unwrap();
        steps_until(&EARLY, |wait| wait.is_some_and(|wait| wait.events == libc::POLLIN));
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(b"ticket").unwrap();
        steps_until(&EARLY, |wait| wait.is_some() && !EARLY.has_unread());
        drop(peer);
        steps_until(&EARLY, |wait| wait.is_none());
    }

    #[test]
    fn an_unused_connection_takes_a_bounded_number_of_steps() {
        static SERVER: OnceLock<SocketAddr> = OnceLock::new();
        static EARLY: Early<Ticketed> =
            Early::new(|| Ok(Ticketed(TcpStream::begin_to(&[*SERVER.get().unwrap()]))));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        SERVER.set(listener.local_addr().unwrap()).unwrap();
        steps_until(&EARLY, |wait| wait.is_some_and(|wait| wait.events == libc::POLLIN));
        let (_peer, _) = listener.accept().unwrap();
        let looked = (0..1000).take_while(|_| EARLY.step().is_some()).count();
        assert_eq!(looked, MOST_IDLE_STEPS as usize);
    }
}
