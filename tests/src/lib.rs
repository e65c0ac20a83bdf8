//! The outside view: what the tests of this package share. Programs are built and started as a user
//! would, peers are raw sockets with time-outs, and nothing here knows how the server works inside.
//! docs/CONTRACTS.md is what the tests hold it to.
//!
//! Helpers panic with what they saw: a test has nobody to hand an error to.

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
pub mod reply;
pub mod server;
pub mod service;
pub mod source;

pub use patience::{PATIENCE, eventually};
