//! Engine Tencent Cloud SCF, with the user's own credentials: functions are made from an image in
//! the user's registry, called, and deleted. docs/on-the-platform.md describes the cost and what
//! cannot be known.
//!
//! From the lowest layer up: [`line`] (the platform's log lines), [`credentials`], [`refusal`] (its
//! error codes and what to do), [`pace`] (the rate of calls), [`names`] and [`ledger`] (what was
//! made; nothing else is ever deleted), [`budget`] (what a run may call and cost),
//! [`client`] (signed requests), [`account`] (the calls), [`logs`], [`layer`] (an image with a
//! nonce), [`cleaning`], [`measure`].

pub mod account;
pub mod budget;
pub mod cleaning;
pub mod client;
pub mod credentials;
pub mod layer;
pub mod ledger;
pub mod line;
pub mod logs;
pub mod measure;
pub mod names;
pub mod pace;
pub mod refusal;
