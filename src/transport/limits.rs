//! Limits: the most that the server does for its peers.

use crate::body::SYNCHRONOUS_BYTES;
use crate::wire::HeadLimits;
use std::time::{Duration, Instant};

/// Limits on what peers can make the server do. Each excess has its status (docs/CONTRACTS.md,
/// section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest request line (414) and header section (431).
    pub head: HeadLimits,
    /// Largest body, in bytes: 413. 6 MiB is the platform's own limit for a synchronous event. If
    /// the instance's memory cgroup cannot hold the worst JSON of that size, the limit is lower.
    pub body_bytes: usize,
    /// Memory that a JSON body may take while it is handled, as a multiple of the body's size.
    /// Together with the memory cgroup's limit it decides how large a body, and how many bodies,
    /// are accepted. The default fits this crate's own types: peaks of 4 MiB in their worst shape
    /// were 17 (`Document`, numbers in a `Vec`), 29 (`[1,1,…]` as `trigger::Value`) and 42 times
    /// (`[{"a":1},…]` as that). A function that makes a `serde_json::Value` of bodies from
    /// strangers sets 96.
    pub json_factor: usize,
    /// Longest time from a request's first byte to the end of its head: 408.
    pub head_timeout: Duration,
    /// Longest wait between two bytes of a body, if the peer was quick before: 408. If the memory
    /// is full and other bodies wait, it is the limit for the whole rest of the body.
    pub body_timeout: Duration,
    /// Longest wait between two bytes that a peer takes of a reply, if it was quick before: the
    /// connection is cut.
    pub write_timeout: Duration,
    /// Minimum rate of a peer that sends a head: 408.
    pub head_rate: MinRate,
    /// Minimum rate of a peer that sends a body, chunk extensions and trailers included: 408.
    pub body_rate: MinRate,
    /// Minimum rate of the reader of a reply: the connection is cut.
    pub reply_rate: MinRate,
    /// Largest number of open connections. At this number a new connection takes the slot of the
    /// one that has been unused longest: idle, or behind its minimum rate. If there is none, new
    /// ones wait in the backlog.
    pub connections: usize,
    /// Largest number of connections that linger: they have had their last reply, and stay open
    /// only until the peer has read it. One more closes the oldest of them. They do not count as
    /// `connections`.
    pub lingering: usize,
    /// Largest number of connections that the kernel keeps until they are accepted.
    pub backlog: u32,
    /// Time that work in flight has to finish after SIGTERM, background work included. What has not
    /// finished is named in the log, and the exit code is 1. If there is a stop hook
    /// ([`App::on_stop`](crate::App::on_stop)), the last quarter is reserved for it.
    pub drain_timeout: Duration,
    /// Size of a coroutine's stack, in bytes. Only used pages take memory.
    pub stack_bytes: usize,
    /// Largest number of threads. A handler that waits (in `blocking` or `sleep`, for a lock, for a
    /// slow reader of a stream) holds one. If all are held, the next handler that waits blocks its
    /// event loop until another ends. The platform sends an instance at most 100 requests at a
    /// time. Threads are made on demand, and end after ten seconds without work.
    pub threads: usize,
    /// Largest number of pieces of background work at once ([`background`](crate::background())).
    /// Each has a thread of its own, apart from `threads`: so background work that never ends takes
    /// no handler's thread, and a burst of requests cannot stop background work.
    pub background: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            head: HeadLimits::default(),
            body_bytes: SYNCHRONOUS_BYTES,
            json_factor: 44,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            head_rate: MinRate::default(),
            body_rate: MinRate::default(),
            reply_rate: MinRate::default(),
            connections: 900,
            lingering: 64,
            backlog: 4096,
            drain_timeout: Duration::from_secs(10),
            stack_bytes: 256 * 1024,
            threads: 256,
            background: 16,
        }
    }
}

/// Time that is `limit` from now; a century at most, because no clock counts as far as a
/// [`Duration`].
pub(super) fn time_after(limit: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    Instant::now() + limit.min(CENTURY)
}

/// Minimum rate of a peer, averaged over a message; a slower peer loses its slot.
///
/// Only time in which the server waits for the peer counts: not the handler's time, and not the
/// wait for memory. A peer that was quick before may pause for [`Limits::body_timeout`] or
/// [`Limits::write_timeout`].
///
/// # Example
/// ```
/// use firstbyte::{Limits, MinRate};
/// use std::time::Duration;
///
/// let default = Limits::default().body_rate;
/// assert_eq!((default.bytes_per_second, default.grace), (240, Duration::from_secs(5)));
/// let patient = Limits { body_rate: MinRate::NONE, ..Limits::default() };
/// assert_eq!(patient.body_rate.bytes_per_second, 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinRate {
    /// Bytes per second; 0: no minimum.
    pub bytes_per_second: u32,
    /// Time before the rate counts. At the largest number of connections, while another connection
    /// waits for the slot, it is 0.2 seconds.
    pub grace: Duration,
}

impl MinRate {
    /// No minimum: only the time-outs count, and a slow peer never loses its slot to another. A
    /// reader then holds the memory of its reply until it has read nothing for
    /// [`Limits::write_timeout`].
    pub const NONE: MinRate = MinRate { bytes_per_second: 0, grace: Duration::ZERO };
}

impl Default for MinRate {
    /// 240 bytes per second after 5 seconds, Kestrel's default.
    fn default() -> MinRate {
        MinRate { bytes_per_second: 240, grace: Duration::from_secs(5) }
    }
}
