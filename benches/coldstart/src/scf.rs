//! Engine Tencent Cloud SCF, with the user's own credentials: functions are made from an image in
//! the user's registry, called, and deleted. docs/on-the-platform.md describes the cost and the
//! values that cannot be measured.
//!
//! From the lowest layer up: [`line`] (the platform's log lines), [`credentials`], [`refusal`] (its
//! error codes and remedies), [`pace`] (the rate of calls), [`names`] and [`ledger`] (the created
//! resources; nothing else is ever deleted), [`budget`] (the calls and the cost of a run),
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
