//! HTTPS on a connection that is begun while the first event is still on its way, kept for the
//! next ones, and given up in time.

use crate::http::{self, Reply};
use crate::link::{Link, Url};
use firstbyte::net::{Early, Handshake, Pool, Repeat, Until};
use firstbyte::{Context, Error, Result};
use serde::Serialize;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

/// The platform's default time-out, where an invocation does not bring its own.
const TIMEOUT: Duration = Duration::from_secs(3);
/// What the answer needs after the last wait.
const MARGIN: Duration = Duration::from_millis(100);

#[derive(Serialize)]
pub struct Answer {
    status: u16,
    bytes: usize,
}

/// What UPSTREAM_URL names: how it was answered, and with how much.
///
/// # Errors
/// As [`get`].
pub fn call(context: Context<'_>) -> Result<Answer> {
    let reply = get(context)?;
    Ok(Answer { status: reply.status, bytes: reply.body.len() })
}

/// GET of what UPSTREAM_URL names. A redirection is a reply like any other.
///
/// # Errors
/// What went wrong, and where.
pub fn get(context: Context<'_>) -> Result<Reply> {
    let left = context.deadline().map_or(TIMEOUT, |deadline| deadline.remaining());
    let until = Until::after(left.saturating_sub(MARGIN));
    let url = url().map_err(|problem| Error::new(problem.to_string()))?;
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: {}\r\naccept: */*\r\nuser-agent: firstbyte\r\n\r\n",
        url.target, url.authority
    );
    // GET is idempotent (RFC 9110, 9.2.2): sent again if a kept connection turns out to be over.
    let reply = POOL.call(until, Repeat::Idempotent, |session| {
        session.link.stream().set_deadline(until);
        let reply = http::exchange(&mut session.link, request.as_bytes())?;
        session.is_reusable = reply.is_reusable;
        Ok(reply)
    });
    reply.map_err(|error| Error::new(format!("GET {}: {error}", url.origin)))
}

/// To be named to `App::early`.
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
