//! The smallest event function: it answers any event with a greeting.
//!
//! Try it: `cargo run --example hello_event`, then `curl -d '{}' localhost:9000/event-invoke`.

use firstbyte::App;
use std::process::ExitCode;

fn main() -> ExitCode {
    App::new().event(|_| "Hello, world!").serve()
}
