//! Tencent Cloud SCF itself, measured with the user's own credentials: functions of our own are
//! made from an image in the user's registry, called, and deleted. docs/on-the-platform.md says
//! what that costs and what it cannot know.
//!
//! From the ground up: [`line`] (what the platform's log says), [`credentials`], [`refusal`] (its
//! error codes and what to do), [`pace`] (how fast a run may ask), [`names`] and [`ledger`] (what
//! was made, and that nothing else is ever deleted), [`budget`] (what a run may call and cost),
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
