//! Public test function (docs/CONTRACTS.md, section 3): it answers with the request that it got.
//!
//! POST /event-invoke → the event's JSON, serialised again. GET /reply?bytes=n → n bytes of `x`.
//! GET /sleep?ms=n → 200 after n ms, without blocking others. GET /panic → panics. Anything else →
//! the request as JSON.

use firstbyte::{App, Error, Event, Reply, Request, Result, Status};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    App::new()
        .event(echo)
        .route("GET", "/reply", reply)
        .route("GET", "/sleep", sleep)
        .route("GET", "/panic", |_| -> Reply { panic!("asked to") })
        .web(describe)
        .serve()
}

fn echo(event: Event<'_>) -> Result<Reply> {
    Reply::json(&event.document()?)
}

fn reply(request: Request<'_>) -> Result<Reply> {
    const MOST: usize = 64 * 1024 * 1024;
    let bytes = number(&request, "bytes")?;
    if bytes > MOST {
        return Err(Error::peer(Status::BAD_REQUEST, format!("`bytes` is more than {MOST}")));
    }
    Reply::bytes("text/plain", vec![b'x'; bytes])
}

fn sleep(request: Request<'_>) -> Result<&'static str> {
    firstbyte::sleep(Duration::from_millis(number(&request, "ms")? as u64));
    Ok("slept")
}

fn number(request: &Request<'_>, name: &str) -> Result<usize> {
    let missing = || {
        Error::peer(
            Status::BAD_REQUEST,
            format!("give `{name}` as a number, for example ?{name}=10"),
        )
    };
    request.query_param(name).and_then(|text| text.parse().ok()).ok_or_else(missing)
}

#[derive(Serialize)]
struct Description<'a> {
    method: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    headers: Vec<(&'a str, Cow<'a, str>)>,
    body_bytes: usize,
    body_sha256: String,
}

fn describe(request: Request<'_>) -> Result<Reply> {
    let digest = Sha256::digest(request.body());
    Reply::json(&Description {
        method: request.method(),
        path: request.path(),
        query: request.query(),
        headers: request
            .headers()
            .iter()
            .map(|(name, value)| (name, String::from_utf8_lossy(value)))
            .collect(),
        body_bytes: request.body().len(),
        body_sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}
