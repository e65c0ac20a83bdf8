//! HTTPS client that uses ureq on connections of `firstbyte::net`. The first connection starts
//! while the first event is still on its way, ureq keeps its connections for later events, and
//! every call has a deadline.

use crate::connector::{Begins, Resolves, connections_made, url};
use crate::link::Url;
use firstbyte::{Context, Error, Result};
use serde::Serialize;
use std::io::ErrorKind;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use ureq::Agent;

/// The platform's default time-out, for an invocation that does not state its own.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Time that the function needs to answer after its last wait.
const MARGIN: Duration = Duration::from_millis(100);
/// Size of each buffer, in bytes. ureq's default is 128 KiB, as much as everything may take until
/// the first reply.
const BUFFER_BYTES: usize = 16 * 1024;
/// Largest body that is read, in bytes.
const BODY_BYTES: u64 = 6 * 1024 * 1024;

#[derive(Serialize)]
pub struct Answer {
    status: u16,
    bytes: usize,
}

/// Fetches what UPSTREAM_URL names; returns the reply's status and the size of its body.
///
/// # Errors
/// States what failed and where.
pub fn call(context: Context<'_>) -> Result<Answer> {
    let url = url().map_err(|problem| Error::new(problem.to_string()))?;
    let left = context.deadline().map_or(TIMEOUT, |deadline| deadline.remaining());
    let end = Instant::now() + left.saturating_sub(MARGIN);
    let made = connections_made();
    let mut asked = ask(url, end);
    // GET is idempotent (RFC 9110, 9.2.2): the code sends it again, once, if the server has closed
    // the kept connection. Leave this out for other methods.
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
        .proxy(None) // the connector supports none
        .input_buffer_size(BUFFER_BYTES)
        .output_buffer_size(BUFFER_BYTES);
    Agent::with_parts(config.build(), Begins, Resolves)
}
