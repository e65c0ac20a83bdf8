//! The same App on the published may_minihttp 0.1.11 (cargo feature `minihttp`), for comparison,
//! and for use once a later release lifts the header limit. **Not for untrusted peers**, and
//! without workarounds: the table lists its differences, and tests/minihttp.rs checks it.
//!
//! | a peer sends | the default transport | may_minihttp 0.1.11 |
//! |---|---|---|
//! | 17 headers or more | 200 (up to 128) | it closes in silence |
//! | `Content-Length: abc`, an overflow, `5, 5` | 400 | the handler's coroutine panics, no answer |
//! | a bare LF, no Host, two Hosts | 400 | 200 |
//! | a malformed request line | 400 | it closes in silence |
//! | `Transfer-Encoding: chunked` | decoded | an empty body, then it closes in silence |
//! | `Expect: 100-continue` | `100 Continue` | no interim reply: the peer waits |
//! | a body cut short | 400 | the handler gets what there is, or it closes in silence |
//! | HEAD | the head alone | the head and the body |
//! | `Connection: close`, HTTP/1.0 | closes | stays open |
//! | an endless head, no data for hours | 431, 408 | taken in without bound, waited for |
//! | SIGTERM | finishes what is in flight, exit 0 | ends at once |
//!
//! And on our side: headers set at run time, redirects' locations among them, are not sent (it
//! accepts only `&'static str` lines); streams are first put together in memory; SO_REUSEPORT hides
//! a second server on the port; and there is no boot lane, no limit and no drain.

use super::limits::Limits;
use super::panics;
use super::service::{RequestHead, Service};
use crate::body::Body;
use crate::error::Error;
use crate::log;
use crate::reply::{BodyWriter, Reply, ReplyBody, Sink};
use crate::request::Request;
#[cfg(feature = "gzip")]
use crate::wire::gzip;
use crate::wire::{Head, HeadLimits, Status};
use may_minihttp::{HttpServer, HttpService};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;

/// Serves until the process ends.
///
/// # Errors
/// If the address cannot be bound.
pub(crate) fn serve<S: Service>(
    address: SocketAddr,
    service: S,
    limits: Limits,
    workers: usize,
) -> io::Result<()> {
    panics::install();
    let config = may::config();
    config
        .set_workers(workers.max(1))
        .set_pool_capacity(1)
        .set_stack_size(stack_words(limits.stack_bytes));
    config.set_worker_pin(false);
    let server = HttpServer(Adapter(Arc::new(service))).start(address)?;
    log::announce(format_args!("listening on {address}"));
    let _ = server.join();
    Ok(())
}

/// may counts stacks in words and recycles only multiples of 512 of them.
fn stack_words(bytes: usize) -> usize {
    (bytes / size_of::<usize>()).next_multiple_of(512).max(512)
}

struct Adapter<S>(Arc<S>);

impl<S> Clone for Adapter<S> {
    fn clone(&self) -> Self {
        Adapter(self.0.clone())
    }
}

impl<S: Service> HttpService for Adapter<S> {
    fn call(
        &mut self,
        request: may_minihttp::Request<'_, '_, '_>,
        response: &mut may_minihttp::Response<'_>,
    ) -> io::Result<()> {
        let head_bytes = head_of(&request);
        let mut body = Vec::new();
        request.body().read_to_end(&mut body)?;
        let reply = match Head::parse(&head_bytes, 0, head_bytes.len(), &HeadLimits::default()) {
            Ok(head) => {
                let view = RequestHead { head: &head, bytes: &head_bytes };
                match self.0.admit(&view) {
                    Ok(admission) if body.len() > admission.body_bytes => {
                        let error =
                            Error::peer(Status::CONTENT_TOO_LARGE, "the request body is too large");
                        self.0.refuse(&error, Some(&view))
                    }
                    #[cfg(feature = "gzip")]
                    Ok(admission) if admission.is_gzip && !body.is_empty() => {
                        match gzip::whole(&body, admission.body_bytes) {
                            Ok(mut body) => {
                                let mut head = head.clone();
                                head.fields.retain(|field| {
                                    !gzip::is_about_coded_body(field.name.of(&head_bytes))
                                });
                                let body = Body::from_vec(&mut body);
                                self.0.call(Request::new(&head, &head_bytes, body))
                            }
                            Err(reject) => self.0.refuse(&reject.into(), Some(&view)),
                        }
                    }
                    Ok(_) => {
                        self.0.call(Request::new(&head, &head_bytes, Body::from_vec(&mut body)))
                    }
                    Err(error) => self.0.refuse(&error, Some(&view)),
                }
            }
            Err(reject) => self.0.refuse(&reject.into(), None),
        };
        answer(reply, response)
    }
}

/// The head as text again, without its framing, which was handled before.
fn head_of(request: &may_minihttp::Request<'_, '_, '_>) -> Vec<u8> {
    let mut head =
        format!("{} {} HTTP/1.{}\r\n", request.method(), request.path(), request.version())
            .into_bytes();
    for header in request.headers() {
        let framing = ["content-length", "transfer-encoding", "expect"];
        if !framing.iter().any(|name| header.name.eq_ignore_ascii_case(name)) {
            head.extend_from_slice(header.name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(header.value);
            head.extend_from_slice(b"\r\n");
        }
    }
    if !request.headers().iter().any(|header| header.name.eq_ignore_ascii_case("host")) {
        head.extend_from_slice(b"host:\r\n"); // it accepts requests without one
    }
    head.extend_from_slice(b"\r\n");
    head
}

fn answer(reply: Reply, response: &mut may_minihttp::Response<'_>) -> io::Result<()> {
    let status = reply.status();
    response.status_code(status.code().into(), status.reason());
    match reply.header("content-type") {
        Some("application/json") => {
            response.header("Content-Type: application/json");
        }
        Some("text/plain; charset=utf-8") => {
            response.header("Content-Type: text/plain; charset=utf-8");
        }
        _ => {}
    }
    match reply.into_body() {
        ReplyBody::Static(bytes) => response.body_vec(bytes.to_vec()),
        ReplyBody::Bytes(bytes) => response.body_vec(bytes),
        ReplyBody::Stream(stream) => {
            let mut all = All(Vec::new());
            (stream.write)(&mut BodyWriter::new(&mut all))?;
            response.body_vec(all.0);
        }
        // No bytes can follow its reply: the connection ends.
        #[cfg(feature = "websocket")]
        ReplyBody::Upgrade(_) => {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "feature `minihttp` has no WebSockets; build the function without it",
            ));
        }
    }
    Ok(())
}

/// A streamed body in memory.
struct All(Vec<u8>);

impl Sink for All {
    fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
}
