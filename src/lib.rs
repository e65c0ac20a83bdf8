//! HTTP function server for cold starts: a program that answers its first request within a
//! millisecond of `exec`.
//!
//! `firstbyte` is the part that runs inside the instance. It is made for platforms that start a
//! container image and send requests to port 9000, Tencent Cloud SCF image functions first; the
//! same binary runs on the platforms listed in [`platform::Platform`]. Two other programs of the
//! project do the work around it: `microimage` builds the image, and `coldstart` measures cold
//! starts. Neither is part of this crate.
//!
//! # Why use it
//! - **The port opens first.** `socket`, `bind` and `listen` are among the first system calls of
//!   the process, so the platform's first request is in the queue while the rest starts. The
//!   first request is answered on the main thread, before any runtime, timer, thread or allocator
//!   is set up.
//! - **Handlers are ordinary blocking code.** A handler may call any blocking crate. While it
//!   waits, another thread serves the other requests; there is no `async` in the API.
//! - **Hostile peers are expected.** Every size, count and wait has a limit ([`Limits`]) with its
//!   status code, and HTTP/1.1 is parsed strictly ([`wire`]).
//! - **The platform's contract is built in.** Event paths, headers, hooks and the way to signal a
//!   failure are tables with their sources ([`platform`]); trigger events are types ([`trigger`]).
//! - **Unused parts are not linked.** An image with one event handler contains no router, no CORS
//!   and no WebSocket code.
//!
//! # Examples
//! A function that answers JSON events. This is a whole program:
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
//! **1. Test a handler without a server.** The [`mod@test`] module calls a handler or an App in
//! memory. An event that does not fit the type is answered with 400:
//!
//! ```
//! use firstbyte::{App, Event, Json, Result, test};
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
//! let app = App::new().event(hello);
//! assert_eq!(test::event(r#"{"name":"Ann"}"#).send(&app).text(), r#""Hello, Ann!""#);
//! let reply = test::event(r#"{"name":7}"#).send(&app);
//! assert_eq!(reply.status().code(), 400);
//! assert!(reply.text().contains("expected a string"));
//! ```
//!
//! **2. Answer HTTP requests by path.** A web function has routes, and a handler for all other
//! paths:
//!
//! ```
//! use firstbyte::{App, Request, Result, test};
//!
//! fn double(request: Request<'_>) -> Result<String> {
//!     let number: u32 = request.parsed_param("n")?;
//!     Ok((u64::from(number) * 2).to_string())
//! }
//!
//! let app = App::new().get("/double/{n}", double).web(|_| "see /double/{n}");
//! assert_eq!(test::get("/double/21").send(&app).text(), "42");
//! assert_eq!(test::get("/double/x").send(&app).status().code(), 400);
//! assert_eq!(test::post("/double/21", "").send(&app).status().code(), 405);
//! assert_eq!(test::get("/").send(&app).text(), "see /double/{n}");
//! ```
//!
//! **3. Read a trigger's event.** The types of [`trigger`] borrow from the event's bytes:
//!
//! ```
//! use firstbyte::trigger::timer::Timer;
//! use firstbyte::{App, Event, Result, test};
//!
//! fn tick(event: Event<'_>) -> Result<String> {
//!     let timer: Timer<'_> = event.json()?;
//!     Ok(format!("{} was due at {}", timer.trigger_name, timer.time))
//! }
//!
//! let event = r#"{"Type":"Timer","TriggerName":"EveryDay","Time":"2019-02-21T11:49:00Z"}"#;
//! let reply = test::event(event).send(&App::new().event(tick));
//! assert_eq!(reply.text(), "EveryDay was due at 2019-02-21T11:49:00Z");
//! ```
//!
//! **4. Initialise once.** [`Init`] chooses between the platform's start-up deadline and the first
//! request's time-out:
//!
//! ```
//! use firstbyte::{App, Init, Result, test};
//! use std::sync::OnceLock;
//!
//! static PRICES: OnceLock<Vec<u32>> = OnceLock::new();
//!
//! fn load() -> Result<()> {
//!     PRICES.get_or_init(|| vec![5, 7, 9]); // in practice: read from a file or a database
//!     Ok(())
//! }
//!
//! let app = App::new()
//!     .init(Init::FirstRequest, load)
//!     .web(|_| PRICES.get().map_or(0, |prices| prices.iter().sum()).to_string());
//! assert_eq!(test::get("/").send(&app).text(), "21");
//! ```
//!
//! **5. Choose who reads an error.** `?` turns any error into a 500: its text goes to the log, and
//! the Web client gets the request id. A message for the client is written as one:
//!
//! ```
//! use firstbyte::{App, Error, Request, Result, Status, test};
//!
//! fn read(request: Request<'_>) -> Result<String> {
//!     match request.path() {
//!         "/missing" => Err(Error::peer(Status::NOT_FOUND, "no such report")),
//!         _ => Ok(std::fs::read_to_string("/nowhere/report.txt")?),
//!     }
//! }
//!
//! let app = App::new().web(read);
//! let missing = test::get("/missing").send(&app);
//! assert_eq!(missing.status().code(), 404);
//! assert!(missing.text().contains("no such report"));
//! let failed = test::get("/report").send(&app);
//! assert_eq!(failed.status().code(), 500);
//! assert!(!failed.text().contains("No such file"));
//! ```
//!
//! Connections to other servers (pools, deadlines, names) are in [`net`], with their own examples.
//!
//! # Cold start
//! The program pays for each part that it links and for each page that it touches. Every item
//! whose use has a price names it under this heading. Cargo.toml records the reason and the size of
//! each dependency.
//!
//! # Reading order
//! `app` (what is served), `handler`, `event`, `request` with `headers` and `body`, `reply`,
//! `context`, `deadline`, `error` (what handlers see), `route`, `asked` and `around` (code that
//! runs around every request) with `cors` and `access_log`, [`json`], [`wire`] (HTTP as pure
//! functions), [`platform`] and [`trigger`] (which platform sends what), `transport` (sockets and
//! coroutines), [`net`] (outgoing connections), `boot`, `alloc`, `spare`, `log`, `sys`,
//! [`mod@test`]. ARCHITECTURE.md shows which module may import which.

#![deny(unsafe_code)] // allowed in: alloc, boot, log, net, sys, transport

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
#[cfg(feature = "websocket")]
mod handshake;
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

/// Compiles the README's first function.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Runs the code blocks of docs/migrating.md.
#[cfg(doctest)]
#[doc = include_str!("../docs/migrating.md")]
struct Migrating;

/// Runs the code blocks of docs/migrating-from-python.md.
#[cfg(doctest)]
#[doc = include_str!("../docs/migrating-from-python.md")]
struct MigratingFromPython;
