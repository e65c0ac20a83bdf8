//! The files around a function: a new project from the template, and what its deployment needs. It
//! writes text; it compiles nothing, talks to no platform, and knows no image but by its digest.
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
