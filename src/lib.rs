//! Functions that answer their first request within a millisecond of exec.
//!
//! `firstbyte` is the part that runs in the instance: an HTTP/1.1 server on coroutines, JSON parsed
//! in place, and the contract of platforms that start a container image and send it requests on
//! port 9000 (Tencent Cloud SCF image functions first). The image is made by `microimage`, the cold
//! start measured by `coldstart`; neither is in here.
//!
//! ```no_run
//! use firstbyte::{App, Event, Json, Result};
//!
//! #[derive(serde::Deserialize)]
//! struct Greeting<'a> {
//!     name: &'a str,
//! }
//!
//! fn hello(event: Event<'_>) -> Result<Json<String>> {
//!     let greeting: Greeting = event.json()?;
//!     Ok(Json(format!("Hello, {}!", greeting.name)))
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     App::new().event(hello).serve()
//! }
//! ```
//!
//! # Cold start
//! The port is bound and listened on by the first system calls of `serve`; coroutines, epoll and
//! timers come up behind it. Cargo.toml records the reason for each dependency.
//!
//! Modules in reading order: `app` (what is served), `handler`, `event`, `request` with `headers`
//! and `body`, `reply`, `context`, `deadline`, `error` (what handlers see), `route`, `asked` and
//! `around` (what stands around all of them) with `cors` and `access_log`, [`json`],
//! [`wire`] (HTTP as pure functions), [`platform`] and [`trigger`] (who sends what), `transport`
//! (sockets and coroutines), [`net`] (connections to others), `boot`, `alloc`, `spare`, `log`,
//! `sys`, [`mod@test`]. ARCHITECTURE.md
//! has them as a stack: which may import which.

#![deny(unsafe_code)] // doors: alloc, boot, log, net, sys, transport

mod access_log;
#[allow(unsafe_code)]
mod alloc;
mod app;
mod around;
mod asked;
mod body;
mod boot;
mod context;
#[cfg(feature = "websocket")]
mod conversation;
mod cors;
mod deadline;
mod error;
mod event;
mod handler;
mod headers;
pub mod json;
mod json_string;
#[allow(unsafe_code)]
mod log;
#[allow(unsafe_code)]
pub mod net;
pub mod platform;
mod reply;
mod request;
mod route;
mod secret;
mod spare;
mod stopping;
#[allow(unsafe_code)]
#[cfg_attr(not(target_os = "linux"), path = "sys/elsewhere.rs")]
mod sys;
pub mod test;
#[allow(unsafe_code)]
#[cfg_attr(any(not(target_os = "linux"), firstbyte_portable), path = "portable.rs")]
mod transport;
pub mod trigger;
#[cfg(feature = "websocket")]
mod websocket;
pub mod wire;

pub use access_log::AccessLog;
pub use app::{App, Init};
pub use around::Around;
pub use asked::Asked;
pub use body::Body;
pub use context::{Context, Credentials};
#[cfg(feature = "websocket")]
pub use conversation::{Conversation, Ended, Message, Sender, Socket, Undelivered};
pub use cors::Cors;
pub use deadline::{Arrival, Deadline};
pub use error::{Error, Result};
pub use event::Event;
pub use headers::Headers;
pub use reply::{BodyWriter, IntoReply, Json, Reply};
pub use request::Request;
pub use stopping::stopping;
pub use transport::{Limits, MinRate, background, blocking, sleep};
#[cfg(feature = "websocket")]
pub use websocket::WebSocket;
pub use wire::{HeadLimits, Status, Version};

#[doc(hidden)]
pub use boot::start;

/// The README's function compiles and is the one on the first screen.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The page's blocks compile, and what they assert holds.
#[cfg(doctest)]
#[doc = include_str!("../docs/migrating.md")]
struct Migrating;

/// The same for the page from Python.
#[cfg(doctest)]
#[doc = include_str!("../docs/migrating-from-python.md")]
struct MigratingFromPython;
