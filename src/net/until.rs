//! Until: the time at which a wait ends, as a value without timer.

use crate::deadline::Deadline;
use crate::sys::monotonic_ns;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// End of a wait: a time of the monotonic clock, or never. Sums saturate.
///
/// # Example
/// ```
/// use firstbyte::net::Until;
/// use std::time::Duration;
///
/// let until = Until::after(Duration::from_secs(2));
/// assert!(!until.has_passed() && until < Until::NEVER);
/// assert_eq!(until.min(Until::after(Duration::MAX)), until);
/// assert!(Until::after(Duration::ZERO).has_passed());
/// assert_eq!(Until::NEVER.left(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Until(u64);

impl Until {
    /// No end: a silent peer is waited for until the platform ends the invocation.
    pub const NEVER: Until = Until(u64::MAX);

    /// `duration` from now.
    pub fn after(duration: Duration) -> Until {
        Until(monotonic_ns().saturating_add(nanoseconds(duration)))
    }

    /// Time left, zero if it has passed; `None`: for ever.
    pub fn left(self) -> Option<Duration> {
        (self != Until::NEVER).then(|| Duration::from_nanos(self.0.saturating_sub(monotonic_ns())))
    }

    /// Whether it has passed by now.
    pub fn has_passed(self) -> bool {
        self != Until::NEVER && monotonic_ns() >= self.0
    }

    pub(super) fn ns(self) -> u64 {
        self.0
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl From<Duration> for Until {
    /// `duration` from now.
    fn from(duration: Duration) -> Until {
        Until::after(duration)
    }
}

impl From<Instant> for Until {
    fn from(instant: Instant) -> Until {
        Until::after(instant.saturating_duration_since(Instant::now()))
    }
}

impl From<Deadline> for Until {
    fn from(deadline: Deadline) -> Until {
        Until::after(deadline.remaining())
    }
}

impl<T: Into<Until>> From<Option<T>> for Until {
    /// `None` becomes [`Until::NEVER`].
    fn from(until: Option<T>) -> Until {
        until.map_or(Until::NEVER, Into::into)
    }
}

thread_local! {
    static LIMIT: Cell<Until> = const { Cell::new(Until::NEVER) };
}

/// End of look-ups on this thread whose interface has no time-out: `getaddrinfo`'s.
pub(super) fn limit() -> Until {
    LIMIT.get()
}

/// Runs `work`, in which no name look-up takes longer than `until`. It is for crates that call
/// `getaddrinfo`, which has no time-out, in a program with [`dns!`](crate::dns). Otherwise an
/// unanswered look-up takes `timeout` times `attempts` of /etc/resolv.conf, 10 s.
///
/// # Example
/// ```
/// use std::net::ToSocketAddrs;
/// use std::time::Duration;
///
/// let found = firstbyte::net::within(Duration::from_secs(1), || {
///     ("127.0.0.1", 6379).to_socket_addrs()
/// })?;
/// assert_eq!(found.count(), 1);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn within<R>(until: impl Into<Until>, work: impl FnOnce() -> R) -> R {
    struct Before(Until);
    impl Drop for Before {
        fn drop(&mut self) {
            LIMIT.set(self.0);
        }
    }
    let _before = Before(LIMIT.replace(until.into().min(LIMIT.get())));
    work()
}
