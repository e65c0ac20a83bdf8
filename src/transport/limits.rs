//! Limits: what the server does for its peers at most.

use crate::body::SYNCHRONOUS_BYTES;
use crate::wire::HeadLimits;
use std::time::Duration;

/// What the server does for its peers at most. Each excess has its status (docs/CONTRACTS.md,
/// section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Request line and fields: 414, 431.
    pub head: HeadLimits,
    /// Size of a body, in bytes: 413. 6 MiB is the platform's own limit for a synchronous event;
    /// where the instance's memory cgroup does not allow the worst JSON of that size, less is
    /// taken.
    pub body_bytes: usize,
    /// Memory that a body of JSON may take while it is handled, as a multiple of the
    /// body's size. With the memory
    /// cgroup's limit it says how large a body and how many of them are taken. The default is for
    /// this crate's own types: peaks of 4 MiB in their worst shape were 17 (`Document`, numbers in
    /// a `Vec`), 29 (`[1,1,…]` as `trigger::Value`) and 42 times (`[{"a":1},…]` as that). A
    /// function that makes a `serde_json::Value` of what strangers send sets 96.
    pub json_factor: usize,
    /// From a request's first byte to the end of its head: 408.
    pub head_timeout: Duration,
    /// Between two bytes of a body, of a peer that was quick before: 408. Where the memory allows
    /// no more bodies and others wait: for all that is left of it.
    pub body_timeout: Duration,
    /// Between two bytes that a peer takes of a reply, if it was quick before: the connection is
    /// cut.
    pub write_timeout: Duration,
    /// What a peer that sends a head must reach: 408.
    pub head_rate: MinRate,
    /// What a peer that sends a body must reach, chunk extensions and trailers included: 408.
    pub body_rate: MinRate,
    /// What the reader of a reply must reach: the connection is cut.
    pub reply_rate: MinRate,
    /// Connections open at once. At the cap the one makes room that has kept its place longest for
    /// nothing: idle, or behind its minimum rate. If there is none, new ones wait in the backlog.
    pub connections: usize,
    /// Connections that have had their last reply and are only kept until the peer has read it, at
    /// most: one more, and the oldest of them is closed. They hold none of the places of
    /// `connections`.
    pub lingering: usize,
    /// Connections that the kernel keeps until they are accepted.
    pub backlog: u32,
    /// What is in flight at SIGTERM has this long to finish, background work included; what has
    /// not is named in the log, and the exit code is 1. Where there is a stop hook
    /// ([`App::on_stop`](crate::App::on_stop)), the last quarter is its own.
    pub drain_timeout: Duration,
    /// Size of a coroutine's stack, in bytes. Only what is used is memory.
    pub stack_bytes: usize,
    /// Threads at most. A handler that waits (in `blocking` or `sleep`, for a lock, for a slow
    /// reader of a stream) holds one; where all are held, the next one that waits holds its worker
    /// up until another ends. The platform sends an instance 100 requests at a time at most.
    /// Threads are made when they are needed, and end when they have had nothing to do for ten
    /// seconds.
    pub threads: usize,
    /// Pieces of background work at once ([`background`](crate::background())), each on a thread of
    /// its own besides those. One that does not end costs no handler its thread, and a burst of
    /// requests no background work.
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

/// The rate below which a peer that is waited for gives up its place, on average over a message.
///
/// Only time in which the server waits for the peer counts: not a handler's, and not the wait for
/// memory. A peer that was quick may pause, for as long as [`Limits::body_timeout`] or
/// [`Limits::write_timeout`] says.
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
    /// Bytes a second; 0: no minimum.
    pub bytes_per_second: u32,
    /// Time that a peer has before the rate counts. At the connection cap, where somebody else
    /// waits for the place, it has 0.2 seconds.
    pub grace: Duration,
}

impl MinRate {
    /// No minimum: only the time-outs count, and a slow peer makes room for nobody.
    pub const NONE: MinRate = MinRate { bytes_per_second: 0, grace: Duration::ZERO };
}

impl Default for MinRate {
    /// 240 bytes a second after 5 seconds, as Kestrel has it.
    fn default() -> MinRate {
        MinRate { bytes_per_second: 240, grace: Duration::from_secs(5) }
    }
}
