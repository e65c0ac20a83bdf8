//! Commands of firstbyte, except `new`. They print nothing themselves.

pub mod api;
pub mod function;
pub mod invoke;
pub mod run;
