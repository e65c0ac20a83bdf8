//! Arrival and Deadline: points in time as values. The reader of a request sets its arrival;
//! request, event and context only pass it on. The clock is read only when a caller asks for the
//! time left. There is no timer: nothing happens here when a deadline passes; the platform ends the
//! invocation.

use crate::sys::monotonic_ns;
use std::time::{Duration, Instant};

/// When a request's first byte arrived, by the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival(Moment);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Instant(Instant),
    /// Nanoseconds of the raw monotonic clock: the first request has this form, see
    /// transport/clock.rs.
    Monotonic(u64),
}

impl Arrival {
    /// The arrival of a request that came at `instant`.
    pub fn at(instant: Instant) -> Arrival {
        Arrival(Moment::Instant(instant))
    }

    pub(crate) fn at_monotonic(ns: u64) -> Arrival {
        Arrival(Moment::Monotonic(ns))
    }

    /// The arrival as an `Instant`.
    pub fn instant(self) -> Instant {
        match self.0 {
            Moment::Instant(instant) => instant,
            Moment::Monotonic(ns) => {
                let (now, since) = (Instant::now(), monotonic_ns().saturating_sub(ns));
                now.checked_sub(Duration::from_nanos(since)).unwrap_or(now)
            }
        }
    }

    /// Time since the arrival.
    pub fn elapsed(self) -> Duration {
        match self.0 {
            Moment::Instant(instant) => instant.elapsed(),
            Moment::Monotonic(ns) => Duration::from_nanos(monotonic_ns().saturating_sub(ns)),
        }
    }

    /// Arrival + `timeout`; `None` if the clock cannot represent it.
    pub fn deadline(self, timeout: Duration) -> Option<Deadline> {
        self.instant().checked_add(timeout).map(Deadline)
    }
}

/// The time at which the platform ends an invocation. The platform's clock started earlier than
/// ours, by the time that the request took to arrive: leave a margin.
///
/// # Example
/// ```
/// use firstbyte::{Event, Result, test};
/// use std::time::{Duration, Instant};
///
/// fn work(event: Event<'_>) -> Result<String> {
///     let left = event.context().deadline().map(|deadline| deadline.remaining());
///     let is_late = left.is_some_and(|left| left < Duration::from_secs(1));
///     Ok(if is_late { "too late" } else { "done" }.to_owned())
/// }
///
/// let long_ago = Instant::now() - Duration::from_secs(60);
/// let call = test::event("").header("X-Scf-Timeout", "3");
/// assert_eq!(call.clone().arrival(long_ago).call_event(work)?.text(), "too late");
/// assert_eq!(call.call_event(work)?.text(), "done");
/// # Ok::<(), firstbyte::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline as an `Instant`, for APIs that take one.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// Time left; zero if the deadline has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether the deadline has passed.
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_from_the_arrival() {
        let now = Instant::now();
        let deadline = Arrival::at(now).deadline(Duration::from_secs(3600)).unwrap();
        assert_eq!(deadline.instant() - now, Duration::from_secs(3600));
        assert!(!deadline.has_passed() && deadline.remaining() > Duration::from_secs(3500));
        assert!(Arrival::at(now).deadline(Duration::ZERO).unwrap().has_passed());
        assert_eq!(Arrival::at(now).deadline(Duration::MAX), None);
    }

    #[test]
    fn a_first_requests_arrival_is_the_same_time() {
        // The two clocks are read one after the other, now and then with another program in
        // between.
        let slack = Duration::from_millis(5);
        let close = || {
            let (before, arrival, after) =
                (Instant::now(), Arrival::at_monotonic(monotonic_ns()), Instant::now());
            arrival.instant() + slack >= before && arrival.instant() <= after + slack
        };
        assert!((0..100).any(|_| close()));
    }
}
