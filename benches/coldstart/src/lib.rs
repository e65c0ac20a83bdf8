//! coldstart: where the time of a container's cold start goes, phase by phase, for any image.
//!
//! definition → run → record (with the machine) → compare → draw. Measuring never draws; drawing
//! reads results.json only. It measures from outside, as a platform would, and depends on no
//! function framework. docs/CONTRACTS.md, section 5, defines what is measured and the flags.
//!
//! Read in this order: [`results`] (what a run gives), [`link`] and [`pipe`] (what a
//! modelled network does), [`relay`] and [`registry`] and [`pull`] (how bytes get here),
//! [`request`], [`reply`] and [`probe`] (when an instance is ready), [`engine`], [`run`].

#![forbid(unsafe_code)]

pub mod phase;
pub mod results;

pub mod link;
pub mod pipe;

pub mod pull;
pub mod registry;
pub mod relay;

pub mod probe;
pub mod reply;
pub mod request;

pub mod engine;
pub mod failure;
pub mod run;

pub mod import;
pub mod scf;

pub mod burst;
pub mod compare;
pub mod guidance;

pub mod export;
pub mod plan;
pub mod plot;
pub mod report;
pub mod table;
pub mod units;

pub mod baselines;
pub mod floor;
pub mod owner;
pub mod work;
