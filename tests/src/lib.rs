//! View from outside: shared by the tests of this package. Programs are built and started as a user
//! would, peers are raw sockets with time-outs, and nothing here uses the server's internals. The
//! tests check docs/CONTRACTS.md.
//!
//! Helpers panic with what they saw: a test has no caller that could handle an error.

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
