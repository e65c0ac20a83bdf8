//! Pool of outgoing connections, shared by all threads: threads come and go, and a connection kept
//! by one thread would be lost to the others.

use super::early::boottime_ns;
use super::until::Until;
use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What an error means for its connection and for the work that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The peer has answered: the connection can be used again (a key of the wrong type, a
    /// statement with a mistake).
    Good,
    /// The connection is over, and the peer may have done the work.
    Lost,
    /// The connection is over, and nothing was sent on it.
    Unsent,
}

/// Whether work that failed on a reused connection may be repeated, once, on a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Only if nothing was sent: the work must not be done twice.
    IfUnsent,
    /// Always: doing it twice has the same effect as once (RFC 9110, section 9.2.2).
    Idempotent,
}

/// Pool of connections of any type to one destination.
///
/// `T` is the connection, `E` its error. A connection that was idle for too long (by the clock that
/// counts suspensions), or that a probe finds stale, is dropped when it would be used again and
/// never earlier: nothing runs while the instance is idle.
///
/// # Example
/// ```
/// use firstbyte::net::{Pool, Repeat, TcpStream, Until};
/// use std::io::{self, Read, Write};
/// use std::time::Duration;
///
/// static POOL: Pool<TcpStream> = Pool::new(|until| {
///     let address = std::env::var("ECHO_ADDRESS").map_err(io::Error::other)?;
///     TcpStream::connect_to(&[address.parse().map_err(io::Error::other)?], until)
/// })
/// .probe(|stream| !stream.is_stale())
/// .sent(TcpStream::sent);
///
/// # let server = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # // JUSTIFICATION: the example's address. SAFETY: no other thread runs yet.
/// # unsafe { std::env::set_var("ECHO_ADDRESS", server.local_addr()?.to_string()) };
/// # std::thread::spawn(move || {
/// #     let (mut peer, _) = server.accept().unwrap();
/// #     let mut copy = peer.try_clone().unwrap();
/// #     io::copy(&mut peer, &mut copy)
/// # });
/// let until = Until::after(Duration::from_secs(2));
/// for _ in 0..2 {
///     let echo = POOL.call(until, Repeat::Idempotent, |stream| {
///         stream.write_all(b"hello")?;
///         let mut echo = [0; 5];
///         stream.read_exact(&mut echo)?;
///         Ok(echo)
///     })?;
///     assert_eq!(&echo, b"hello");
/// }
/// assert_eq!(POOL.idle(), 1); // the server accepts one connection only
/// # Ok::<(), io::Error>(())
/// ```
pub struct Pool<T, E = io::Error> {
    connect: fn(Until) -> Result<T, E>,
    probe: Option<fn(&mut T) -> bool>,
    fate: Option<fn(&E) -> Fate>,
    sent: Option<fn(&T) -> u64>,
    most: usize,
    keep: Duration,
    state: Mutex<State<T>>,
    returned: Condvar,
}

struct State<T> {
    /// The newest last.
    idle: Vec<Idle<T>>,
    in_use: usize,
}

struct Idle<T> {
    connection: T,
    /// By the clock that counts suspensions.
    since_ns: u64,
}

/// A connection taken out of its pool. Dropping it closes it; [`Taken::put_back`] returns it to the
/// pool.
pub struct Taken<'p, T, E = io::Error> {
    pool: &'p Pool<T, E>,
    connection: Option<T>,
    is_fresh: bool,
}

impl<T, E> Pool<T, E> {
    /// A pool whose connections are made by `connect`, which gets the time at which it must end.
    pub const fn new(connect: fn(Until) -> Result<T, E>) -> Pool<T, E> {
        Pool {
            connect,
            probe: None,
            fate: None,
            sent: None,
            most: 16,
            keep: Duration::from_secs(55),
            state: Mutex::new(State { idle: Vec::new(), in_use: 0 }),
            returned: Condvar::new(),
        }
    }

    /// Sets the check whether an idle connection may be used again, called before each use but the
    /// first. Without it only the idle time counts.
    pub const fn probe(mut self, is_good: fn(&mut T) -> bool) -> Pool<T, E> {
        self.probe = Some(is_good);
        self
    }

    /// Sets what an error means for its connection. Without it every error is [`Fate::Lost`].
    pub const fn fate(mut self, fate: fn(&E) -> Fate) -> Pool<T, E> {
        self.fate = Some(fate);
        self
    }

    /// Sets the function that returns how many bytes a connection has sent so far: if that is the
    /// same before and after a failure, the failure is [`Fate::Unsent`].
    pub const fn sent(mut self, sent: fn(&T) -> u64) -> Pool<T, E> {
        self.sent = Some(sent);
        self
    }

    /// Sets the largest number of connections, in use and idle; the default is 16, the minimum 1. A
    /// caller that needs one more waits.
    pub const fn most(mut self, connections: usize) -> Pool<T, E> {
        self.most = if connections == 0 { 1 } else { connections };
        self
    }

    /// Sets how long a connection may be idle and still be used again, by the clock that counts
    /// suspensions (CLOCK_BOOTTIME). The default is 55 s, because many servers and networks drop
    /// idle connections after 60.
    pub const fn keep(mut self, idle: Duration) -> Pool<T, E> {
        self.keep = idle;
        self
    }

    /// Number of idle connections.
    pub fn idle(&self) -> usize {
        self.state().idle.len()
    }

    /// Runs `work` with a connection, and keeps the connection if it is good afterwards.
    ///
    /// If `work` fails on a reused connection that is over, it is called once more with a new one,
    /// provided that nothing was sent or `repeat` allows it, and that `until` has not passed. If it
    /// panics, the connection is dropped.
    ///
    /// # Errors
    /// The error of `work` or `connect`; `TimedOut` if all connections are in use until then.
    pub fn call<R>(
        &self,
        until: impl Into<Until>,
        repeat: Repeat,
        mut work: impl FnMut(&mut T) -> Result<R, E>,
    ) -> Result<R, E>
    where
        E: From<io::Error>,
    {
        let until = until.into();
        let mut taken = self.take(until)?;
        let (error, fate) = match taken.work(&mut work) {
            Ok(value) => {
                taken.put_back();
                return Ok(value);
            }
            Err(failure) => failure,
        };
        let may = match fate {
            Fate::Good => {
                taken.put_back();
                return Err(error);
            }
            Fate::Unsent => true,
            Fate::Lost => repeat == Repeat::Idempotent,
        };
        if taken.is_fresh || !may || until.has_passed() {
            return Err(error);
        }
        taken.connection = None; // closed before the new one is made
        taken.connection = Some((self.connect)(until)?);
        match taken.work(&mut work) {
            Ok(value) => {
                taken.put_back();
                Ok(value)
            }
            Err((error, fate)) => {
                if fate == Fate::Good {
                    taken.put_back();
                }
                Err(error)
            }
        }
    }

    /// Takes a connection: the most recently used idle one that is not stale, or a new one.
    ///
    /// # Errors
    /// The error of `connect`; `TimedOut` if all connections are in use until then.
    pub fn take(&self, until: impl Into<Until>) -> Result<Taken<'_, T, E>, E>
    where
        E: From<io::Error>,
    {
        let until = until.into();
        // Probing, making and dropping a connection happens outside of the lock, and it keeps its
        // place meanwhile.
        while let Some(idle) = self.idle_or_place(until)? {
            let mut taken = Taken { pool: self, connection: None, is_fresh: false };
            let Idle { mut connection, since_ns } = idle;
            if self.is_good(&mut connection, since_ns, boottime_ns()) {
                taken.connection = Some(connection);
                return Ok(taken);
            }
        }
        let mut taken = Taken { pool: self, connection: None, is_fresh: true };
        taken.connection = Some((self.connect)(until)?);
        Ok(taken)
    }

    /// The idle connection that was used last; `None` if there is place for a new one. Either is
    /// counted as in use from now on.
    fn idle_or_place(&self, until: Until) -> io::Result<Option<Idle<T>>> {
        let mut state = self.state();
        loop {
            if let Some(idle) = state.idle.pop() {
                state.in_use += 1;
                return Ok(Some(idle));
            }
            if state.in_use < self.most {
                state.in_use += 1;
                return Ok(None);
            }
            state = match until.left() {
                None => self.returned.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("all {} connections of the pool are in use", self.most),
                    ));
                }
                Some(left) => {
                    let waited = self.returned.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn is_good(&self, connection: &mut T, since_ns: u64, now_ns: u64) -> bool {
        let idle = Duration::from_nanos(now_ns.saturating_sub(since_ns));
        idle < self.keep && self.probe.is_none_or(|is_good| is_good(connection))
    }

    fn fate_of(&self, error: &E) -> Fate {
        self.fate.map_or(Fate::Lost, |fate| fate(error))
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T, E> Taken<'_, T, E> {
    /// Whether it was made for this use.
    pub fn is_fresh(&self) -> bool {
        self.is_fresh
    }

    /// Returns the connection to the pool; call it only if the connection can be used again.
    pub fn put_back(mut self) {
        if let Some(connection) = self.connection.take() {
            let idle = Idle { connection, since_ns: boottime_ns() };
            self.pool.state().idle.push(idle);
        } // dropping `self` frees the place
    }

    fn work<R>(&mut self, work: &mut impl FnMut(&mut T) -> Result<R, E>) -> Result<R, (E, Fate)> {
        let before = self.pool.sent.map(|sent| sent(self));
        work(self).map_err(|error| {
            let fate = self.pool.fate_of(&error);
            let after = self.pool.sent.map(|sent| sent(self));
            let unsent = fate == Fate::Lost && before.is_some() && before == after;
            (error, if unsent { Fate::Unsent } else { fate })
        })
    }
}

impl<T, E> Drop for Taken<'_, T, E> {
    fn drop(&mut self) {
        self.connection = None; // closed first: the server's limit may be as low as this pool's
        let mut state = self.pool.state();
        state.in_use = state.in_use.saturating_sub(1);
        drop(state);
        self.pool.returned.notify_one();
    }
}

impl<T, E> Deref for Taken<'_, T, E> {
    type Target = T;

    fn deref(&self) -> &T {
        self.connection.as_ref().expect("it is there until it is put back")
    }
}

impl<T, E> DerefMut for Taken<'_, T, E> {
    fn deref_mut(&mut self) -> &mut T {
        self.connection.as_mut().expect("it is there until it is put back")
    }
}

impl<T, E> fmt::Debug for Pool<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Pool")
            .field("idle", &state.idle.len())
            .field("in_use", &state.in_use)
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}

impl<T, E> fmt::Debug for Taken<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taken").field("is_fresh", &self.is_fresh).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Fails with its number until it is 0.
    #[derive(Debug)]
    struct Numbered(u32);

    fn numbered(made: &AtomicU32) -> io::Result<Numbered> {
        Ok(Numbered(made.fetch_add(1, Ordering::SeqCst) + 1))
    }

    macro_rules! pool {
        ($made:ident) => {{
            static $made: AtomicU32 = AtomicU32::new(0);
            (Pool::<Numbered>::new(|_| numbered(&$made)), &$made)
        }};
    }

    const SOON: Duration = Duration::from_millis(20);

    #[test]
    fn the_last_one_used_is_used_again_and_dropped_ones_are_not() {
        let (pool, _) = pool!(MADE);
        let (one, two) = (pool.take(SOON).unwrap(), pool.take(SOON).unwrap());
        assert!(one.is_fresh() && (one.0, two.0) == (1, 2));
        two.put_back();
        one.put_back();
        let again = pool.take(SOON).unwrap();
        assert!(!again.is_fresh() && again.0 == 1);
        drop(again);
        assert_eq!((pool.take(SOON).unwrap().0, pool.idle()), (2, 0));
    }

    #[test]
    fn one_more_than_the_most_waits_for_one_that_returns() {
        let (pool, _) = pool!(MADE);
        let pool = pool.most(1);
        let taken = pool.take(SOON).unwrap();
        let error = pool.take(SOON).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "all 1 connections of the pool are in use");
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| pool.take(Until::NEVER).unwrap().0);
            taken.put_back();
            assert_eq!(waits.join().unwrap(), 1);
        });
    }

    #[test]
    fn what_is_idle_for_too_long_is_not_used_again() {
        let (pool, _) = pool!(MADE);
        let pool = pool.keep(Duration::from_secs(55));
        let second = 1_000_000_000;
        let mut connection = Numbered(1);
        assert!(pool.is_good(&mut connection, 100 * second, 154 * second));
        assert!(!pool.is_good(&mut connection, 100 * second, 155 * second));
        assert!(pool.is_good(&mut connection, 100 * second, 99 * second), "the clock is that old");
        let pool = pool.probe(|connection| connection.0 != 1);
        assert!(!pool.is_good(&mut connection, 100 * second, 101 * second));
    }

    /// Whether the work is repeated: by the connection (new or reused), its fate, and `repeat`.
    #[test]
    fn is_repeated_once_where_that_is_safe() {
        fn fate(error: &io::Error) -> Fate {
            match error.kind() {
                io::ErrorKind::InvalidData => Fate::Good,
                io::ErrorKind::BrokenPipe => Fate::Unsent,
                _ => Fate::Lost,
            }
        }
        let (lost, unsent, good) =
            (io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe, io::ErrorKind::InvalidData);
        for (used, fails_with, repeat, times) in [
            (false, lost, Repeat::Idempotent, 1),
            (false, unsent, Repeat::Idempotent, 1),
            (true, lost, Repeat::Idempotent, 2),
            (true, lost, Repeat::IfUnsent, 1),
            (true, unsent, Repeat::IfUnsent, 2),
            (true, good, Repeat::Idempotent, 1),
        ] {
            let (pool, made) = pool!(MADE);
            made.store(0, Ordering::SeqCst);
            let pool = pool.fate(fate);
            if used {
                pool.take(SOON).unwrap().put_back();
            }
            let mut calls = 0;
            let outcome = pool.call(SOON, repeat, |_| -> io::Result<()> {
                calls += 1;
                Err(fails_with.into())
            });
            assert_eq!(outcome.unwrap_err().kind(), fails_with);
            assert_eq!(calls, times, "{used} {fails_with} {repeat:?}");
            assert_eq!(pool.idle(), usize::from(fails_with == good));
            assert_eq!(pool.state().in_use, 0);
        }
    }

    #[test]
    fn a_panic_gives_the_place_back() {
        let (pool, _) = pool!(MADE);
        let pool = pool.most(1);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ =
                pool.call(SOON, Repeat::Idempotent, |_| -> io::Result<()> { panic!("asked to") });
        }));
        assert!(panicked.is_err());
        assert!(pool.take(SOON).unwrap().is_fresh());
    }

    #[test]
    fn nothing_was_sent_where_the_count_says_so() {
        let (pool, _) = pool!(MADE);
        let pool = pool.sent(|connection| u64::from(connection.0 / 1000));
        pool.take(SOON).unwrap().put_back();
        let mut calls = 0;
        let mut fail = |sends: u32| {
            let _ = pool.call(SOON, Repeat::IfUnsent, |connection| -> io::Result<()> {
                calls += 1;
                connection.0 += sends;
                Err(io::ErrorKind::ConnectionReset.into())
            });
            std::mem::take(&mut calls)
        };
        assert_eq!(fail(0), 2);
        pool.take(SOON).unwrap().put_back();
        assert_eq!(fail(1000), 1);
    }
}
