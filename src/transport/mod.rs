//! The only door to may: sockets, coroutines and timers, with HTTP rules taken from `wire`.
//!
//! The published may_minihttp is not under it (16 headers, no limits, no timeouts, a panic per bad
//! Content-Length); its idea is: one coroutine a connection, written as if it blocked. What this
//! room owns: [`listen`] (the port), [`lane`] (the first request, without a runtime), [`accept`]
//! (who gets in), [`connection`] (request, reply, next), [`link`] (one socket), [`slots`] (all
//! connections: deadlines, idleness, the cap), [`stop`] (SIGTERM), [`timeline`] (when the boot
//! reached what). It knows a [`Service`], and no App.

mod accept;
mod blocking;
mod budget;
mod clock;
mod connection;
mod current;
mod lane;
mod link;
mod listen;
#[cfg(feature = "minihttp")]
pub(crate) mod minihttp;
mod once;
mod outgoing;
mod panics;
mod sleep;
mod slots;
mod stop;
pub(crate) mod timeline;

pub(crate) use accept::serve;
pub use blocking::blocking;
pub(crate) use clock::monotonic_ns;
pub(crate) use current::{set_request_id, with_request_id};
pub(crate) use link::retry;
pub(crate) use listen::listen;
pub(crate) use once::Once;
pub(crate) use panics::catch;
pub use sleep::sleep;
pub(crate) use stop::replace_std_start_up;

use crate::error::{Error, Result};
use crate::reply::Reply;
use crate::request::{Headers, Request};
use crate::wire::{Head, HeadLimits};
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
    /// Memory that a body of JSON may take while it is handled, in times its size. With the memory
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
    /// What is in flight at SIGTERM has this long to finish.
    pub drain_timeout: Duration,
    /// Size of a coroutine's stack, in bytes. Only what is used is memory.
    pub stack_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            head: HeadLimits::default(),
            body_bytes: 6 * 1024 * 1024,
            json_factor: 44,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            connections: 900,
            backlog: 4096,
            drain_timeout: Duration::from_secs(10),
            stack_bytes: 256 * 1024,
        }
    }
}

/// What is served. Implemented by App; replaceable in tests.
pub(crate) trait Service: Send + Sync + 'static {
    /// Decides on a request by its head, before any of its body is read.
    fn admit(&self, head: &RequestHead<'_>) -> Result<Admission>;
    /// Answers a complete request. Must not panic.
    fn call(&self, request: Request<'_>) -> Reply;
    /// Makes the reply to a request that is refused; `head` is there if it was understood.
    fn refuse(&self, error: &Error, head: Option<&RequestHead<'_>>) -> Reply;
}

/// Leave to read a body.
pub(crate) struct Admission {
    pub body_bytes: usize,
}

/// A head with the bytes it points into.
pub(crate) struct RequestHead<'a> {
    pub head: &'a Head,
    pub bytes: &'a [u8],
}

impl<'a> RequestHead<'a> {
    pub(crate) fn headers(&self) -> Headers<'a> {
        Headers::new(self.bytes, &self.head.fields)
    }
}
