//! HTTPS through ureq, on connections of `firstbyte::net`: the first one is begun while the first
//! event is still on its way, and ureq keeps them for the next ones. Every call ends in time.

use crate::connector::{Begins, Resolves, connections_made, url};
use crate::link::Url;
use firstbyte::{Context, Error, Result};
use serde::Serialize;
use std::io::ErrorKind;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use ureq::Agent;

/// The platform's default time-out, where an invocation does not bring its own.
const TIMEOUT: Duration = Duration::from_secs(3);
/// What the answer needs after the last wait.
const MARGIN: Duration = Duration::from_millis(100);
/// Bytes of each buffer; ureq's own are 128 KiB, as much as a first reply has for everything.
const BUFFER_BYTES: usize = 16 * 1024;
/// Bytes of a body that are read.
const BODY_BYTES: u64 = 6 * 1024 * 1024;

#[derive(Serialize)]
pub struct Answer {
    status: u16,
    bytes: usize,
}

/// What UPSTREAM_URL names: how it was answered, and with how much.
///
/// # Errors
/// What went wrong, and where.
pub fn call(context: Context<'_>) -> Result<Answer> {
    let url = url().map_err(|problem| Error::new(problem.to_string()))?;
    let left = context.deadline().map_or(TIMEOUT, |deadline| deadline.remaining());
    let end = Instant::now() + left.saturating_sub(MARGIN);
    let made = connections_made();
    let mut asked = ask(url, end);
    // GET is idempotent (RFC 9110, 9.2.2): it is sent again, once, if a kept connection turns out
    // to be over. Who asks with another method leaves this out.
    if let Err(ureq::Error::Io(error)) = &asked
        && error.kind() != ErrorKind::TimedOut
        && connections_made() == made
    {
        asked = ask(url, end);
    }
    asked.map_err(|error| Error::new(format!("GET {}: {error}", url.origin)))
}

fn ask(url: &Url, end: Instant) -> Result<Answer, ureq::Error> {
    static AGENT: OnceLock<Agent> = OnceLock::new();
    let left = end.saturating_duration_since(Instant::now());
    let request = AGENT.get_or_init(agent).get(format!("{}{}", url.origin, url.target));
    let mut reply = request.config().timeout_global(Some(left)).build().call()?;
    let body = reply.body_mut().with_config().limit(BODY_BYTES).read_to_vec()?;
    Ok(Answer { status: reply.status().as_u16(), bytes: body.len() })
}

fn agent() -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None) // the connector knows none
        .input_buffer_size(BUFFER_BYTES)
        .output_buffer_size(BUFFER_BYTES);
    Agent::with_parts(config.build(), Begins, Resolves)
}
