//! Shared parts of the benches: clock, choice of cores, description of the machine, statistics,
//! floor program. It measures nothing itself.
//!
//! Read in this order: [`stats`] (pure), [`clock`], [`cores`], [`host`], [`floor`].

#![forbid(unsafe_code)]

pub mod stats;

pub mod clock;
pub mod cores;
pub mod floor;
pub mod host;
