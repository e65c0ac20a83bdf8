//! Tests of the functions of examples/ that are packages of their own, over a socket, with good and
//! bad input. calls.rs tests those that call out.

#[path = "examples/cookies.rs"]
mod cookies;
#[path = "examples/multipart.rs"]
mod multipart;
#[path = "../examples/tracing/src/trace.rs"]
mod trace;
#[path = "examples/tracing.rs"]
mod tracing;
