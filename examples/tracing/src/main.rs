//! Records of `tracing` as log lines, each with the id of its request's trace, which calls to other
//! servers continue (W3C Trace Context, <https://www.w3.org/TR/trace-context/>).
//!
//! Try it: `cargo run --package example-tracing`, then `curl -i localhost:9000 -H 'traceparent:
//! 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'`. With `UPSTREAM=HOST:PORT` it asks
//! that server on the way: start a second one with `FIRSTBYTE_ADDR=127.0.0.1:9001`.
//!
//! Records of other crates have the request id, and `asked` joins it to the trace. There is no
//! subscriber: the library's log has its format, and the platform reads lines.
//!
//! Price: 14 KiB of the layer for the crate (`just image example-tracing`: 365 KiB; the same with
//! `log`'s macros: 352). `log::info!("… trace_id={trace_id}")` writes the same lines; `tracing`
//! is for functions whose other crates have it.

#![no_main]
#![deny(unsafe_code)]

mod trace;

use firstbyte::net::TcpStream;
use firstbyte::{App, Error, IntoReply, Json, Reply, Request, Result, Status};
use serde::Serialize;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};
use trace::Trace;
use tracing::field::display;
use tracing::info;

/// Time limit of the other server, if the platform sets none.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Largest size of a reply's first line, in bytes.
const STATUS_LINE_BYTES: usize = 1024;

#[derive(Serialize)]
struct Answer {
    trace_id: String,
    /// The status of UPSTREAM's reply, if UPSTREAM is set.
    upstream: Option<u16>,
}

/// GET /
fn greet(request: &Request<'_>, trace: &Trace) -> Result<Reply> {
    let upstream = match std::env::var("UPSTREAM") {
        Ok(destination) => Some(ask(&destination, request, trace)?),
        Err(_) => None,
    };
    Json(Answer { trace_id: format!("{:032x}", trace.trace_id), upstream }).into_reply()
}

/// Wraps a handler so that each request is a span of a trace: it writes a record at its begin and
/// its end, and adds the span to the reply (`traceresponse`, a draft of the same standard).
fn traced(
    handler: impl Fn(&Request<'_>, &Trace) -> Result<Reply> + Send + Sync + 'static,
) -> impl Fn(Request<'_>) -> Result<Reply> + Send + Sync + 'static {
    move |request| {
        let fields = |wanted: &str| -> Vec<&[u8]> {
            let all = request.headers().iter();
            all.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, v)| v).collect()
        };
        let trace = Trace::of(&fields("traceparent"), &fields("tracestate"));
        let trace_id = format!("{:032x}", trace.trace_id);
        let span_id = format!("{:016x}", trace.span_id);
        let parent_id = trace.parent_id.map(|id| display(format!("{id:016x}")));
        info!(%trace_id, %span_id, parent_id, path = request.path(), "asked");
        let begun = Instant::now();
        let replied = handler(&request, &trace);
        let status = match &replied {
            Ok(reply) => reply.status().code(),
            Err(error) => error.status().code(),
        };
        info!(%trace_id, %span_id, status, us = begun.elapsed().as_micros(), "answered");
        replied?.with_header("traceresponse", trace.to_string())
    }
}

/// Requests `/` of the other server; returns the status of its reply.
fn ask(destination: &str, request: &Request<'_>, trace: &Trace) -> Result<u16> {
    let trace = trace.child();
    let left = request.context().deadline().map_or(TIMEOUT, |deadline| deadline.remaining());
    let asked = exchange(destination, &trace, left);
    let trace_id = format!("{:032x}", trace.trace_id);
    let span_id = format!("{:016x}", trace.span_id);
    match asked {
        Ok(status) => {
            info!(%trace_id, %span_id, destination, status, "called");
            Ok(status)
        }
        Err(error) => {
            tracing::warn!(%trace_id, %span_id, destination, %error, "called");
            let text = "the server that UPSTREAM names did not answer";
            Err(Error::public(Status::BAD_GATEWAY, text).with_cause(&error))
        }
    }
}

/// One request and its status, on a connection of its own (examples/calls/https has a client that
/// keeps connections, reads bodies and speaks TLS).
fn exchange(destination: &str, trace: &Trace, left: Duration) -> io::Result<u16> {
    let mut stream = TcpStream::connect(destination, left)?;
    let state = trace.state().map(|state| format!("tracestate: {state}\r\n")).unwrap_or_default();
    let head = format!(
        "GET / HTTP/1.1\r\nHost: {destination}\r\nConnection: close\r\ntraceparent: \
         {trace}\r\n{state}\r\n"
    );
    stream.write_all(head.as_bytes())?;
    let mut line = [0; STATUS_LINE_BYTES];
    let mut size = 0;
    let wrong = || io::Error::other("the reply is not HTTP/1");
    while !line[..size].contains(&b'\n') {
        match stream.read(&mut line[size..])? {
            0 => return Err(wrong()), // the end, or a line that is too long
            more => size += more,
        }
    }
    let text = str::from_utf8(line.get(..12).unwrap_or_default()).map_err(|_| wrong())?;
    let status = text.strip_prefix("HTTP/1.1 ").or_else(|| text.strip_prefix("HTTP/1.0 "));
    status.and_then(|status| status.parse().ok()).ok_or_else(wrong)
}

firstbyte::main!(App::new().get("/", traced(greet)));
