//! COS client that uses the credentials of each invocation. The connection starts while the first
//! event is still on its way, later events reuse it, and every call has a deadline.

use crate::http;
use crate::link::{Link, Url};
use crate::sign;
use firstbyte::net::{Early, Handshake, Pool, Repeat, Until};
use firstbyte::{Context, Error, Result};
use serde::Serialize;
use std::io;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The platform's default time-out, for an invocation that does not state its own.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Time that the function needs to answer after its last wait.
const MARGIN: Duration = Duration::from_millis(100);
/// How long a signature is valid, and how much of that time lies in the past, because clocks
/// differ.
const VALID_S: u64 = 600;
const PAST_S: u64 = 60;

#[derive(Serialize)]
pub struct Answer {
    bytes: usize,
}

/// Reads the object that COS_URL names.
///
/// # Errors
/// As [`object`].
pub fn call(context: Context<'_>) -> Result<Answer> {
    Ok(Answer { bytes: object(context)?.len() })
}

/// Returns the content of the object that COS_URL names.
///
/// # Errors
/// States what failed, with COS's own message if it answered; never contains a credential.
pub fn object(context: Context<'_>) -> Result<Vec<u8>> {
    let left = context.deadline().map_or(TIMEOUT, |deadline| deadline.remaining());
    let until = Until::after(left.saturating_sub(MARGIN));
    let url = url().map_err(|problem| Error::new(problem.to_string()))?;
    let request = request(context, url)?;
    // GET is idempotent (RFC 9110, 9.2.2): the code sends it again if the server has closed the
    // kept connection.
    let reply = POOL.call(until, Repeat::Idempotent, |session| {
        session.link.stream().set_deadline(until);
        let reply = http::exchange(&mut session.link, request.as_bytes())?;
        session.is_reusable = reply.is_reusable;
        Ok(reply)
    });
    let reply = reply.map_err(|error| Error::new(format!("GET {}: {error}", url.origin)))?;
    match reply.status {
        200 => Ok(reply.body),
        status => {
            let text = String::from_utf8_lossy(&reply.body);
            let (code, message) = (element(&text, "Code"), element(&text, "Message"));
            let origin = &url.origin;
            Err(Error::new(format!("GET {origin}: status {status} {code} {message}")))
        }
    }
}

fn request(context: Context<'_>, url: &Url) -> Result<String> {
    let role = context.credentials().ok_or_else(|| {
        Error::new("the invocation has no credentials: bind a role that may read the bucket")
    })?;
    let headers = [("host", &*url.authority), ("x-cos-security-token", role.session_token)];
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let key_time = format!("{};{}", now_s.saturating_sub(PAST_S), now_s + VALID_S);
    let authorization = sign::authorization(
        (role.secret_id, role.secret_key),
        &key_time,
        "get",
        &url.target,
        &headers,
    );
    Ok(format!(
        "GET {} HTTP/1.1\r\nhost: {}\r\nx-cos-security-token: {}\r\nauthorization: \
         {authorization}\r\nuser-agent: firstbyte\r\n\r\n",
        url.target, url.authority, role.session_token
    ))
}

/// The text of an element without child elements, markup removed; at most 200 bytes.
fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let inside = xml.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once('<'));
    let text = inside.map_or("", |(text, _)| text);
    &text[..text.floor_char_boundary(200)]
}

/// The connection to pass to `App::early`.
pub static EARLY: Early<Link> = Early::new(|| url()?.begin());

static POOL: Pool<Session> =
    Pool::new(|until| Ok(Session { link: EARLY.connect(until)?, is_reusable: true }))
        .probe(|session| session.is_reusable && !session.link.is_stale());

struct Session {
    link: Link,
    is_reusable: bool,
}

fn url() -> io::Result<&'static Url> {
    static URL: OnceLock<Result<Url, String>> = OnceLock::new();
    URL.get_or_init(|| Url::of_environment("COS_URL", "COS_CA"))
        .as_ref()
        .map_err(|problem| io::Error::other(problem.as_str()))
}
