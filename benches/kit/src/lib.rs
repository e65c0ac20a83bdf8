//! Shared parts of the benches: clock, choice of cores, description of the machine, statistics,
//! floor program. It measures nothing itself.
//!
//! Read in this order: [`stats`] (pure), [`clock`], [`cores`], [`host`], [`floor`].

#![forbid(unsafe_code)]

pub mod stats;

#[cfg_attr(not(target_os = "linux"), path = "clock/elsewhere.rs")]
pub mod clock;
#[cfg_attr(not(target_os = "linux"), path = "cores/elsewhere.rs")]
pub mod cores;
pub mod floor;
pub mod host;
