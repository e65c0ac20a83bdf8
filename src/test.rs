//! Calls of handlers and Apps without a server, for tests: an event or a request made in one line,
//! and the whole reply in memory. There is no socket, so `wire` and `transport` take no part. For a
//! test of the whole program, [`Served`] starts it on a free port, where any client can call it.

mod served;

pub use served::Served;

use crate::app::App;
use crate::asked::Asked;
use crate::body::Body;
use crate::deadline::Arrival;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::headers::Headers;
use crate::json;
use crate::platform::Platform;
use crate::reply::{IntoReply, Reply};
use crate::request::Request;
use crate::transport::{Service, finish_background as finish};
use crate::wire::Status;
#[cfg(feature = "gzip")]
use crate::wire::gzip;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::time::Instant;

/// An event, as the platform would post it. `body` is its JSON: text, bytes, or a file by
/// `include_str!`.
///
/// # Example
/// ```
/// use firstbyte::{Event, Result, test};
///
/// fn hello(event: Event<'_>) -> Result<String> {
///     let name: &str = event.json()?;
///     Ok(format!("Hello, {name}!"))
/// }
///
/// assert_eq!(test::event(r#""Ann""#).call_event(hello)?.text(), "Hello, Ann!");
/// assert!(test::event("no JSON").call_event(hello).unwrap_err().is_peers_fault());
/// # Ok::<(), firstbyte::Error>(())
/// ```
pub fn event(body: impl Into<Vec<u8>>) -> Call {
    post(App::EVENT_PATH, body)
}

/// A GET request; `target` is a path, with or without a query.
pub fn get(target: &str) -> Call {
    request("GET", target)
}

/// A POST request.
pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Call {
    request("POST", target).body(body)
}

/// A request with any method.
pub fn request(method: &str, target: &str) -> Call {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    let (method, path) = (method.to_owned(), path.to_owned());
    Call { method, path, query, headers: Vec::new(), body: Vec::new(), arrival: None }
}

/// Runs an App's stop hooks, as the server does at its end. Returns false if one fails; the log has
/// the reason.
pub fn stop(app: &App) -> bool {
    Service::stop(app)
}

/// Waits until all background work of this process is done, that of tests running at the same time
/// included.
pub fn finish_background() {
    finish();
}

/// A request to make: of a handler with `call_event` or `call_web`, or of an App with `send`.
#[derive(Clone)]
#[must_use = "nothing is called yet; use `send`, `call_event` or `call_web`"]
pub struct Call {
    method: String,
    path: String,
    query: Option<String>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    arrival: Option<Instant>,
}

impl Call {
    /// Adds a header field.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Call {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds the headers that SCF sends with an invocation of a function with a role, with invented
    /// values: the request id is `test-request`, the memory 128, the time-out 3.
    pub fn scf(self) -> Call {
        let names = &Platform::Scf.contract().names;
        [
            (names.request_id, "test-request"),
            (names.memory, "128"),
            (names.timeout, "3"),
            (names.function_version, "$LATEST"),
            (names.function_name, "test"),
            (names.namespace, "default"),
            (names.region, "ap-guangzhou"),
            (names.app_id, "1250000000"),
            (names.uin, "100000000000"),
            (names.session_token, "EXAMPLE"),
            (names.secret_id, "EXAMPLE"),
            (names.secret_key, "EXAMPLE"),
        ]
        .into_iter()
        .fold(self, |call, (name, value)| call.header(name, value))
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Call {
        self.body = body.into();
        self
    }

    /// Sets the body to `value` as JSON.
    ///
    /// # Panics
    /// If the type's own `Serialize` fails.
    pub fn json(mut self, value: &(impl Serialize + ?Sized)) -> Call {
        self.body.clear();
        if let Err(error) = json::write(value, &mut self.body) {
            panic!("the test's own value: {error}");
        }
        self.header("content-type", "application/json")
    }

    /// Sets the time of arrival, from which deadlines count; the default is the time of the call.
    pub fn arrival(mut self, arrival: Instant) -> Call {
        self.arrival = Some(arrival);
        self
    }

    /// Calls an App as the server would: routes, hooks, `around`, errors as JSON, panics as 500.
    /// What a server refuses before it has a request (400, 408, 413, 431) is not simulated, except
    /// an encoded body (415), which is inflated where the server would (feature `gzip`).
    pub fn send(mut self, app: &App) -> Answer {
        let answer = match self.decode(app) {
            Ok(()) => self.with(|request| Answer::of(app.respond(request))),
            Err(error) => {
                self.with(|request| Answer::of(app.refusal(&Asked::of(&request), &error)))
            }
        };
        match answer {
            Ok(answer) => answer,
            Err(error) => panic!("the reply's stream: {error}"),
        }
    }

    /// Calls an event handler.
    ///
    /// # Errors
    /// The handler's error.
    pub fn call_event<R: IntoReply>(self, handler: impl FnOnce(Event<'_>) -> R) -> Result<Answer> {
        self.with(|request| Answer::of(handler(Event::new(request)).into_reply()?))
    }

    /// Calls a Web handler. It gets no path parameters: those come from a route, so send the call
    /// to an App to have them.
    ///
    /// # Errors
    /// The handler's error.
    pub fn call_web<R: IntoReply>(self, handler: impl FnOnce(Request<'_>) -> R) -> Result<Answer> {
        self.with(|request| Answer::of(handler(request).into_reply()?))
    }

    /// Decodes the body as the server would.
    ///
    /// # Errors
    /// The error with which the server would refuse the body.
    fn decode(&mut self, app: &App) -> Result<()> {
        let pairs: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        #[cfg_attr(not(feature = "gzip"), allow(unused_variables))]
        let admission = app.admission(Headers::from_pairs(&pairs), self.body.is_empty())?;
        #[cfg(feature = "gzip")]
        if admission.is_gzip {
            self.body = gzip::whole(&self.body, admission.body_bytes)?;
            self.headers.retain(|(name, _)| !gzip::is_about_coded_body(name.as_bytes()));
        }
        Ok(())
    }

    fn with<T>(mut self, call: impl FnOnce(Request<'_>) -> T) -> T {
        let pairs: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let (headers, body) = (Headers::from_pairs(&pairs), Body::from_vec(&mut self.body));
        let request =
            Request::assemble(&self.method, &self.path, self.query.as_deref(), headers, body);
        call(request.with_arrival(Arrival::at(self.arrival.unwrap_or_else(Instant::now))))
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.clone().with(|request| request.fmt(f))
    }
}

/// A whole reply; a streamed body is in it too.
#[derive(Clone)]
pub struct Answer {
    status: Status,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    /// Largest streamed body of a test, in bytes.
    const STREAM_BYTES: usize = 64 * 1024 * 1024;

    fn of(reply: Reply) -> Result<Answer> {
        let status = reply.status();
        let headers =
            reply.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        // A WebSocket's 101 has no body; a test of what follows needs a socket.
        if status.code() == 101 {
            return Ok(Answer { status, headers, body: Vec::new() });
        }
        Ok(Answer { status, headers, body: reply.into_bytes(Self::STREAM_BYTES)? })
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The first value of a header field that the handler set.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All header fields that the handler set, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    pub fn text(&self) -> &str {
        match std::str::from_utf8(&self.body) {
            Ok(text) => text,
            Err(error) => panic!("the reply's body is not text: {error}"),
        }
    }

    /// The body as a `T`.
    ///
    /// # Errors
    /// If it is not JSON or not a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let mut bytes = self.body.clone();
        json::parse(Body::from_vec(&mut bytes))
            .map_err(|error| Error::new(format!("the reply: {error}")))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body", &String::from_utf8_lossy(&self.body))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_call_is_what_was_asked_for() {
        let arrival = Instant::now();
        let call = request("PUT", "/a?b=c").scf().json(&[1, 2]).arrival(arrival);
        let answer = call.call_web(|request: Request<'_>| {
            assert_eq!(
                (request.method(), request.path(), request.query()),
                ("PUT", "/a", Some("b=c"))
            );
            assert_eq!(request.context().arrival(), Some(Arrival::at(arrival)));
            assert_eq!(request.context().request_id(), "test-request");
            Reply::bytes("image/png", request.body())
        });
        let answer = answer.unwrap();
        assert_eq!(
            (answer.status(), answer.header("Content-Type")),
            (Status::OK, Some("image/png"))
        );
        assert_eq!(answer.json::<Vec<u8>>().unwrap(), [1, 2]);
        assert!(answer.json::<String>().is_err());
    }

    #[test]
    fn a_stream_is_whole() {
        let answer =
            get("/").call_web(|_| Reply::stream("text/plain", |out| write!(out, "{}", 42)));
        assert_eq!(answer.unwrap().text(), "42");
    }
}
