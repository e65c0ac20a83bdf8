//! WebSocket settings, and the check of a handshake: which peers a function allows, and the reply
//! that switches protocols. `handshake` has the public entry, `transport` the frames and messages
//! that follow. RFC 6455, section 4.2.

use crate::conversation::{Conversation, Settings, Upgrade};
use crate::error::{Error, Result};
use crate::headers::Headers;
use crate::reply::Reply;
use crate::request::Request;
use crate::wire::{Status, Version};
use sha1::{Digest, Sha1};
use std::fmt;
use std::time::Duration;

/// Settings of a function's WebSockets: who may open one, and within which limits.
///
/// Make it once. [`WebSocket::accept`] returns an ordinary reply: return it from a route or from
/// the Web handler. `around` sees it, and the access log records it with status 101.
///
/// # Limits
/// One connection counts as any other does, and keeps its place at the cap as long as the peer
/// sends something ([`WebSocket::keeps_place`]). A message must reach
/// [`Limits::body_rate`](crate::Limits::body_rate) and its reader
/// [`Limits::reply_rate`](crate::Limits::reply_rate); a message larger than 2 KiB takes its share
/// of the memory for bodies. The server supports no extensions and never agrees to
/// `permessage-deflate`.
///
/// # How it ends
/// 1000 when idle for too long, 1001 when the process stops, 1002 for a violation of the protocol,
/// 1007 for text that is not UTF-8, 1003 for binary messages if the function accepts only text,
/// 1008 for a peer that is too slow or floods, 1009 for a message that is too large, 1011 when a
/// handler fails, 1013 for a silent peer whose place another needs. SCF maps 1000 and 1011 to
/// status 200 and the others to 439 (page 583/44842).
///
/// # Example
/// ```
/// use firstbyte::{App, Message, Request, Socket, WebSocket, test};
///
/// let websocket = WebSocket::new().origin("https://app.example");
/// let app = App::new().get("/echo", move |request: Request<'_>| {
///     websocket.accept(&request, |socket: &mut Socket<'_>, message: Message<'_>| {
///         Ok(socket.send(message)?)
///     })
/// });
/// let reply = test::get("/echo")
///     .header("Connection", "Upgrade")
///     .header("Upgrade", "websocket")
///     .header("Sec-WebSocket-Version", "13")
///     .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
///     .send(&app);
/// assert_eq!(reply.status().code(), 101);
/// assert_eq!(reply.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
/// assert_eq!(test::get("/echo").send(&app).status().code(), 426);
/// ```
#[derive(Clone)]
pub struct WebSocket {
    origins: Vec<String>,
    any_origin: bool,
    protocols: Vec<&'static str>,
    settings: Settings,
}

impl Default for WebSocket {
    fn default() -> WebSocket {
        WebSocket::new()
    }
}

impl WebSocket {
    /// Settings that allow pages of the function's own host and peers that are not browsers,
    /// messages up to 256 KiB, which SCF passes on (page 583/44842), and ten minutes of silence.
    pub fn new() -> WebSocket {
        let settings = Settings {
            message_bytes: 256 * 1024,
            idle: Duration::from_secs(600),
            ping_every: None,
            controls_per_second: 50,
            outbox_bytes: 256 * 1024,
            text_only: false,
            keeps_place: Duration::from_secs(60),
        };
        WebSocket { origins: Vec::new(), any_origin: false, protocols: Vec::new(), settings }
    }

    /// Allows pages of another origin, written as browsers write it: `https://app.example`. A
    /// browser sends a user's cookies with a handshake from any page, so an origin that is not
    /// allowed gets 403.
    pub fn origin(mut self, origin: impl Into<String>) -> WebSocket {
        self.origins.push(origin.into());
        self
    }

    /// Allows pages of every origin: for functions that use no cookie and no secret.
    pub fn any_origin(mut self) -> WebSocket {
        self.any_origin = true;
        self
    }

    /// Adds a subprotocol. The first one of the peer's list that was added is chosen; none if there
    /// is no match.
    pub fn protocol(mut self, name: &'static str) -> WebSocket {
        self.protocols.push(name);
        self
    }

    /// Refuses binary messages with code 1003.
    pub fn text_only(mut self) -> WebSocket {
        self.settings.text_only = true;
        self
    }

    /// Sets the largest message, in bytes; a larger one ends the connection with 1009. The default
    /// is 256 KiB.
    pub fn message_bytes(mut self, bytes: usize) -> WebSocket {
        self.settings.message_bytes = bytes;
        self
    }

    /// Sets how long a peer may send nothing, pongs included. The default is 600 s. The platform's
    /// own time-out, if shorter, ends a connection with status 455.
    pub fn idle(mut self, time: Duration) -> WebSocket {
        self.settings.idle = time;
        self
    }

    /// Sets how long a silent peer keeps its place when the server is full and another connection
    /// waits. After that time the server ends the connection that has been silent longest, with
    /// 1013, "try again later". The default is one minute. The server ranks these peers together
    /// with idle connections and slow peers: it ends the one that has held a place without use for
    /// longest.
    pub fn keeps_place(mut self, time: Duration) -> WebSocket {
        self.settings.keeps_place = time;
        self
    }

    /// Pings a peer that has been silent for this time, and closes the connection if no answer
    /// arrives before the next ping would be due. The default is off, so that a waiting instance
    /// can sleep.
    pub fn ping_every(mut self, time: Duration) -> WebSocket {
        self.settings.ping_every = Some(time.max(Duration::from_millis(10)));
        self
    }

    /// Sets how many pings, pongs and empty fragments a peer may send in a second; more ends the
    /// connection with 1008. The default is 50.
    pub fn controls_per_second(mut self, most: u32) -> WebSocket {
        self.settings.controls_per_second = most;
        self
    }

    /// Sets how many bytes [`Sender`](crate::Sender)s may post before the peer takes them. The
    /// default is 256 KiB.
    pub fn outbox_bytes(mut self, bytes: usize) -> WebSocket {
        self.settings.outbox_bytes = bytes;
        self
    }

    /// Checks a handshake and makes its reply, for [`WebSocket::accept`].
    pub(crate) fn answer(
        &self,
        request: &Request<'_>,
        conversation: Box<dyn Conversation>,
    ) -> Result<Reply> {
        let headers = request.headers();
        if request.method() != "GET" {
            return Ok(Reply::text("a WebSocket is opened with GET")
                .with_status(Status::METHOD_NOT_ALLOWED)
                .with_known_header("allow", "GET"));
        }
        let is_handshake = request.version() == Version::Http11
            && lists(headers, "connection", "upgrade")
            && lists(headers, "upgrade", "websocket");
        if !is_handshake || only(headers, "sec-websocket-version") != Some(b"13") {
            return Ok(Reply::text(ASK_13)
                .with_status(Status::UPGRADE_REQUIRED)
                .with_known_header("upgrade", "websocket")
                .with_known_header("connection", "upgrade")
                .with_known_header("sec-websocket-version", "13"));
        }
        let Some(key) = only(headers, KEY).filter(|key| is_key(key)) else {
            let error = "`Sec-WebSocket-Key` is not 16 bytes in Base64; send one such field";
            return Err(Error::peer(Status::BAD_REQUEST, error));
        };
        self.check_origin(headers, request.authority())?;
        let mut reply = Reply::upgrade(Upgrade {
            conversation,
            settings: self.settings,
            request_id: request.context().log_id().to_owned(),
            path: request.path()[..request.path().floor_char_boundary(512)].to_owned(),
        })
        .with_known_header("connection", "upgrade")
        .with_known_header("upgrade", "websocket")
        .with_known_header("sec-websocket-accept", accept_of(key));
        if let Some(protocol) = self.agreed(headers) {
            reply = reply.with_known_header("sec-websocket-protocol", protocol);
        }
        Ok(reply)
    }

    fn check_origin(&self, headers: Headers<'_>, authority: Option<&str>) -> Result<()> {
        let mut origins = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("origin"));
        let allowed = |origin: &[u8]| {
            let is_own = std::str::from_utf8(origin)
                .ok()
                .zip(authority)
                .is_some_and(|(origin, host)| is_of_host(origin, host));
            is_own || self.origins.iter().any(|known| known.as_bytes() == origin)
        };
        match self.any_origin || origins.all(|(_, origin)| allowed(origin)) {
            true => Ok(()),
            false => Err(Error::peer(
                Status::FORBIDDEN,
                "pages of this origin may not open a WebSocket here",
            )),
        }
    }

    fn agreed(&self, headers: Headers<'_>) -> Option<&'static str> {
        let fields = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(PROTOCOL));
        fields.flat_map(|(_, value)| value.split(|&byte| byte == b',')).find_map(|offered| {
            let known = |known: &&&str| known.as_bytes() == offered.trim_ascii();
            self.protocols.iter().find(known).copied()
        })
    }
}

const KEY: &str = "sec-websocket-key";
const PROTOCOL: &str = "sec-websocket-protocol";
const ASK_13: &str = "this path is a WebSocket; send a handshake of version 13: `Connection: \
     Upgrade`, `Upgrade: websocket`, `Sec-WebSocket-Version: 13`, `Sec-WebSocket-Key`";

/// The value of the only field of that name; `None` if there is none, or more than one.
fn only<'a>(headers: Headers<'a>, name: &str) -> Option<&'a [u8]> {
    let mut values = headers.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
    match (values.next(), values.next()) {
        (Some((_, value)), None) => Some(value),
        _ => None,
    }
}

/// Whether a page of this origin came from this host. Browsers leave out the scheme's own port and
/// write the host in lower case; other clients and proxies may not (RFC 9110, section 4.2.3).
fn is_of_host(origin: &str, host: &str) -> bool {
    let Some((scheme, own)) = origin.split_once("://") else { return false };
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let host = host.strip_suffix(port).unwrap_or(host);
    own.strip_suffix(port).unwrap_or(own).eq_ignore_ascii_case(host)
}

/// Whether the list in the fields of that name contains the member.
fn lists(headers: Headers<'_>, name: &str, member: &str) -> bool {
    headers.iter().any(|(field, value)| {
        field.eq_ignore_ascii_case(name)
            && value
                .split(|&byte| byte == b',')
                .any(|has| has.trim_ascii().eq_ignore_ascii_case(member.as_bytes()))
    })
}

/// Whether the key is 16 bytes in Base64: 22 digits, the last with four zero bits, and `==`.
fn is_key(key: &[u8]) -> bool {
    key.len() == 24
        && key.ends_with(b"==")
        && key[..22].iter().all(|digit| DIGITS.contains(digit))
        && b"AQgw".contains(&key[21])
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The value that proves that the server read the key (RFC 6455, section 4.2.2, step 5.4).
fn accept_of(key: &[u8]) -> String {
    let digest = Sha1::new()
        .chain_update(key)
        .chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
        .finalize();
    let mut text = String::with_capacity(28);
    for three in digest.chunks(3) {
        let word = three.iter().fold(0u32, |word, &byte| word << 8 | u32::from(byte));
        let word = word << (8 * (3 - three.len()));
        for digit in 0..4 {
            text.push(match digit <= three.len() {
                true => char::from(DIGITS[(word >> (18 - 6 * digit) & 63) as usize]),
                false => '=',
            });
        }
    }
    text
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("origins", &self.origins)
            .field("protocols", &self.protocols)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;
    use crate::conversation::{Message, Socket};
    use crate::test::{self, Call};

    fn app(websocket: WebSocket) -> App {
        App::new().web(move |request: Request<'_>| {
            websocket.accept(&request, |socket: &mut Socket<'_>, message: Message<'_>| {
                Ok(socket.send(message)?)
            })
        })
    }

    fn handshake(changed: &[(&str, &str)]) -> Call {
        let mut fields = vec![
            ("Host", "f.example"),
            ("Connection", "keep-alive, Upgrade"),
            ("Upgrade", "WebSocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        for change in changed {
            fields.retain(|(name, _)| *name != change.0);
            fields.push(*change);
        }
        fields.into_iter().fold(test::get("/"), |call, (name, value)| call.header(name, value))
    }

    #[test]
    fn a_handshake_is_checked() {
        let app = app(WebSocket::new().origin("https://app.example").protocol("chat.2"));
        for (changed, status) in [
            (("Host", "f.example"), 101),
            (("Connection", "keep-alive"), 426),
            (("Upgrade", "h2c"), 426),
            (("Sec-WebSocket-Version", "8"), 426),
            (("Sec-WebSocket-Key", "short"), 400),
            (("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZR=="), 400),
            (("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=a"), 400),
            (("Origin", "https://app.example"), 101),
            (("Origin", "https://f.example"), 101),
            (("Origin", "https://app.example.evil"), 403),
            (("Origin", "null"), 403),
        ] {
            let reply = handshake(&[changed]).send(&app);
            assert_eq!(reply.status().code(), status, "{changed:?}: {}", reply.text());
            let version = (status == 426).then_some("13");
            assert_eq!(reply.header("sec-websocket-version"), version);
        }
        let reply = handshake(&[("Sec-WebSocket-Protocol", "chat.3, chat.2")]).send(&app);
        assert_eq!(reply.header("sec-websocket-protocol"), Some("chat.2"));
        for posted in [test::post("/", ""), test::request("HEAD", "/")] {
            let posted = posted.send(&app);
            assert_eq!((posted.status().code(), posted.header("allow")), (405, Some("GET")));
        }
        for (twice, status) in [
            ("Sec-WebSocket-Version", 426),
            ("Sec-WebSocket-Key", 400),
            ("Connection", 101),
            ("Upgrade", 101),
        ] {
            let value = match twice {
                "Sec-WebSocket-Version" => "13",
                _ => "dGhlIHNhbXBsZSBub25jZQ==",
            };
            let reply = handshake(&[]).header(twice, value).send(&app);
            assert_eq!(reply.status().code(), status, "{twice}");
        }
    }

    /// Regression: a proxy that wrote the port into Host locked out the function's own pages.
    #[test]
    fn an_origin_is_the_hosts_own_with_or_without_its_schemes_port() {
        for (origin, host, is_own) in [
            ("https://f.example", "f.example", true),
            ("https://f.example", "f.example:443", true),
            ("https://f.example:443", "f.example", true),
            ("http://f.example", "F.Example:80", true),
            ("http://f.example:8080", "f.example:8080", true),
            ("https://[::1]", "[::1]:443", true),
            ("https://f.example", "f.example:80", false),
            ("https://f.example", "f.example:8443", false),
            ("https://f.example.evil", "f.example", false),
            ("https://evil.f.example", "f.example", false),
            ("ftp://f.example", "f.example", false),
            ("f.example", "f.example", false),
            ("null", "null", false),
            ("", "", false),
        ] {
            assert_eq!(is_of_host(origin, host), is_own, "{origin} at {host}");
        }
    }

    #[test]
    fn any_origin_allows_every_page() {
        let reply = handshake(&[("Origin", "null")]).send(&app(WebSocket::new().any_origin()));
        assert_eq!(reply.status().code(), 101);
    }
}
