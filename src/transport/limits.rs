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
    /// Between two bytes of a body: 408. Where the memory allows no more bodies and others wait:
    /// for all that is left of it.
    pub body_timeout: Duration,
    /// Between two bytes that a peer takes of a reply: the connection is cut.
    pub write_timeout: Duration,
    /// Connections open at once. At the cap the longest-idle one makes room; if none is idle, new
    /// ones wait in the backlog.
    pub connections: usize,
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
            connections: 900,
            backlog: 4096,
            drain_timeout: Duration::from_secs(10),
            stack_bytes: 256 * 1024,
            threads: 256,
            background: 16,
        }
    }
}
