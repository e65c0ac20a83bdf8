//! A session in a signed cookie: it counts a browser's visits and stores nothing in the instance,
//! so it works with any instance. The attributes are those of RFC 6265bis, section 5.6; the name's
//! prefix makes browsers refuse the cookie from another host or without TLS (section 4.1.3.2).
//!
//! Try it: `SESSION_KEY=$(openssl rand -hex 64) cargo run --package example-cookies`, then, twice,
//! `curl -b jar -c jar localhost:9000` and `curl -b jar -c jar -X POST localhost:9000/forget`.
//!
//! A signature proves that this function wrote the value, not that it is the newest one: a client
//! can send an old cookie again until it expires. State that must not return (money, a binding
//! log-out) belongs on a server (examples/calls/redis). The client can read the value.
//!
//! Price: 50 KiB of the layer (`just image example-cookies`: 363 KiB; the same routes with a cookie
//! that is not read: 313). The crate cookie takes it: SHA-256, and `time` for the dates of cookies.

#![no_main]
#![deny(unsafe_code)]

use cookie::time::Duration;
use cookie::{Cookie, CookieJar, Key, SameSite};
use firstbyte::{App, Error, Init, Reply, Request, Result, Status};
use std::sync::OnceLock;
use std::time::SystemTime;

const NAME: &str = "__Host-session";
/// How long a session lasts without a visit.
const LASTS: Duration = Duration::hours(1);
/// Bytes of the key: cookie's own size, of which signing uses the first half.
const KEY_BYTES: usize = 64;

static KEY: OnceLock<Key> = OnceLock::new();

struct Session {
    visits: u64,
    /// Expiry, in seconds since 1970. The function checks this one; Max-Age is only for the
    /// browser.
    ends: u64,
}

impl Session {
    /// The request's session; `None` without a cookie, or if it is not ours, expired before `now`,
    /// or was changed.
    fn of(request: &Request<'_>, key: &Key, now: u64) -> Option<Session> {
        let all = request.header("cookie").unwrap_or_default();
        let mut jar = CookieJar::new();
        for cookie in Cookie::split_parse(all).flatten().filter(|cookie| cookie.name() == NAME) {
            jar.add_original(cookie.into_owned());
        }
        let verified = jar.signed(key).get(NAME)?;
        let (ends, visits) = verified.value().split_once('.')?;
        let session = Session { visits: visits.parse().ok()?, ends: ends.parse().ok()? };
        (session.ends > now).then_some(session)
    }

    fn cookie(&self, key: &Key) -> String {
        let value = format!("{}.{}", self.ends, self.visits);
        let mut jar = CookieJar::new();
        jar.signed_mut(key).add(with_attributes(value, LASTS));
        jar.get(NAME).map(Cookie::to_string).unwrap_or_default()
    }
}

/// Attributes: hidden from scripts, only over TLS, only for this host, and not with requests of
/// other sites, except when a user follows a link.
fn with_attributes(value: String, lasts: Duration) -> Cookie<'static> {
    Cookie::build((NAME, value))
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Lax)
        .max_age(lasts)
        .build()
}

/// GET /
fn visit(request: Request<'_>) -> Result<Reply> {
    let key = KEY.get().ok_or_else(|| Error::new("the key was not read"))?;
    let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    let before = Session::of(&request, key, now).map_or(0, |session| session.visits);
    let ends = now.saturating_add(LASTS.whole_seconds().unsigned_abs());
    let session = Session { visits: before.saturating_add(1), ends };
    Reply::text(format!("visit {}\n", session.visits))
        .with_header("set-cookie", session.cookie(key))?
        .with_header("cache-control", "no-store") // a cache would send the cookie to other clients
}

/// POST /forget
fn forget(_: Request<'_>) -> Result<Reply> {
    Reply::empty()
        .with_status(Status::NO_CONTENT)
        .with_header("set-cookie", with_attributes(String::new(), Duration::ZERO).to_string())?
        .with_header("cache-control", "no-store")
}

/// The same key on every instance, from the function's environment.
fn read_key() -> Result<()> {
    const WRONG: &str = "SESSION_KEY must be 128 hexadecimal digits, the same on every instance; \
                         `openssl rand -hex 64` makes some";
    let text = std::env::var("SESSION_KEY").map_err(|_| Error::new(WRONG))?;
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes: Option<Vec<u8>> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect();
    let key = bytes
        .filter(|bytes| bytes.len() == KEY_BYTES)
        .and_then(|bytes| Key::try_from(bytes.as_slice()).ok())
        .ok_or_else(|| Error::new(WRONG))?;
    KEY.set(key).map_err(|_| Error::new("the key was read already"))
}

firstbyte::main!(
    App::new().init(Init::BeforeListening, read_key).get("/", visit).post("/forget", forget)
);
