//! Helpers of the tests from outside. They build and start programs as a user would; peers are raw
//! sockets with time-outs, and nothing uses the server's internals. The tests check
//! docs/CONTRACTS.md.
//!
//! Helpers panic with the error: a test has no caller that could handle it.

#![forbid(unsafe_code)]

pub mod cgroup;
pub mod corpus;
pub mod events;
pub mod framing;
pub mod layers;
pub mod oracle;
mod patience;
pub mod peer;
pub mod process;
pub mod program;
pub mod refusals;
pub mod reply;
pub mod server;
pub mod service;
pub mod source;

pub use patience::{PATIENCE, eventually};
