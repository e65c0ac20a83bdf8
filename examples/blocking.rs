//! Blocking work: it runs while other requests are served.
//!
//! `cargo run --example blocking`, then GET /slow?ms=2000 in one terminal and GET /quick in
//! another.

use firstbyte::{App, Request, Result, blocking, sleep};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    App::new()
        .route("GET", "/slow", slow)
        .route("GET", "/patient", patient)
        .route("GET", "/quick", |_| "quick")
        .serve()
}

/// A call that blocks its thread: a file, a name look-up, a database driver, a long computation.
fn slow(request: Request<'_>) -> Result<String> {
    let pause = milliseconds(&request);
    let file = blocking(|| {
        std::thread::sleep(pause); // in place of a driver's work
        std::fs::read_to_string("/proc/self/comm")
    })?;
    Ok(format!("{} took {} ms", file.trim_end(), pause.as_millis()))
}

/// To wait only, `firstbyte::sleep` is sufficient.
fn patient(request: Request<'_>) -> &'static str {
    sleep(milliseconds(&request));
    "patient"
}

fn milliseconds(request: &Request<'_>) -> Duration {
    Duration::from_millis(
        request.query_param("ms").and_then(|text| text.parse().ok()).unwrap_or(100),
    )
}
