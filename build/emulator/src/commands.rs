//! What the command line's commands do, but for `new`. They print nothing themselves.

pub mod api;
pub mod function;
pub mod invoke;
pub mod run;
