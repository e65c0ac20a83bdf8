//! Emulator of the cloud's own API, in front of real instances: SCF 2018-04-16 and CLS's SearchLog,
//! sufficient for Tencent's command line and SDK. It is not a copy: it emulates documented
//! behaviour. Where no document states the behaviour, the emulator chooses one and
//! docs/CONTRACTS.md, section 10, lists it.
//!
//! Read in this order: [`shapes`], [`parameters`], [`error`], [`fault`], [`content`], [`world`],
//! [`line`], [`query`], [`log`], [`fleet`], [`session`], the actions, [`service`], [`door`].

mod account;
mod alias;
mod call;
pub mod clock;
pub mod content;
pub mod door;
pub mod error;
pub mod fault;
pub mod fleet;
mod function;
pub mod line;
pub mod log;
mod namespace;
pub mod parameters;
mod provisioned;
pub mod query;
mod search;
pub mod service;
pub mod session;
mod shapes;
pub mod store;
pub mod timer;
mod trigger;
mod url;
mod version;
pub mod world;
