//! Capacity planning (`coldstart plan`): from measured cold starts, arrivals and the platform's
//! rules it computes the share of requests that meet a cold start, their latency, the number of
//! provisioned instances that a target needs, and their cost. It is a discrete-event simulation,
//! exact for each event, with a seed.
//!
//! Read in this order: [`random`], [`duration`] and [`distribution`] (numbers), [`erlang`] (closed
//! forms to test against), [`histogram`], [`events`], [`limiter`], [`provision`] and [`cold`]
//! (the parts), [`pool`] (the instances of one function: the core), [`arrivals`] and [`trace`],
//! [`tally`], [`fleet`] (the functions of a region), [`simulate`] (one scenario), [`rules`] and
//! [`bill`] (the platforms), [`estimate`], [`target`] and [`search`], [`measured`], [`sweep`] (all
//! scenarios), [`document`] (plan.json), [`answer`] (the terminal). No file here reads a clock or
//! the network.

pub mod answer;
pub mod arrivals;
pub mod bill;
pub mod cold;
pub mod distribution;
pub mod document;
pub mod duration;
pub mod erlang;
pub mod estimate;
pub mod events;
pub mod fleet;
pub mod histogram;
pub mod limiter;
pub mod measured;
pub mod pool;
pub mod provision;
pub mod random;
pub mod rules;
pub mod search;
pub mod simulate;
pub mod sizing;
pub mod sweep;
pub mod tally;
pub mod target;
pub mod trace;
