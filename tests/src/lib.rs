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
pub mod peer;
pub mod process;
pub mod program;
pub mod reply;
pub mod server;
pub mod source;

/// How long a test waits for what should happen at once, before it says that it did not.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// Waits until `is_so`, looking often; panics with `what` after [`PATIENCE`]. For states of the
/// kernel (a process's memory, its descriptors) that send no signal when they change.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "never came true: {what}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
