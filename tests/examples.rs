//! The functions of examples/ that are packages of their own, over a socket, with good and bad
//! input. Those that call out are in calls.rs.

#[path = "examples/cookies.rs"]
mod cookies;
#[path = "examples/multipart.rs"]
mod multipart;
#[path = "../examples/tracing/src/trace.rs"]
mod trace;
#[path = "examples/tracing.rs"]
mod tracing;
