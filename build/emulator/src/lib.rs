//! Emulator of the platform in front of a running function: Tencent Cloud SCF's image functions as
//! their documents describe them, on one machine. It starts instances, sends them requests with the
//! platform's headers, ends them when they are too slow, too big or idle, and writes the platform's
//! log lines. It is not a copy of the cloud. Where no document states the behaviour, [`verdict`]
//! chooses one, with a comment.
//!
//! Read in this order: [`config`], [`settings`], [`frames`], [`verdict`], [`wire`], [`program`],
//! [`instance`], [`pool`], [`invocation`], [`invoker`], [`journal`], [`queue`], [`platform`],
//! [`front`], [`watch`], [`sample`]. `relay` passes a WebSocket on.
//!
//! # Example
//! Run a program on the emulated platform; `helper` is an executable that starts the sandbox's
//! helper (the binary `firstbyte` does).
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use emulator::{config::Config, front::Front, instance::Host, journal::Journal};
//! use emulator::{platform::Platform, program::Source};
//! use std::sync::Arc;
//!
//! let journal = Arc::new(Journal::new(Box::new(std::io::stdout()), Box::new(std::io::stderr())));
//! let host = Host::new("/proc/self/exe".as_ref(), true, None, journal.clone())?;
//! let program = Source::Elf("target/function".into()).prepare()?;
//! let platform = Platform::new(Config::default(), host, program, journal)?;
//! let front = Front::open("127.0.0.1:9001".parse()?, platform.clone())?;
//! println!("POST your events to http://{}", front.address());
//! # Ok(()) }
//! ```

#![forbid(unsafe_code)]

pub mod api;
pub mod burst;
pub mod config;
pub mod fields;
pub mod frames;
pub mod front;
pub mod instance;
pub mod invocation;
pub mod invoker;
pub mod journal;
mod output;
pub mod platform;
pub mod pool;
pub mod program;
pub mod queue;
mod relay;
pub mod sample;
pub mod settings;
pub mod start_up;
mod sync;
pub mod verdict;
pub mod watch;
pub mod wire;

// A deployment and the emulator use the same port.
const _: () = assert!(scaffold::deploy::request::IMAGE_PORT == microimage::scf::PORT);
