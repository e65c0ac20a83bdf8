//! HTTPS client on one connection. The connection starts while the first event is still on its way,
//! later events reuse it, and every call has a deadline.

use crate::http::{self, Reply};
use crate::link::{Link, Url};
use firstbyte::net::{Early, Handshake, Pool, Repeat, Until};
use firstbyte::{Context, Error, Result};
use serde::Serialize;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

/// The platform's default time-out, for an invocation that does not state its own.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Time that the function needs to answer after its last wait.
const MARGIN: Duration = Duration::from_millis(100);

#[derive(Serialize)]
pub struct Answer {
    status: u16,
    bytes: usize,
}

/// Fetches what UPSTREAM_URL names; returns the reply's status and the size of its body.
///
/// # Errors
/// As [`get`].
pub fn call(context: Context<'_>) -> Result<Answer> {
    let reply = get(context)?;
    Ok(Answer { status: reply.status, bytes: reply.body.len() })
}

/// Sends a GET for what UPSTREAM_URL names. It does not follow redirections.
///
/// # Errors
/// States what failed and where.
pub fn get(context: Context<'_>) -> Result<Reply> {
    let left = context.deadline().map_or(TIMEOUT, |deadline| deadline.remaining());
    let until = Until::after(left.saturating_sub(MARGIN));
    let url = url().map_err(|problem| Error::new(problem.to_string()))?;
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: {}\r\naccept: */*\r\nuser-agent: firstbyte\r\n\r\n",
        url.target, url.authority
    );
    // GET is idempotent (RFC 9110, 9.2.2): the code sends it again if the server has closed the
    // kept connection.
    let reply = POOL.call(until, Repeat::Idempotent, |session| {
        session.link.stream().set_deadline(until);
        let reply = http::exchange(&mut session.link, request.as_bytes())?;
        session.is_reusable = reply.is_reusable;
        Ok(reply)
    });
    reply.map_err(|error| Error::new(format!("GET {}: {error}", url.origin)))
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
    let read = || Url::of_environment("UPSTREAM_URL", "UPSTREAM_CA");
    URL.get_or_init(read).as_ref().map_err(|problem| io::Error::other(problem.as_str()))
}
