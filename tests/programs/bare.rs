//! Function with `firstbyte::main!` in place of std's start-up, like the template's. It tests the
//! parts that replace std's: stacks that overflow on each kind of thread, log records with the
//! request's id, blocking work. The echo example has `fn main` instead.

#![no_main]

use firstbyte::{App, Error, Event, Request, Result, blocking};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

firstbyte::main!(
    App::new()
        .event(depth)
        .route("GET", "/overflow", |_| format!("{}", recurse(u64::MAX)))
        .route("GET", "/blocking-overflow", |_| format!("{}", blocking(|| recurse(u64::MAX))))
        .route("GET", "/blocking", sleeps)
        .route("GET", "/blocking-panic", |_| blocking(|| -> &'static str {
            panic!("in a blocking thread")
        }))
        .route("GET", "/log", logs)
        .route("GET", "/fails", |_| -> Result<&'static str> { Err(Error::new("on purpose")) })
        .web(|_| "bare")
);

/// A type whose parser has deep frames: an enum, a map, a list, a boxed struct with an array.
#[derive(Deserialize)]
#[allow(dead_code)] // read by serde only
enum Deep {
    Number(f64),
    Struct(Box<Node>),
    Map(BTreeMap<String, Deep>),
    List(Vec<Deep>),
}

#[derive(Deserialize)]
#[allow(dead_code)] // read by serde only
struct Node {
    node: Option<Box<Node>>,
    deep: Option<Deep>,
    name: Option<String>,
    parts: Option<[u64; 16]>,
}

fn depth(event: Event<'_>) -> Result<&'static str> {
    event.json::<Node>()?;
    Ok("deep")
}

/// Blocks its thread for the requested time.
fn sleeps(request: Request<'_>) -> String {
    let pause = Duration::from_millis(
        request.query_param("ms").and_then(|text| text.parse().ok()).unwrap_or(0),
    );
    blocking(|| std::thread::sleep(pause));
    "slept".to_owned()
}

/// Writes one record in the handler, and one on the thread of its blocking work.
fn logs(request: Request<'_>) -> &'static str {
    let what = request.query_param("what").unwrap_or_default().into_owned();
    log::info!("handler {what}");
    log::debug!("details of {what}");
    blocking(|| log::warn!("thread {what}"));
    "logged"
}

/// Recurses without end; its frames differ, so that the compiler cannot make a loop.
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    if depth == 0 {
        frame[0]
    } else {
        recurse(depth - 1).wrapping_add(frame[(depth % 64) as usize])
    }
}
