//! Files around a function: a new project from the template, and what its deployment needs. It
//! writes text; it compiles nothing, calls no platform except through `tccli`, and uses only the
//! digest of an image.
//!
//! Read in this order: [`kind`], [`client`], [`name`], [`project`], [`deploy`].

#![forbid(unsafe_code)]

#[cfg(feature = "projects")]
pub mod client;
pub mod cron;
pub mod deploy;
#[cfg(feature = "projects")]
pub mod kind;
pub mod name;
#[cfg(feature = "projects")]
pub mod project;
