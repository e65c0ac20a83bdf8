//! Function server with limits that a test can reach quickly. Limits are `name=number` arguments,
//! times in milliseconds (2^64 - 1: `Duration::MAX`), sizes in bytes; an unknown name ends the
//! program with status 2. The echo example serves with the defaults of docs/CONTRACTS.md instead.

use firstbyte::{App, Error, Limits, Reply, Request, Result, Status};
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let mut limits = Limits::default();
    let mut workers = 1;
    for argument in std::env::args().skip(1) {
        if set(&mut limits, &mut workers, &argument).is_none() {
            eprintln!("short_limits: unknown limit `{argument}`; see programs/short_limits.rs");
            return ExitCode::from(2);
        }
    }
    App::new()
        .event(|event: firstbyte::Event<'_>| Reply::json(&event.document()?))
        .route("GET", "/sleep", sleep)
        .route("GET", "/stream", stream)
        .route("GET", "/stream-fails", stream_fails)
        .route("GET", "/empty", |_| Reply::empty())
        .route("GET", "/authority", |request: Request<'_>| {
            request.authority().unwrap_or("none").to_owned()
        })
        .route("GET", "/fails", |_| -> Result<Reply> { Err(Error::new("on purpose")) })
        .route("GET", "/overflow", |_| format!("{}", recurse(u64::MAX)))
        .route("GET", "/reply", |request: Request<'_>| {
            Reply::bytes("text/plain", vec![b'x'; number(&request, "bytes")])
        })
        .web(|request: Request<'_>| {
            format!("{} {} {}", request.method(), request.path(), request.body().len())
        })
        .limits(limits)
        .workers(workers)
        .error_status(Status::BAD_GATEWAY)
        .serve()
}

fn set(limits: &mut Limits, workers: &mut usize, argument: &str) -> Option<()> {
    let (name, value) = argument.split_once('=')?;
    let number: usize = value.parse().ok()?;
    let time = match number {
        usize::MAX => Duration::MAX,
        _ => Duration::from_millis(number as u64),
    };
    match name {
        "head_timeout" => limits.head_timeout = time,
        "body_timeout" => limits.body_timeout = time,
        "write_timeout" => limits.write_timeout = time,
        "drain_timeout" => limits.drain_timeout = time,
        "body_bytes" => limits.body_bytes = number,
        "request_line_bytes" => limits.head.request_line_bytes = number,
        "head_bytes" => limits.head.head_bytes = number,
        "fields" => limits.head.fields = number,
        "connections" => limits.connections = number,
        "backlog" => limits.backlog = u32::try_from(number).ok()?,
        "stack_bytes" => limits.stack_bytes = number,
        "workers" => *workers = number,
        _ => return None,
    }
    Some(())
}

/// Waits without blocking others, as in the echo example.
fn sleep(request: Request<'_>) -> &'static str {
    firstbyte::sleep(Duration::from_millis(number(&request, "ms") as u64));
    "slept"
}

/// `pieces` chunks of `bytes` bytes each.
fn stream(request: Request<'_>) -> Result<Reply> {
    let (pieces, bytes) = (number(&request, "pieces"), number(&request, "bytes"));
    Reply::stream("text/plain", move |out| {
        let piece = vec![b's'; bytes];
        (0..pieces).try_for_each(|_| out.write_all(&piece))
    })
}

/// Half a body, then an error: the peer must notice that it is incomplete.
fn stream_fails(_: Request<'_>) -> Result<Reply> {
    Reply::stream("text/plain", |out| {
        out.write_all(b"half")?;
        Err(io::Error::other("the other half is missing"))
    })
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

fn number(request: &Request<'_>, name: &str) -> usize {
    request.query_param(name).and_then(|text| text.parse().ok()).unwrap_or(0)
}
