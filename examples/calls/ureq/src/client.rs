//! HTTPS through ureq, on connections of `firstbyte::net`: the first one is begun while the first
//! event is still on its way, and ureq keeps them for the next ones. Every call ends in time.

use crate::connector::{Begins, Resolves, url};
use firstbyte::{Context, Error, Result};
use serde::Serialize;
use std::sync::OnceLock;
use std::time::Duration;
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
    static AGENT: OnceLock<Agent> = OnceLock::new();
    let url = url().map_err(|problem| Error::new(problem.to_string()))?;
    let left = context.deadline().map_or(TIMEOUT, |deadline| deadline.remaining());
    let request = AGENT.get_or_init(agent).get(format!("{}{}", url.origin, url.target));
    let request = request.config().timeout_global(Some(left.saturating_sub(MARGIN))).build();
    let fail = |error: ureq::Error| Error::new(format!("GET {}: {error}", url.origin));
    let mut reply = request.call().map_err(fail)?;
    let body = reply.body_mut().with_config().limit(BODY_BYTES).read_to_vec().map_err(fail)?;
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
