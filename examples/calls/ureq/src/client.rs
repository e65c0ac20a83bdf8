//! HTTPS through ureq, which keeps its connections in a pool of its own. Every call ends in time.

use firstbyte::{Context, Error, Result, blocking};
use serde::Serialize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

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
    static AGENT: OnceLock<Result<Agent, String>> = OnceLock::new();
    let url = std::env::var("UPSTREAM_URL").map_err(|_| Error::new("UPSTREAM_URL is not set"))?;
    let left = context.deadline().map_or(TIMEOUT, |deadline| deadline.remaining());
    blocking(|| {
        let agent = AGENT.get_or_init(agent);
        let agent = agent.as_ref().map_err(|problem| Error::new(problem.clone()))?;
        let request = agent.get(&url).config().timeout_global(Some(left.saturating_sub(MARGIN)));
        let mut reply = request.build().call()?;
        let body = reply.body_mut().with_config().limit(BODY_BYTES).read_to_vec()?;
        Ok(Answer { status: reply.status().as_u16(), bytes: body.len() })
    })
}

fn agent() -> Result<Agent, String> {
    let roots = match std::env::var("UPSTREAM_CA") {
        Ok(path) => RootCerts::Specific(Arc::new(certificates(&path)?)),
        Err(_) => RootCerts::WebPki,
    };
    let tls = TlsConfig::builder().root_certs(roots).build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .input_buffer_size(BUFFER_BYTES)
        .output_buffer_size(BUFFER_BYTES);
    Ok(config.build().new_agent())
}

fn certificates(path: &str) -> Result<Vec<Certificate<'static>>, String> {
    let wrong = |problem: String| format!("UPSTREAM_CA, `{path}`: {problem}");
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let mut found = Vec::new();
    for item in parse_pem(&pem) {
        match item.map_err(|error| wrong(error.to_string()))? {
            PemItem::Certificate(certificate) => found.push(certificate),
            _ => continue,
        }
    }
    if found.is_empty() { Err(wrong("it holds no certificate".to_owned())) } else { Ok(found) }
}
