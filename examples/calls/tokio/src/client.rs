//! An async HTTP client (reqwest) on a single-threaded runtime, which runs only while a handler
//! waits for it. Later events reuse the runtime, the client and the client's connections.

use firstbyte::{Context, Error, Result, blocking};
use reqwest::{Client, Response};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use std::error::Error as StdError;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// The platform's default time-out, for an invocation that does not state its own.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Time that the function needs to answer after its last wait.
const MARGIN: Duration = Duration::from_millis(100);
/// Largest body that is read, in bytes.
const BODY_BYTES: usize = 6 * 1024 * 1024;

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
    static KEPT: OnceLock<Result<Kept, String>> = OnceLock::new();
    let left = context.deadline().map_or(TIMEOUT, |deadline| deadline.remaining());
    blocking(|| {
        let kept = KEPT.get_or_init(|| Kept::make().map_err(|problem| in_full(&*problem)));
        let kept = kept.as_ref().map_err(|problem| Error::new(problem.clone()))?;
        kept.runtime.block_on(kept.ask(left.saturating_sub(MARGIN)))
    })
}

struct Kept {
    runtime: Runtime,
    client: Client,
    url: String,
}

impl Kept {
    fn make() -> Result<Kept, Box<dyn StdError>> {
        let url = std::env::var("UPSTREAM_URL").map_err(|_| "UPSTREAM_URL is not set")?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let client = Client::builder().tls_backend_preconfigured(config()?).build()?;
        Ok(Kept { runtime, client, url })
    }

    async fn ask(&self, left: Duration) -> Result<Answer> {
        let fail = |error: reqwest::Error| Error::new(in_full(&error.without_url()));
        let end = Instant::now() + left;
        let mut sent = self.send(left).await;
        // The runtime does not run between events, so it may not have seen yet that the server
        // closed a kept connection. GET is idempotent (RFC 9110, 9.2.2), so the code may send it
        // again, once. Leave this out for other methods. If connecting failed, no kept connection
        // was involved.
        let may_be_over = |error: &reqwest::Error| {
            error.is_request() && !error.is_connect() && !error.is_timeout()
        };
        if sent.as_ref().is_err_and(may_be_over) {
            sent = self.send(end.saturating_duration_since(Instant::now())).await;
        }
        let mut reply = sent.map_err(fail)?;
        let mut bytes = 0;
        while let Some(chunk) = reply.chunk().await.map_err(fail)? {
            bytes += chunk.len();
            if bytes > BODY_BYTES {
                return Err(Error::new("the reply's body is larger than 6 MiB"));
            }
        }
        Ok(Answer { status: reply.status().as_u16(), bytes })
    }

    async fn send(&self, left: Duration) -> reqwest::Result<Response> {
        self.client.get(&self.url).timeout(left).send().await
    }
}

/// TLS settings, with the trusted authorities.
fn config() -> Result<ClientConfig, Box<dyn StdError>> {
    let mut roots = RootCertStore::empty();
    if let Ok(path) = std::env::var("UPSTREAM_CA") {
        let wrong = |problem: String| format!("UPSTREAM_CA, `{path}`: {problem}");
        for certificate in CertificateDer::pem_file_iter(&path).map_err(|e| wrong(e.to_string()))? {
            roots.add(certificate.map_err(|e| wrong(e.to_string()))?)?;
        }
    } else {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The text of an error with its causes.
fn in_full(mut error: &dyn StdError) -> String {
    let mut text = error.to_string();
    while let Some(cause) = error.source() {
        text = format!("{text}: {cause}");
        error = cause;
    }
    text
}
