//! What all benches share: the clock, the choice of cores, the description of the machine, the
//! statistics and the floor program. It measures nothing itself and knows no bench.
//!
//! Read in this order: [`stats`] (pure), [`clock`], [`cores`], [`host`], [`floor`].

#![forbid(unsafe_code)]

pub mod stats;

pub mod clock;
pub mod cores;
pub mod floor;
pub mod host;
