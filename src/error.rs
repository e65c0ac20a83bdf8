//! One error for handlers and server alike: whose fault it is decides the status, the message goes
//! to the caller. Not a backtrace carrier, and never a way for a secret to leave: the message is
//! what the author wrote.

use crate::json_string::push_json_string;
use crate::wire::{Reject, Status};
use std::borrow::Cow;
use std::fmt;

/// What handlers return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request got no ordinary reply.
///
/// Every `std::error::Error` turns into one with `?` and is then the handler's fault: status 500
/// and its text as the message. (That is why `Error` is not itself a `std::error::Error`.)
///
/// # Example
/// ```
/// fn port(text: &str) -> firstbyte::Result<u16> {
///     Ok(text.parse()?)
/// }
/// let error = port("ninety").unwrap_err();
/// assert_eq!(error.status().code(), 500);
/// assert_eq!(error.to_string(), "invalid digit found in string");
/// ```
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: Cow<'static, str>,
    code: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The request was wrong.
    Peer(Status),
    /// The function failed. `None`: the status that the App is configured with, 500 by default.
    Handler(Option<Status>),
    /// The server could not start or go on.
    Io,
}

impl Error {
    /// The function's own failure: status 500 unless the App or [`Error::with_status`] says
    /// otherwise.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Error {
        Error { kind: Kind::Handler(None), message: message.into(), code: None }
    }

    /// The caller's mistake, to be answered with a 4xx status.
    pub fn peer(status: Status, message: impl Into<Cow<'static, str>>) -> Error {
        Error { kind: Kind::Peer(status), message: message.into(), code: None }
    }

    pub(crate) fn io(message: impl Into<Cow<'static, str>>) -> Error {
        Error { kind: Kind::Io, message: message.into(), code: None }
    }

    /// Answers with this status.
    pub fn with_status(mut self, status: Status) -> Error {
        self.kind = match self.kind {
            Kind::Peer(_) => Kind::Peer(status),
            _ => Kind::Handler(Some(status)),
        };
        self
    }

    /// Sets `errorCode` of the reply; without it the code is 1 for a function's failure and the
    /// HTTP status for everything else. (The platform documents the shape, not the values: "to be
    /// measured on SCF".)
    pub fn with_code(mut self, code: i64) -> Error {
        self.code = Some(code);
        self
    }

    /// The HTTP status that this error is answered with.
    pub fn status(&self) -> Status {
        match self.kind {
            Kind::Peer(status) | Kind::Handler(Some(status)) => status,
            Kind::Handler(None) | Kind::Io => Status::INTERNAL_SERVER_ERROR,
        }
    }

    /// Whether the request, rather than the function, was wrong.
    pub fn is_peers_fault(&self) -> bool {
        matches!(self.kind, Kind::Peer(_))
    }

    /// `errorCode` of the reply.
    pub fn code(&self) -> i64 {
        match (self.code, self.kind) {
            (Some(code), _) => code,
            (None, Kind::Peer(status)) => i64::from(status.code()),
            (None, _) => 1,
        }
    }

    /// The status of a failure that did not choose its own.
    pub(crate) fn status_or(&self, default: Status) -> Status {
        match self.kind {
            Kind::Handler(None) => default,
            _ => self.status(),
        }
    }

    /// Appends `{"errorCode":…,"errorMessage":"…","requestId":"…"}`; the platform's shape (facts:
    /// error logs of SCF print `errorCode` and `errorMessage`).
    pub fn write_json(&self, request_id: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"errorCode\":");
        out.extend_from_slice(self.code().to_string().as_bytes());
        out.extend_from_slice(b",\"errorMessage\":");
        push_json_string(out, &self.message);
        out.extend_from_slice(b",\"requestId\":");
        push_json_string(out, request_id);
        out.push(b'}');
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Error {
        Error::new(error.to_string())
    }
}

impl From<Reject> for Error {
    fn from(reject: Reject) -> Error {
        Error::peer(reject.status, reject.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_valid_json_whatever_the_message() {
        let mut out = Vec::new();
        Error::new("a \"quote\", a \\, a \n, a \u{1} and \u{e4}").write_json("r-1", &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"errorCode\":1,\"errorMessage\":\"a \\\"quote\\\", a \\\\, a \\n, a \\u0001 and \
             \u{e4}\",\"requestId\":\"r-1\"}"
        );
    }
}
