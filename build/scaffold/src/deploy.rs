//! Deployment: function.toml and the image's digest become the platform's requests and examples for
//! other tools; `tccli` sends the requests. Everything except [`tccli`] and the reading of files is
//! pure.
//!
//! Read in this order: [`function`] (function.toml, read by [`reader`]), [`trigger`] (its triggers)
//! and [`difference`] (which of them exist), [`image`] (the deployed image), [`registry`] (its
//! registry), [`verdict`] (the bench's results), [`request`] (SCF's API, 2018-04-16), [`plan`] (all
//! of these together), [`example`] (other tools), [`artefacts`] (the files), [`tccli`].

pub mod artefacts;
pub mod difference;
pub mod example;
pub mod function;
pub mod image;
pub mod plan;
pub mod reader;
pub mod registry;
pub mod request;
pub mod tccli;
pub mod trigger;
pub mod verdict;
