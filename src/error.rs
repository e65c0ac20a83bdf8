//! Error: the one error type of handlers and server. Its kind (the request's fault or the
//! function's) decides the status; its author (the function or a library) decides who reads its
//! text. A Web client gets only what was written for it; the log gets everything. It carries no
//! backtrace.

use crate::json_string::push_json_string;
use crate::wire::{Reject, Status};
use std::borrow::Cow;
use std::fmt;

/// Result of handlers and of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Error that becomes a request's reply, or stops the server.
///
/// `?` turns every `std::error::Error` into one; it then counts as the function's failure, status
/// 500. Its text and the texts of its causes (`source`) are logged in one line with the request's
/// id. (Because of that `?`, `Error` is not itself a `std::error::Error`, and a boxed one needs
/// [`Error::of`].)
///
/// # Who reads the message
/// The log gets every message. The caller of an event function is the platform, and gets the
/// message too. The caller of a Web function is a stranger (a gateway's client too), and gets the
/// message only of [`Error::peer`], [`Error::public`] and [`Error::for_caller`], and of
/// [`Error::new`] with a status below 500. For every other error, in particular a driver's or a
/// library's, the reply has a general text and the request id.
///
/// # Example
/// ```
/// use firstbyte::{App, Error, Result, Status, test};
///
/// fn port(text: &str) -> Result<u16> {
///     Ok(text.parse()?)
/// }
/// let error = port("ninety").unwrap_err();
/// assert_eq!(error.status().code(), 500);
/// assert_eq!(error.to_string(), "invalid digit found in string");
///
/// let app = App::new()
///     .get("/port", |_| port("ninety").map(|port| port.to_string()))
///     .get("/full", |_| -> Result<()> {
///         Err(Error::public(Status::SERVICE_UNAVAILABLE, "no seats left; try tomorrow"))
///     });
/// assert!(!test::get("/port").send(&app).text().contains("digit"));
/// assert!(test::get("/full").send(&app).text().contains("try tomorrow"));
/// ```
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    words: Words,
    message: Cow<'static, str>,
    /// Texts of the causes, nearest first, joined with `: `.
    causes: Option<Box<str>>,
    code: Option<i64>,
}

/// Who wrote the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Words {
    /// The function's author.
    Own,
    /// A driver or a library.
    Foreign,
    /// The function's author, for the caller.
    ForCaller,
}

/// Who called, and therefore who reads an error's reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// The platform, with an event or a hook.
    Platform,
    /// A Web client.
    Web,
    /// A Web client, through a gateway's event.
    Gateway,
}

/// What a Web client reads about a function's failure.
const GENERAL: &str = "the function failed; its log says why, under this request id";
#[cfg(not(feature = "gzip"))]
const CODING: &str =
    "the body has a content coding; send it plain, without a Content-Encoding field";
#[cfg(feature = "gzip")]
const CODING: &str =
    "the body has a content coding; send it plain, or in one that Accept-Encoding names";
/// Largest number of causes listed, and largest number of bytes of their texts.
const MOST_CAUSES: usize = 16;
const MOST_CAUSE_BYTES: usize = 2 * 1024;
/// Largest number of bytes of a message in a reply: a library's message may contain a whole
/// document, and a platform refuses a reply that is too large (6 MB on SCF).
const MOST_MESSAGE_BYTES: usize = 64 * 1024;

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
    /// The function's own failure: status 500 unless the App or [`Error::with_status`] sets
    /// another.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Error {
        Error::with(Kind::Handler(None), Words::Own, message.into())
    }

    /// The caller's mistake, answered with a 4xx status. The caller reads the message.
    pub fn peer(status: Status, message: impl Into<Cow<'static, str>>) -> Error {
        Error::with(Kind::Peer(status), Words::ForCaller, message.into())
    }

    /// The function's own failure, with a message that every caller reads.
    pub fn public(status: Status, message: impl Into<Cow<'static, str>>) -> Error {
        Error::with(Kind::Handler(Some(status)), Words::ForCaller, message.into())
    }

    /// Makes an `Error` of an error that `?` does not take: `Box<dyn Error>`, `anyhow`.
    ///
    /// # Example
    /// ```
    /// use std::error::Error as StdError;
    ///
    /// fn read() -> Result<String, Box<dyn StdError + Send + Sync>> {
    ///     Err("the disk is gone".into())
    /// }
    /// let error = read().map_err(|error| firstbyte::Error::of(&*error)).unwrap_err();
    /// assert_eq!(error.to_string(), "the disk is gone");
    /// ```
    pub fn of(error: &(dyn std::error::Error + '_)) -> Error {
        let message = error.to_string();
        let causes = causes(&message, error.source());
        let kind = Kind::Handler(None);
        Error { causes, ..Error::with(kind, Words::Foreign, message.into()) }
    }

    /// The error for a body with a content coding that no handler reads.
    #[cold]
    pub(crate) fn coding() -> Error {
        Error::peer(Status::UNSUPPORTED_MEDIA_TYPE, CODING)
    }

    /// Whether it is [`Error::coding`].
    pub(crate) fn is_about_coding(&self) -> bool {
        self.message == CODING
    }

    pub(crate) fn io(message: impl Into<Cow<'static, str>>) -> Error {
        Error::with(Kind::Io, Words::Own, message.into())
    }

    fn with(kind: Kind, words: Words, message: Cow<'static, str>) -> Error {
        Error { kind, words, message, causes: None, code: None }
    }

    /// Adds a cause. The cause and its own causes appear only in the log.
    ///
    /// # Example
    /// ```
    /// use firstbyte::Error;
    ///
    /// let cause = "x".parse::<u8>().unwrap_err();
    /// let error = Error::new("the table has a bad row").with_cause(&cause);
    /// assert_eq!(error.to_string(), "the table has a bad row");
    /// assert_eq!(format!("{error:#}"), "the table has a bad row: invalid digit found in string");
    /// ```
    pub fn with_cause(mut self, cause: &(dyn std::error::Error + '_)) -> Error {
        self.causes = causes(&self.message, Some(cause));
        self
    }

    pub(crate) fn with_cause_text(mut self, cause: String) -> Error {
        self.causes = Some(cause.into_boxed_str());
        self
    }

    /// Lets every caller read the message, also if the function failed.
    pub fn for_caller(mut self) -> Error {
        self.words = Words::ForCaller;
        self
    }

    /// Sets the status of the reply.
    pub fn with_status(mut self, status: Status) -> Error {
        self.kind = match self.kind {
            Kind::Peer(_) => Kind::Peer(status),
            _ => Kind::Handler(Some(status)),
        };
        self
    }

    /// Sets `errorCode` of the reply. Without it the code is 1 for a function's failure and the
    /// HTTP status for everything else. (The platform documents the shape, not the values: to be
    /// measured on SCF.)
    pub fn with_code(mut self, code: i64) -> Error {
        self.code = Some(code);
        self
    }

    /// The HTTP status of the reply.
    pub fn status(&self) -> Status {
        match self.kind {
            Kind::Peer(status) | Kind::Handler(Some(status)) => status,
            Kind::Handler(None) | Kind::Io => Status::INTERNAL_SERVER_ERROR,
        }
    }

    /// Whether the request was wrong, rather than the function.
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

    /// The reply's status; `default` for a failure that did not choose its own.
    pub(crate) fn status_or(&self, default: Status) -> Status {
        match self.kind {
            Kind::Handler(None) => default,
            _ => self.status(),
        }
    }

    /// The message for this caller, in a reply with `status`.
    pub(crate) fn message_for(&self, caller: Caller, status: Status) -> &str {
        let is_mistake = status.code() < 500;
        match self.words {
            _ if caller == Caller::Platform => &self.message,
            Words::ForCaller => &self.message,
            Words::Own if is_mistake => &self.message,
            Words::Foreign if is_mistake && !status.reason().is_empty() => status.reason(),
            Words::Own | Words::Foreign => GENERAL,
        }
    }

    /// Appends `{"errorCode":…,"errorMessage":"…","requestId":"…"}` with the message, at most 64
    /// KiB of it. The platform's shape: error logs of SCF print `errorCode` and `errorMessage`.
    pub fn write_json(&self, request_id: &str, out: &mut Vec<u8>) {
        self.write_json_with(&self.message, request_id, out);
    }

    pub(crate) fn write_json_with(&self, message: &str, request_id: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"errorCode\":");
        out.extend_from_slice(self.code().to_string().as_bytes());
        out.extend_from_slice(b",\"errorMessage\":");
        push_json_string(out, &message[..message.floor_char_boundary(MOST_MESSAGE_BYTES)]);
        out.extend_from_slice(b",\"requestId\":");
        push_json_string(out, request_id);
        out.push(b'}');
    }
}

/// The texts of a cause and of its own causes, without those with which `message` or a nearer cause
/// already ends.
#[cold]
fn causes(message: &str, mut cause: Option<&(dyn std::error::Error + '_)>) -> Option<Box<str>> {
    let mut all = String::new();
    let mut nearer = message.to_owned();
    for _ in 0..MOST_CAUSES {
        let Some(this) = cause else { break };
        let text = this.to_string();
        if !text.is_empty() && !nearer.ends_with(&text) {
            if !all.is_empty() {
                all.push_str(": ");
            }
            all.push_str(&text);
            nearer = text;
        }
        if all.len() > MOST_CAUSE_BYTES {
            all.truncate(all.floor_char_boundary(MOST_CAUSE_BYTES));
            all.push('\u{2026}');
            break;
        }
        cause = this.source();
    }
    (!all.is_empty()).then(|| all.into_boxed_str())
}

/// The message; with `{:#}` also its causes.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.causes {
            Some(causes) if f.alternate() => write!(f, ": {causes}"),
            _ => Ok(()),
        }
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Error {
        Error::of(&error)
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

    /// Each is caused by the next.
    #[derive(Debug)]
    struct Chain(&'static [&'static str]);

    impl fmt::Display for Chain {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0[0])
        }
    }

    impl std::error::Error for Chain {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            match self.0 {
                // Of one layout with what it wraps: a chain without an allocation.
                [_, rest @ ..] if !rest.is_empty() => Some(Box::leak(Box::new(Chain(rest)))),
                _ => None,
            }
        }
    }

    #[test]
    fn causes_are_named_once_and_are_bounded() {
        for (chain, all) in [
            (&["a"][..], "a"),
            (&["query failed", "no route", "os error 113"], "query failed: no route: os error 113"),
            (&["failed: no route", "no route", "os error"], "failed: no route: os error"),
            (&["a", "", "b"], "a: b"),
        ] {
            assert_eq!(format!("{:#}", Error::from(Chain(chain))), all);
        }
        let long: &[&str] = &["\u{fc}\u{e4}\u{20ac}x"; 100];
        let long: Vec<String> = long.iter().enumerate().map(|(n, t)| format!("{n}{t}")).collect();
        let long: Vec<&str> = long.iter().map(|text| &*text.clone().leak()).collect();
        let text = format!("{:#}", Error::from(Chain(long.leak())));
        assert!(text.ends_with("16\u{fc}\u{e4}\u{20ac}x"), "{text}");
        let wide: &[&str] = vec!["a", &*"\u{20ac}".repeat(5000).leak()].leak();
        let text = format!("{:#}", Error::from(Chain(wide)));
        assert!(text.len() < 2 * 1024 + 16 && text.ends_with('\u{2026}'), "{}", text.len());
    }

    #[test]
    fn a_web_client_reads_only_what_was_written_for_it() {
        let foreign = || Error::from(Chain(&["password authentication failed", "dsn=secret"]));
        let (web, bad) = (Caller::Web, Status::BAD_GATEWAY);
        assert_eq!(foreign().message_for(web, bad), GENERAL);
        assert_eq!(foreign().message_for(Caller::Gateway, bad), GENERAL);
        assert_eq!(foreign().message_for(web, Status::NOT_FOUND), "Not Found");
        assert_eq!(foreign().message_for(Caller::Platform, bad), "password authentication failed");
        assert_eq!(foreign().for_caller().message_for(web, bad), "password authentication failed");
        assert_eq!(Error::new("mine").message_for(web, bad), GENERAL);
        assert_eq!(Error::new("mine").message_for(web, Status::CONFLICT), "mine");
        assert_eq!(Error::public(bad, "mine").message_for(web, bad), "mine");
        assert_eq!(
            Error::peer(Status::CONFLICT, "yours").message_for(web, Status::CONFLICT),
            "yours"
        );
    }

    #[test]
    fn writes_valid_json_whatever_the_message() {
        let mut out = Vec::new();
        Error::new("a \"quote\", a \\, a \n, a \u{1} and \u{e4}").write_json("r-1", &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"errorCode\":1,\"errorMessage\":\"a \\\"quote\\\", a \\\\, a \\n, a \\u0001 and \
             \u{e4}\",\"requestId\":\"r-1\"}"
        );
        let mut out = Vec::new();
        Error::new("\u{20ac}".repeat(100_000)).write_json("r-1", &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches('\u{20ac}').count(), MOST_MESSAGE_BYTES / 3);
        assert!(text.ends_with(r#"","requestId":"r-1"}"#));
    }
}
