//! Reply: status, headers and body, whole or streamed. Owned values only; `transport` sends it.

#[cfg(feature = "websocket")]
use crate::conversation::Upgrade;
use crate::error::{Error, Result};
use crate::json;
use crate::spare;
use crate::stopping::stopping;
use crate::wire::Status;
use crate::wire::chunked::is_token_byte;
use ::log::Level;
use serde::Serialize;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt;
use std::io;

/// HTTP response that a handler returns.
///
/// # Example
/// ```
/// use firstbyte::{Reply, Status};
/// let reply = Reply::text("made").with_status(Status::CREATED);
/// let reply = reply.with_header("location", "/items/7")?;
/// assert_eq!(reply.status(), Status::CREATED);
/// assert_eq!(reply.header("Location"), Some("/items/7"));
/// # Ok::<(), firstbyte::Error>(())
/// ```
pub struct Reply {
    status: Status,
    headers: SmallVec<[Header; 2]>,
    body: ReplyBody,
}

type Header = (Cow<'static, str>, Cow<'static, str>);

/// A reply's body.
pub(crate) enum ReplyBody {
    Static(&'static [u8]),
    Bytes(Vec<u8>),
    /// Written piece by piece while the connection takes it (chunked transfer coding).
    Stream(Stream),
    /// No body: after the reply the connection is a WebSocket.
    #[cfg(feature = "websocket")]
    Upgrade(Box<Upgrade>),
}

/// A body that is written later.
pub(crate) struct Stream {
    pub write: WriteBody,
    /// Set by `stream` alone, so that a function without it is linked without it. `None` once it is
    /// watched.
    watch: Option<Watch>,
}

/// Function that lets a stream's failure be logged: the reply, method and path, request id.
type Watch = fn(&mut Reply, String, &str, Guard, Tell);

/// Function that logs a failure: level, request id, the reply's status, the request, the message.
pub(crate) type Tell = fn(Level, &str, Status, &str, fmt::Arguments<'_>);

/// Function that runs a write and makes an error of a panic.
pub(crate) type Guard = fn(&mut dyn FnMut() -> io::Result<()>) -> io::Result<()>;

pub(crate) type WriteBody = Box<dyn FnOnce(&mut BodyWriter<'_>) -> io::Result<()> + Send>;

impl Reply {
    /// Status 204 without a body.
    pub fn empty() -> Reply {
        Reply { status: Status::NO_CONTENT, headers: SmallVec::new(), body: ReplyBody::Static(b"") }
    }

    /// `text/plain; charset=utf-8`, status 200.
    pub fn text(text: impl Into<Cow<'static, str>>) -> Reply {
        match text.into() {
            Cow::Borrowed(text) => {
                Reply::of("text/plain; charset=utf-8", ReplyBody::Static(text.as_bytes()))
            }
            Cow::Owned(text) => {
                Reply::of("text/plain; charset=utf-8", ReplyBody::Bytes(text.into_bytes()))
            }
        }
    }

    /// `text/html; charset=utf-8`, status 200.
    pub fn html(text: impl Into<Cow<'static, str>>) -> Reply {
        match text.into() {
            Cow::Borrowed(text) => {
                Reply::of("text/html; charset=utf-8", ReplyBody::Static(text.as_bytes()))
            }
            Cow::Owned(text) => {
                Reply::of("text/html; charset=utf-8", ReplyBody::Bytes(text.into_bytes()))
            }
        }
    }

    /// Body of any media type.
    ///
    /// # Errors
    /// If `content_type` has a byte that no header value may have.
    pub fn bytes(
        content_type: impl Into<Cow<'static, str>>,
        bytes: impl Into<Vec<u8>>,
    ) -> Result<Reply> {
        let body = ReplyBody::Bytes(bytes.into());
        Reply { status: Status::OK, headers: SmallVec::new(), body }
            .with_header("content-type", content_type)
    }

    /// `application/json`: `value`, serialised into a buffer that later replies use again.
    ///
    /// # Errors
    /// If the type's own `Serialize` fails.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Reply> {
        let mut out = spare::take_to_write();
        json::write(value, &mut out)?;
        Ok(Reply::of("application/json", ReplyBody::Bytes(out)))
    }

    /// `application/json` of text that is JSON already; it is not checked.
    pub fn raw_json(text: impl Into<Vec<u8>>) -> Reply {
        Reply::of("application/json", ReplyBody::Bytes(text.into()))
    }

    /// A redirect: 301, 302, 303, 307 or 308.
    ///
    /// # Errors
    /// If `status` is not one of these or `location` is not a valid header value.
    pub fn redirect(status: Status, location: impl Into<Cow<'static, str>>) -> Result<Reply> {
        if !matches!(status.code(), 301 | 302 | 303 | 307 | 308) {
            return Err(Error::new(format!(
                "status {} is not a redirect; use 301, 302, 303, 307 or 308",
                status.code()
            )));
        }
        let body = ReplyBody::Static(b"");
        Reply { status, headers: SmallVec::new(), body }.with_header("location", location)
    }

    /// Streamed body of unknown length. `write` is called once and may block, as a handler may.
    /// Each of its writes waits until the peer takes it (backpressure). If it fails half-way,
    /// the connection is cut, so that the peer sees a truncated body and not a complete one (RFC
    /// 9112, section 8).
    ///
    /// # Errors
    /// If `content_type` is not a valid header value.
    pub fn stream<F>(content_type: impl Into<Cow<'static, str>>, write: F) -> Result<Reply>
    where
        F: FnOnce(&mut BodyWriter<'_>) -> io::Result<()> + Send + 'static,
    {
        let body = ReplyBody::Stream(Stream { write: Box::new(write), watch: Some(watch) });
        Reply { status: Status::OK, headers: SmallVec::new(), body }
            .with_header("content-type", content_type)
    }

    /// `content_type` is one of this module's own, known to be valid.
    fn of(content_type: &'static str, body: ReplyBody) -> Reply {
        let mut headers = SmallVec::new();
        headers.push((Cow::Borrowed("content-type"), Cow::Borrowed(content_type)));
        Reply { status: Status::OK, headers, body }
    }

    /// Adds one of the server's own fields, known to be valid.
    pub(crate) fn with_known_header(
        mut self,
        name: &'static str,
        value: impl Into<Cow<'static, str>>,
    ) -> Reply {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same reply with another status.
    pub fn with_status(mut self, status: Status) -> Reply {
        self.status = status;
        self
    }

    /// Adds a header field. Fields of the same name stay (`set-cookie`), except `content-type`,
    /// which is replaced.
    ///
    /// # Errors
    /// If the name is not a token, the value has CR, LF, NUL or another control character, or the
    /// field is the server's own: content-length, transfer-encoding, connection, date, trailer,
    /// upgrade, keep-alive.
    pub fn with_header(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Result<Reply> {
        let (name, value) = (name.into(), value.into());
        check_field(&name, &value)?;
        if name.eq_ignore_ascii_case("content-type") {
            self.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        }
        self.headers.push((name, value));
        Ok(self)
    }

    /// Sets the status.
    pub fn set_status(&mut self, status: Status) {
        self.status = status;
    }

    /// Sets a header field, and removes others of the same name.
    ///
    /// # Errors
    /// As [`Reply::with_header`].
    pub fn set_header(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Result<()> {
        let (name, value) = (name.into(), value.into());
        check_field(&name, &value)?;
        self.remove_header(&name);
        self.headers.push((name, value));
        Ok(())
    }

    /// Removes all header fields of that name.
    pub fn remove_header(&mut self, name: &str) {
        self.headers.retain(|(field, _)| !field.eq_ignore_ascii_case(name));
    }

    /// Adds `name` to the reply's `vary` field, unless it is there: the reply depends on the
    /// request's field `name` (RFC 9110, section 12.5.5).
    ///
    /// # Errors
    /// As [`Reply::with_header`], for the value.
    pub fn vary_on(&mut self, name: &str) -> Result<()> {
        let says = |value: &str| {
            value.split(',').map(str::trim).any(|on| on == "*" || on.eq_ignore_ascii_case(name))
        };
        let mut fields =
            self.headers.iter().filter(|(field, _)| field.eq_ignore_ascii_case("vary"));
        if fields.any(|(_, value)| says(value)) {
            return Ok(());
        }
        check_field("vary", name)?;
        self.headers.push(("vary".into(), name.to_owned().into()));
        Ok(())
    }

    /// Takes the status, body and media type of `other`, and keeps its own header fields.
    pub(crate) fn become_like(&mut self, other: Reply) {
        self.status = other.status;
        self.body = other.body;
        self.remove_header("content-type");
        self.headers.extend(other.headers);
    }

    /// Sets what to log if the streamed body fails. Does nothing if the body is not a stream, or is
    /// watched already.
    pub(crate) fn watch_stream(
        &mut self,
        request: impl FnOnce() -> String,
        id: &str,
        guard: Guard,
        tell: Tell,
    ) {
        if let ReplyBody::Stream(Stream { watch, .. }) = &mut self.body
            && let Some(watch) = watch.take()
        {
            watch(self, request(), id, guard, tell);
        }
    }

    /// Wraps the function that writes the streamed body in another one.
    fn wrap_stream(
        &mut self,
        by: impl FnOnce(WriteBody, &mut BodyWriter<'_>) -> io::Result<()> + Send + 'static,
    ) {
        let body = std::mem::replace(&mut self.body, ReplyBody::Static(b""));
        self.body = match body {
            ReplyBody::Stream(Stream { write, watch }) => {
                ReplyBody::Stream(Stream { write: Box::new(move |out| by(write, out)), watch })
            }
            other => other,
        };
    }

    /// Calls `then` when the streamed body has been written or has failed, but not if it panics.
    /// Does nothing if the body is not a stream.
    pub(crate) fn when_written(
        &mut self,
        then: impl FnOnce(&Written, &io::Result<()>) + Send + 'static,
    ) {
        self.wrap_stream(|write, out| {
            let mut counted = Counted { sink: out, written: Written::default() };
            let result = write(&mut BodyWriter::new(&mut counted));
            then(&counted.written, &result);
            result
        });
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The first value of a header field of this reply.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The header fields of this reply, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The body's bytes; `None` for a stream.
    pub fn body(&self) -> Option<&[u8]> {
        match &self.body {
            ReplyBody::Static(bytes) => Some(bytes),
            ReplyBody::Bytes(bytes) => Some(bytes),
            ReplyBody::Stream(_) => None,
            #[cfg(feature = "websocket")]
            ReplyBody::Upgrade(_) => Some(b""),
        }
    }

    /// Status 101, after which the connection is a WebSocket.
    #[cfg(feature = "websocket")]
    pub(crate) fn upgrade(upgrade: Upgrade) -> Reply {
        Reply {
            status: Status::SWITCHING_PROTOCOLS,
            headers: SmallVec::new(),
            body: ReplyBody::Upgrade(Box::new(upgrade)),
        }
    }

    /// What the connection becomes, unless other code has replaced the reply's status since.
    #[cfg(feature = "websocket")]
    pub(crate) fn take_upgrade(&mut self) -> Option<Box<Upgrade>> {
        if !matches!(self.body, ReplyBody::Upgrade(_)) {
            return None;
        }
        match std::mem::replace(&mut self.body, ReplyBody::Static(b"")) {
            ReplyBody::Upgrade(upgrade) if self.status == Status::SWITCHING_PROTOCOLS => {
                Some(upgrade)
            }
            _ => None,
        }
    }

    pub(crate) fn into_body(self) -> ReplyBody {
        self.body
    }

    /// The whole body; a stream is written into memory.
    ///
    /// # Errors
    /// If the stream fails or is larger than `limit_bytes`.
    pub(crate) fn into_bytes(self, limit_bytes: usize) -> Result<Vec<u8>> {
        match self.body {
            ReplyBody::Static(bytes) => Ok(bytes.to_vec()),
            ReplyBody::Bytes(bytes) => Ok(bytes),
            ReplyBody::Stream(Stream { write, .. }) => {
                let mut out = Bounded { bytes: Vec::new(), limit_bytes };
                write(&mut BodyWriter::new(&mut out))
                    .map_err(|error| Error::new(format!("the streamed reply failed: {error}")))?;
                Ok(out.bytes)
            }
            #[cfg(feature = "websocket")]
            ReplyBody::Upgrade(_) => {
                Err(Error::new("a WebSocket needs a connection, and an event has none"))
            }
        }
    }
}

/// Logs a failure of the reply's stream.
fn watch(reply: &mut Reply, request: String, id: &str, guard: Guard, tell: Tell) {
    let (status, id) = (reply.status(), id.to_owned());
    reply.wrap_stream(move |write, out| {
        let mut write = Some(write);
        guard(&mut || write.take().map_or(Ok(()), |write| write(out)))
    });
    reply.when_written(move |written, result| {
        let Err(error) = result else { return };
        let error = Error::of(error);
        let (level, who) = match written.reader_failed {
            true => (Level::Info, "the reader is gone or too slow"),
            false => (Level::Error, "the reply's stream failed"),
        };
        let what = format_args!("{who} after {} bytes: {error:#}", written.bytes);
        tell(level, &id, status, &request, what);
    });
}

/// Result of a streamed body.
#[derive(Default)]
pub(crate) struct Written {
    /// Number of content bytes that were sent.
    pub bytes: u64,
    /// Whether the reader caused the failure: it closed the connection or was too slow.
    pub reader_failed: bool,
}

/// Where a body is written, and its result so far.
struct Counted<'s, 'a> {
    sink: &'s mut BodyWriter<'a>,
    written: Written,
}

impl Sink for Counted<'_, '_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.sink.sink.put(bytes);
        match &written {
            Ok(size) => self.written.bytes += *size as u64,
            Err(_) => self.written.reader_failed = true,
        }
        written
    }
}

/// Buffer with a largest size.
struct Bounded {
    bytes: Vec<u8>,
    limit_bytes: usize,
}

impl Sink for Bounded {
    fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.limit_bytes - self.bytes.len() {
            return Err(io::Error::other(format!("it is larger than {} bytes", self.limit_bytes)));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Prints only sizes: a result may hold secrets.
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("body_bytes", &self.body().map(<[u8]>::len))
            .finish()
    }
}

fn check_field(name: &str, value: &str) -> Result<()> {
    const OURS: [&str; 7] = [
        "content-length",
        "transfer-encoding",
        "connection",
        "date",
        "trailer",
        "upgrade",
        "keep-alive",
    ];
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return Err(Error::new(format!(
            "invalid header name `{}`; use letters, digits and `-`",
            name.escape_debug()
        )));
    }
    if OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
        return Err(Error::new(format!("the header `{name}` is the server's own; leave it out")));
    }
    if value.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
        return Err(Error::new(format!(
            "the value of header `{name}` has a control character; remove or encode it"
        )));
    }
    Ok(())
}

/// Writer of a streamed body. Each write is sent at once as one chunk; use a `BufWriter` for small
/// pieces.
pub struct BodyWriter<'a> {
    sink: &'a mut dyn Sink,
}

/// Destination of a body. It replaces `io::Write`, which would link half a dozen unused methods
/// into every function.
pub(crate) trait Sink {
    /// As `io::Write::write`.
    fn put(&mut self, bytes: &[u8]) -> io::Result<usize>;
}

impl<'a> BodyWriter<'a> {
    pub(crate) fn new(sink: &'a mut dyn Sink) -> BodyWriter<'a> {
        BodyWriter { sink }
    }

    /// Whether the process has received a stop signal; a stream without an end should then end: see
    /// [`stopping`](crate::stopping()).
    pub fn stopping(&self) -> bool {
        stopping()
    }
}

impl fmt::Debug for BodyWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyWriter")
    }
}

impl io::Write for BodyWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sink.put(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // nothing is buffered
    }
}

/// Value answered as JSON: `Ok(Json(value))`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// What a handler may return: a [`Reply`], [`Json`], text, bytes, `()` (204), a status with any of
/// these, an `Option` of any (`None` is 404), or a `Result` of any whose error is an [`Error`] or
/// can become one.
///
/// # Example
/// ```
/// use firstbyte::{App, Json, Status, test};
///
/// let app = App::new()
///     .post("/items", |_| (Status::CREATED, Json([1, 2])))
///     .get("/items/{id}", |request| (request.param("id") == Some("1")).then_some("the first"));
/// let reply = test::post("/items", "").send(&app);
/// assert_eq!((reply.status().code(), reply.text()), (201, "[1,2]"));
/// assert_eq!(test::get("/items/1").send(&app).text(), "the first");
/// assert_eq!(test::get("/items/2").send(&app).status().code(), 404);
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    note = "return a `Reply`, `Json(value)`, text, bytes, `()`, `(Status, …)`, an `Option` or a \
            `Result` of these"
)]
pub trait IntoReply {
    /// Makes the reply.
    ///
    /// # Errors
    /// The handler's error, or one from making the reply.
    fn into_reply(self) -> Result<Reply>;
}

impl IntoReply for Reply {
    fn into_reply(self) -> Result<Reply> {
        Ok(self)
    }
}

impl<T: Serialize> IntoReply for Json<T> {
    fn into_reply(self) -> Result<Reply> {
        Reply::json(&self.0)
    }
}

impl IntoReply for &'static str {
    fn into_reply(self) -> Result<Reply> {
        Ok(Reply::text(self))
    }
}

impl IntoReply for String {
    fn into_reply(self) -> Result<Reply> {
        Ok(Reply::text(self))
    }
}

/// Status 204.
impl IntoReply for () {
    fn into_reply(self) -> Result<Reply> {
        Ok(Reply::empty())
    }
}

impl IntoReply for Cow<'static, str> {
    fn into_reply(self) -> Result<Reply> {
        Ok(Reply::text(self))
    }
}

/// `application/octet-stream`.
impl IntoReply for Vec<u8> {
    fn into_reply(self) -> Result<Reply> {
        Ok(Reply::of("application/octet-stream", ReplyBody::Bytes(self)))
    }
}

/// The reply with this status.
impl<T: IntoReply> IntoReply for (Status, T) {
    fn into_reply(self) -> Result<Reply> {
        Ok(self.1.into_reply()?.with_status(self.0))
    }
}

/// `None` is 404.
impl<T: IntoReply> IntoReply for Option<T> {
    fn into_reply(self) -> Result<Reply> {
        match self {
            Some(found) => found.into_reply(),
            None => Err(Error::peer(Status::NOT_FOUND, "there is nothing at this path")),
        }
    }
}

impl<T: IntoReply, E: Into<Error>> IntoReply for Result<T, E> {
    fn into_reply(self) -> Result<Reply> {
        self.map_err(E::into).and_then(T::into_reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_can_start_a_line_of_its_own() {
        for (name, value) in [
            ("x", "a\r\nb: c"),
            ("x", "a\nb"),
            ("x", "a\rb"),
            ("x", "a\0"),
            ("x", "\u{7f}"),
            ("x y", "a"),
            ("x:", "a"),
            ("", "a"),
            ("x\r\ny", "a"),
            ("\u{e4}", "a"),
            ("Content-Length", "0"),
            ("Transfer-Encoding", "chunked"),
            ("Connection", "close"),
        ] {
            assert!(Reply::empty().with_header(name, value).is_err(), "{name:?}: {value:?}");
        }
        assert!(Reply::empty().with_header("x-name", "t\u{fc}r\tauf").is_ok());
    }

    #[test]
    fn a_stream_can_be_taken_whole_within_a_limit() {
        use std::io::Write;
        let stream = || {
            Reply::stream("text/plain", |out| {
                out.write_all(b"one ").and_then(|()| out.write_all(b"two"))
            })
        };
        assert_eq!(stream().unwrap().into_bytes(7).unwrap(), b"one two");
        assert!(
            stream()
                .unwrap()
                .into_bytes(6)
                .unwrap_err()
                .to_string()
                .contains("larger than 6 bytes")
        );
    }

    #[test]
    fn the_content_type_is_one() {
        let reply = Reply::text("<p>").with_header("Content-Type", "text/html").unwrap();
        assert_eq!(
            reply.headers().filter(|(name, _)| name.eq_ignore_ascii_case("content-type")).count(),
            1
        );
        assert_eq!(reply.header("content-type"), Some("text/html"));
    }
}
