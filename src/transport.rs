//! Transport: sockets, coroutines and timers; the HTTP rules come from `wire`.
//!
//! It follows one idea of may_minihttp: one coroutine per connection, written as if it blocked. The
//! published crate is not used (16 headers, no limits, no timeouts, a panic for each bad
//! Content-Length), and neither is its runtime may: here a handler keeps its thread, and lends the
//! event loop while it waits (`handling`). This module serves a [`Service`], and has no App.
//!
//! From the lowest layer up (tests/rooms.rs keeps the order):
//!
//! - `waiting`: what runs on this thread. `coroutine`, `role` (who leads a loop), `worker` (what
//!   other threads see of a thread), `limits`, `listen` (the port), `locks`, `once`, `service`,
//!   `stack_guard` (the boot lane's stack limit), `stopper` (ends the process when its time is
//!   over), `timeline` (when each step of the boot happened), `early` (work while the boot lane
//!   waits)
//! - `pace` (minimum rates), `event_loop`, `lookout` (watches for other connections while the boot
//!   lane's handler waits), `clock`, `panics`, `stop` (signals)
//! - `shift` (a loop's leader and standby), `home`, `threads`
//! - `handling` (a handler's waits), `deadlock`, `current` (the request's id), `loops`
//! - `link` (one socket), `parker`, `futex` (std's waits), `background`, `blocking`, `sleep`,
//!   `readiness` (an outgoing socket's), `records` (the logger), `budget` (memory for bodies)
//! - `slots` (all connections: deadlines, idleness, the cap), `outgoing` (replies), `server` (what
//!   connections share)
//! - `conversing`: a connection that has become a WebSocket
//! - `connection`: request, reply, next
//! - `accept`: which connections are accepted; `runtime`: starts the coroutines
//! - `lane`: one request at a time, without a runtime; `minihttp` (for comparison, on may)
//! - `serve`: from a listening socket to the last reply

mod accept;
mod background;
mod blocking;
mod budget;
mod clock;
mod connection;
#[cfg(feature = "websocket")]
mod conversing;
mod coroutine;
mod current;
mod deadlock;
pub(crate) mod early;
mod event_loop;
mod futex;
mod handling;
mod home;
mod lane;
mod limits;
mod link;
mod listen;
mod locks;
mod lookout;
mod loops;
#[cfg(feature = "minihttp")]
pub(crate) mod minihttp;
mod once;
mod outgoing;
mod pace;
mod panics;
mod parker;
mod readiness;
pub(crate) mod records;
mod role;
mod runtime;
mod serve;
mod server;
mod service;
mod shift;
mod sleep;
mod slots;
mod stack_guard;
mod stop;
mod stopper;
mod threads;
pub(crate) mod timeline;
mod waiting;
mod worker;

pub use background::background;
pub(crate) use background::finish as finish_background;
pub use blocking::blocking;
#[cfg(feature = "websocket")]
pub(crate) use conversing::converse_from_now_on;
pub use limits::{Limits, MinRate};
pub(crate) use listen::listen;
pub(crate) use once::Once;
pub(crate) use panics::catch;
pub(crate) use readiness::wait_for;
pub(crate) use serve::serve;
pub(crate) use service::{Admission, RequestHead, Service};
pub use sleep::sleep;
pub(crate) use stop::replace_std_start_up;
