//! HTTPS on one connection that is kept: rustls for TLS, http.rs for HTTP. Every wait ends before
//! the invocation does.

use crate::http::{self, Reply};
use firstbyte::{Context, Error, Result};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The platform's default time-out, where an invocation does not say its own.
const TIMEOUT: Duration = Duration::from_secs(3);
/// What is left for the answer when a wait has been given up.
const MARGIN: Duration = Duration::from_millis(100);

type Session = StreamOwned<ClientConnection, TcpStream>;

static IDLE: Mutex<Vec<Session>> = Mutex::new(Vec::new());

/// GET of what UPSTREAM_URL names.
///
/// # Errors
/// Names the server and what went wrong.
pub fn get(context: Context<'_>) -> Result<Reply> {
    let target = target()?;
    let until = context.deadline().map_or(Instant::now() + TIMEOUT, |it| it.instant()) - MARGIN;
    let fail =
        |problem: io::Error| Error::new(format!("{}:{}: {problem}", target.host, target.port));
    let kept = idle().pop();
    let is_fresh = kept.is_none();
    let mut session = kept.map_or_else(|| target.connect(until), Ok).map_err(&fail)?;
    let mut replied = target.ask(&mut session, until);
    if replied.is_err() && !is_fresh {
        session = target.connect(until).map_err(&fail)?;
        replied = target.ask(&mut session, until);
    }
    let reply = replied.map_err(&fail)?;
    if reply.is_reusable {
        idle().push(session);
    }
    Ok(reply)
}

fn idle() -> MutexGuard<'static, Vec<Session>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whom to ask, and what.
struct Target {
    host: String,
    port: u16,
    request: Vec<u8>,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

/// What UPSTREAM_URL and UPSTREAM_CA say, read once.
fn target() -> Result<&'static Target> {
    static TARGET: OnceLock<Result<Target, String>> = OnceLock::new();
    TARGET.get_or_init(Target::read).as_ref().map_err(|problem| Error::new(problem.clone()))
}

impl Target {
    fn read() -> Result<Target, String> {
        let url = std::env::var("UPSTREAM_URL").map_err(|_| "UPSTREAM_URL is not set")?;
        let wrong =
            |what: &str| format!("UPSTREAM_URL {what}; write it as https://HOST[:PORT]/PATH");
        let rest = url.strip_prefix("https://").ok_or_else(|| wrong("has another scheme"))?;
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(wrong("has a user in it"));
        }
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("has blanks or letters that must be percent-encoded"));
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| wrong("has a wrong port"))?)
            }
            _ => (authority, 443),
        };
        let host = host.trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| wrong("has no host"))?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        let request = format!(
            "GET {slash}{path} HTTP/1.1\r\nhost: {authority}\r\naccept: */*\r\nuser-agent: firstbyte\r\n\r\n"
        );
        let (host, request) = (host.to_owned(), request.into_bytes());
        Ok(Target { host, port, request, name, config: config()? })
    }

    fn connect(&self, until: Instant) -> io::Result<Session> {
        let no_address = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        let address =
            (self.host.as_str(), self.port).to_socket_addrs()?.next().ok_or_else(no_address)?;
        let stream = TcpStream::connect_timeout(&address, left(until)?)?;
        stream.set_nodelay(true)?;
        let tls = ClientConnection::new(Arc::clone(&self.config), self.name.clone());
        Ok(StreamOwned::new(tls.map_err(io::Error::other)?, stream))
    }

    fn ask(&self, session: &mut Session, until: Instant) -> io::Result<Reply> {
        session.sock.set_read_timeout(Some(left(until)?))?;
        http::exchange(session, &self.request)
    }
}

/// Whom to trust.
fn config() -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    match std::env::var("UPSTREAM_CA") {
        Ok(path) => {
            let wrong = |problem: String| format!("UPSTREAM_CA, `{path}`: {problem}");
            let all = CertificateDer::pem_file_iter(&path).map_err(|e| wrong(e.to_string()))?;
            for certificate in all {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(wrong("no certificate in it".into()));
            }
        }
        Err(_) => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}
