//! Functions that answer their first request within a millisecond of exec.
//!
//! `firstbyte` is the part that runs in the instance: an HTTP/1.1 server on coroutines, JSON parsed in place, and
//! the contract of platforms that start a container image and send it requests on port 9000 (Tencent Cloud SCF image
//! functions first). The image is made by `microimage`, the cold start measured by `coldstart`; neither is in here.
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
//! The port is bound and listened on by the first system calls of `serve`; coroutines, epoll and timers come up
//! behind it. What a dependency costs in bytes is said on its line in Cargo.toml.
//!
//! Modules in reading order: `app` (what is served), `event`, `request`, `reply`, `context`, `error` (what handlers
//! see), `route`, [`json`], [`wire`] (HTTP as pure functions), `transport` (sockets and coroutines), `boot`, `log`.

#![deny(unsafe_code)] // doors: alloc, log, transport

#[allow(unsafe_code)]
mod alloc;
mod app;
mod body;
mod boot;
mod context;
mod deadline;
mod error;
mod event;
mod headers;
pub mod json;
#[allow(unsafe_code)]
mod log;
pub mod platform;
mod reply;
mod request;
mod route;
mod spare;
pub mod test;
#[allow(unsafe_code)]
mod transport;
pub mod trigger;
pub mod wire;

pub use app::App;
pub use context::{Context, Credentials};
pub use deadline::{Arrival, Deadline};
pub use error::{Error, Result};
pub use event::Event;
pub use reply::{BodyWriter, IntoReply, Json, Reply};
pub use request::{Body, Headers, Request};
pub use transport::{Limits, blocking, sleep};
pub use wire::{HeadLimits, Status, Version};

#[doc(hidden)]
pub use boot::start;

/// Makes an [`App`] the program, without the standard library's start-up: two lines instead of `fn main`, for functions
/// whose first byte counts.
///
/// # Cold start
/// std asks about its standard streams, sets up a signal stack and handlers, and names the main thread before it calls
/// `fn main`: a dozen system calls and several page faults. What a server needs of that is done here. Not done:
/// `std::env::args` is empty, and the main thread has no name.
///
/// # Example
/// ```no_run
/// #![cfg_attr(not(test), no_main)]
/// use firstbyte::{App, Request};
///
/// fn hello(_: Request<'_>) -> &'static str {
///     "hello"
/// }
///
/// firstbyte::main!(App::new().web(hello));
/// ```
#[macro_export]
macro_rules! main {
    ($app:expr) => {
        #[cfg(not(test))] // the test harness has a main of its own
        #[unsafe(no_mangle)]
        extern "C" fn main(_: ::core::ffi::c_int, _: *const *const ::core::ffi::c_char) -> ::core::ffi::c_int {
            $crate::start(|| $app)
        }

        #[cfg(test)]
        #[allow(dead_code)]
        fn main() -> ::std::process::ExitCode {
            $crate::App::serve($app)
        }
    };
}

/// The README's function compiles and is the one on the first screen.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
