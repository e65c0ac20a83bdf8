//! Connection to one repository of a registry: scheme, login, redirects, retries. It sends requests
//! and receives replies; images and uploads are in other files. OCI distribution-spec 1.1; RFC
//! 9110; the token flow is Docker's (distribution, "Token Authentication" and "OAuth2 Token
//! Authentication").

use super::address::{self, Origin, join};
use super::attempts::{Attempts, MAX_WAIT, is_passing, retry_after};
use super::challenge::{self, Challenge};
use super::credentials::{Credentials, Found};
use super::error::{Login, RegistryError};
use super::identity::Identity;
use super::tls::{HandshakeError, TlsConnector};
use super::trust::{Configurations, Trust};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};
use ureq::config::Config;
use ureq::http::header::{self, HeaderName, HeaderValue};
use ureq::http::{Method, Request, Response, Uri};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector as _, TcpConnector};
use ureq::{Agent, Body, Proxy, SendBody};

/// Time limit of a connection attempt, including its TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence of a registry within a transfer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Time limit of the reply after the whole request was sent: the registry computes the digest of a
/// large blob in that time.
const REPLY_TIMEOUT: Duration = Duration::from_secs(600);
/// Time limit of a registry on this machine to answer in plain HTTP before TLS is tried.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit for the content of a token, a manifest or an error.
const TEXT_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest part of an error's text that is read, in bytes.
const MAX_REFUSAL_BYTES: u64 = 16 << 10;
/// Largest reply of a token server, in bytes.
const MAX_TOKEN_BYTES: u64 = 1 << 20;
/// Number of tokens fetched for one request: one may expire during the request.
const MAX_LOGINS: u32 = 2;
/// Largest number of redirects that are followed.
const MAX_REDIRECTS: u32 = 5;
const USER_AGENT: &str = concat!("microimage/", env!("CARGO_PKG_VERSION"));

/// Function that finds the credentials; called when a registry requires them.
pub(super) type Lookup = Box<dyn Fn() -> Result<Found, RegistryError> + Send + Sync>;

/// An HTTP client that uses the proxy of `config` and trusts the certificates of `trust`.
pub(super) fn agent(config: Config, trust: Arc<Configurations>) -> Agent {
    let connector =
        ().chain(ConnectProxyConnector::default())
            .chain(TcpConnector::default())
            .chain(TlsConnector(trust));
    Agent::with_parts(config, connector, DefaultResolver::default())
}

/// The connection to one repository.
pub(super) struct Link {
    /// Host and port, as in the reference.
    registry: String,
    repository: String,
    agent: Agent,
    trust: Arc<Configurations>,
    lookup: Lookup,
    found: OnceLock<Found>,
    base: Mutex<Option<Base>>,
    login: Mutex<State>,
    scopes: Mutex<Vec<String>>,
}

/// Scheme and host, found out by the first request.
#[derive(Clone)]
struct Base {
    uri: Uri,
    origin: Origin,
}

/// Result of the first request.
struct FirstReply {
    base: Base,
    /// Whether the registry replied without a login.
    is_open: bool,
    challenges: Vec<Challenge>,
    why: String,
}

/// The value of `Authorization`, with a number that distinguishes one login from the next.
#[derive(Clone, Default)]
struct State {
    header: Option<HeaderValue>,
    number: u64,
}

/// Content of a request.
pub(super) enum Content<'a> {
    None,
    Bytes(&'a [u8]),
    /// A reader and the number of its bytes. It can be sent only once.
    Reader(&'a mut dyn Read, u64),
}

/// A request.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) target: Target<'a>,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) content: Content<'a>,
    /// Whether the reply's content is text, which has a shorter time limit.
    pub(super) text: bool,
    /// Time limit of the reply.
    reply_timeout: Duration,
}

/// Target of a request.
pub(super) enum Target<'a> {
    /// A path below `/v2/REPOSITORY/`.
    Path(&'a str),
    /// An address that the registry has sent.
    Uri(&'a Uri),
}

impl<'a> Ask<'a> {
    pub(super) fn new(method: Method, target: Target<'a>) -> Ask<'a> {
        Ask {
            method,
            target,
            headers: Vec::new(),
            content: Content::None,
            text: true,
            reply_timeout: REPLY_TIMEOUT,
        }
    }

    pub(super) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Ask<'a> {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn content(mut self, content: Content<'a>) -> Ask<'a> {
        self.content = content;
        self
    }
}

/// A reply.
pub(super) struct Reply {
    response: Response<Body>,
    /// The address of the last request, after redirects.
    uri: Uri,
}

impl Reply {
    pub(super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(super) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.response.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// The address in `Location`.
    pub(super) fn location(&self) -> Option<Uri> {
        join(&self.uri, self.header(header::LOCATION)?)
    }

    pub(super) fn reader(&mut self) -> impl Read + '_ {
        self.response.body_mut().with_config().limit(u64::MAX).reader()
    }

    /// The content; `None` if it is larger than `limit` bytes.
    pub(super) fn bytes(&mut self, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        self.reader().take(limit + 1).read_to_end(&mut bytes)?;
        Ok((bytes.len() as u64 <= limit).then_some(bytes))
    }

    /// Reads the rest, so that the connection can be reused.
    pub(super) fn finish(mut self) {
        let _ = io::copy(&mut self.reader().take(MAX_REFUSAL_BYTES), &mut io::sink());
    }

    /// The reason of a refusal, in one line: the registry's own text if it sent one.
    pub(super) fn refusal(&mut self) -> String {
        let status = self.response.status();
        let mut bytes = Vec::new();
        let _ = self.reader().take(MAX_REFUSAL_BYTES).read_to_end(&mut bytes);
        let text = error_text(&bytes);
        let text = if text.is_empty() { String::new() } else { format!(": {text}") };
        format!("status {status}{text}")
    }
}

/// The message in a registry's error (distribution-spec, "Error Codes"), or the content itself.
fn error_text(bytes: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let text = match serde_json::from_slice::<Errors>(bytes) {
        Ok(known) => {
            let texts: Vec<_> = known
                .errors
                .iter()
                .map(|one| format!("{} {}", one.code, one.message).trim().to_owned())
                .collect();
            texts.join("; ")
        }
        Err(_) => String::from_utf8_lossy(bytes).trim().to_owned(),
    };
    text.chars().take(300).flat_map(char::escape_debug).collect()
}

/// Why one attempt failed.
pub(super) enum Trouble {
    /// A permanent failure.
    Final(RegistryError),
    /// A temporary failure; `wait` is the delay that the registry asked for.
    Passing { why: String, wait: Option<Duration>, unreachable: bool },
}

impl From<RegistryError> for Trouble {
    fn from(error: RegistryError) -> Trouble {
        Trouble::Final(error)
    }
}

impl Trouble {
    pub(super) fn passing(why: impl Into<String>) -> Trouble {
        Trouble::Passing { why: why.into(), wait: None, unreachable: false }
    }
}

impl Link {
    /// Prepares a connection; nothing is sent yet.
    pub(super) fn new(registry: &str, repository: &str, trust: Trust, lookup: Lookup) -> Link {
        let trust = Arc::new(Configurations::new(trust));
        let proxy = if address::is_loopback(registry) { None } else { Proxy::try_from_env() };
        let config = Agent::config_builder()
            .user_agent(USER_AGENT)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections_per_host(8)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_per_read(Some(IDLE_TIMEOUT))
            .timeout_per_write(Some(IDLE_TIMEOUT))
            .proxy(proxy)
            .build();
        Link {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            agent: agent(config, Arc::clone(&trust)),
            trust,
            lookup,
            found: OnceLock::new(),
            base: Mutex::default(),
            login: Mutex::default(),
            scopes: Mutex::default(),
        }
    }

    /// Sets the scope of the token: `pull` or `pull,push` here, and `pull` from other repositories.
    pub(super) fn wants(&self, actions: &str, also_from: &[String]) {
        let mut scopes = vec![format!("repository:{}:{actions}", self.repository)];
        scopes.extend(also_from.iter().map(|name| format!("repository:{name}:pull")));
        *lock(&self.scopes) = scopes;
    }

    /// Sends a request and repeats it after temporary failures, as far as the policy allows.
    pub(super) fn send(&self, step: &str, ask: &mut Ask) -> Result<Reply, RegistryError> {
        self.retried(step, &mut Attempts::new(), || self.attempt(step, ask))
    }

    /// Runs an attempt and repeats it after temporary failures.
    pub(super) fn retried<T>(
        &self,
        step: &str,
        attempts: &mut Attempts,
        mut attempt: impl FnMut() -> Result<T, Trouble>,
    ) -> Result<T, RegistryError> {
        loop {
            match attempt() {
                Ok(done) => return Ok(done),
                Err(trouble) => self.wait(step, attempts, trouble)?,
            }
        }
    }

    /// Waits before the next attempt, or returns why there is none.
    pub(super) fn wait(
        &self,
        step: &str,
        attempts: &mut Attempts,
        trouble: Trouble,
    ) -> Result<(), RegistryError> {
        let (why, asked, unreachable) = match trouble {
            Trouble::Final(error) => return Err(error),
            Trouble::Passing { why, wait, unreachable } => (why, wait, unreachable),
        };
        if let Some(wait) = attempts.fail(asked) {
            thread::sleep(wait);
            return Ok(());
        }
        let why = match asked {
            Some(asked) if asked > MAX_WAIT => {
                format!("{why}; it asks to wait {} s, try again after that", asked.as_secs())
            }
            _ => format!("{why} (tried {} times)", attempts.count()),
        };
        let (registry, step) = (self.registry.clone(), step.to_owned());
        Err(if unreachable {
            RegistryError::Connect { registry, step, why }
        } else {
            RegistryError::Step { registry, step, why }
        })
    }

    /// Makes one attempt, including the login and the redirects that it needs.
    pub(super) fn attempt(&self, step: &str, ask: &mut Ask) -> Result<Reply, Trouble> {
        let base = self.base(step)?;
        let mut uri = match &ask.target {
            Target::Uri(uri) => (*uri).clone(),
            Target::Path(path) => join(&base.uri, &format!("/v2/{}/{path}", self.repository))
                .ok_or_else(|| self.step(step, format!("`{path}` is not a valid path")))?,
        };
        let (mut hops, mut logins) = (0, 0);
        loop {
            let origin = self.allowed(step, &base, &mut uri)?;
            let state = if origin == base.origin { Some(lock(&self.login).clone()) } else { None };
            let header = state.as_ref().and_then(|state| state.header.clone());
            let mut reply = self.run(step, &uri, header, ask)?;
            let status = reply.status();
            match (status, state) {
                (401, Some(state)) => {
                    if logins >= MAX_LOGINS {
                        let why = reply.refusal();
                        return Err(self.denied(step, why, Verdict::AfterLogin).into());
                    }
                    logins += 1;
                    let challenges = challenges(&reply);
                    let why = reply.refusal();
                    self.log_in(step, &challenges, &base, state.number, &why)?;
                    if let Content::Reader(..) = ask.content {
                        return Err(Trouble::Passing {
                            why,
                            wait: Some(Duration::ZERO),
                            unreachable: false,
                        });
                    }
                }
                (301 | 302 | 303 | 307 | 308, _) => {
                    let next = reply.location();
                    reply.finish();
                    let next = next
                        .filter(|_| hops < MAX_REDIRECTS)
                        .ok_or_else(|| self.step(step, "it redirects too often".to_owned()))?;
                    let reads = matches!(ask.method, Method::GET | Method::HEAD);
                    if !reads && Origin::of(&next).as_ref() != Some(&origin) {
                        let host = next.host().unwrap_or_default().to_owned();
                        return Err(self
                            .step(step, format!("it redirects an upload to `{host}`"))
                            .into());
                    }
                    if let Content::Reader(..) = ask.content {
                        return Err(self.step(step, "it redirects an upload".to_owned()).into());
                    }
                    (uri, hops) = (next, hops + 1);
                }
                (status, _) if is_passing(status) => {
                    let wait = reply
                        .header(header::RETRY_AFTER)
                        .and_then(|value| retry_after(value, SystemTime::now()));
                    let why = reply.refusal();
                    return Err(Trouble::Passing { why, wait, unreachable: false });
                }
                _ => return Ok(reply),
            }
        }
    }

    /// The origin of an address, if a request may be sent to it. An address of the registry itself
    /// that has lost its TLS behind a proxy is changed back to HTTPS. An address on another host
    /// must have TLS if the registry has it.
    fn allowed(&self, step: &str, base: &Base, uri: &mut Uri) -> Result<Origin, RegistryError> {
        let refuse = |why: String| Err(self.step(step, why));
        let Some(origin) = Origin::of(uri) else {
            return refuse("it sends an invalid address".to_owned());
        };
        if origin.is_https || !base.origin.is_https {
            return Ok(origin);
        }
        let authority = uri.authority().map(|a| a.as_str().to_owned()).unwrap_or_default();
        if base.uri.authority().is_some_and(|own| own.as_str().eq_ignore_ascii_case(&authority)) {
            let mut parts = uri.clone().into_parts();
            parts.scheme = Some(ureq::http::uri::Scheme::HTTPS);
            if let Ok(secured) = Uri::from_parts(parts) {
                *uri = secured;
                return Ok(base.origin.clone());
            }
        }
        if origin.is_loopback() || self.trust.trust().is_insecure(&authority) {
            return Ok(origin);
        }
        refuse(format!("it leads from HTTPS to plain HTTP, at `{authority}`"))
    }

    fn run(
        &self,
        step: &str,
        uri: &Uri,
        login: Option<HeaderValue>,
        ask: &mut Ask,
    ) -> Result<Reply, Trouble> {
        let mut request = Request::builder().method(&ask.method).uri(uri);
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        if let Some(login) = login {
            request = request.header(header::AUTHORIZATION, login);
        }
        let times = (ask.reply_timeout, ask.text.then_some(TEXT_TIMEOUT));
        match &mut ask.content {
            Content::None => self.run_with(step, uri, request.body(()), times),
            Content::Bytes(bytes) => {
                let request = request.header(header::CONTENT_LENGTH, bytes.len());
                self.run_with(step, uri, request.body(*bytes), times)
            }
            Content::Reader(reader, size) => {
                let request = request.header(header::CONTENT_LENGTH, *size);
                let body = SendBody::from_reader(*reader);
                self.run_with(step, uri, request.body(body), times)
            }
        }
    }

    fn run_with(
        &self,
        step: &str,
        uri: &Uri,
        request: Result<Request<impl ureq::AsSendBody>, ureq::http::Error>,
        (reply_timeout, text_timeout): (Duration, Option<Duration>),
    ) -> Result<Reply, Trouble> {
        let request = request.map_err(|error| self.step(step, error.to_string()))?;
        let request = self
            .agent
            .configure_request(request)
            .timeout_recv_response(Some(reply_timeout))
            .timeout_recv_body(text_timeout)
            .build();
        match self.agent.run(request) {
            Ok(response) => Ok(Reply { response, uri: uri.clone() }),
            Err(error) => Err(self.trouble(step, uri, error)),
        }
    }

    /// Sorts a failed exchange into temporary and permanent failures.
    fn trouble(&self, step: &str, uri: &Uri, error: ureq::Error) -> Trouble {
        let registry = self.registry.clone();
        let mut why = chain(&error);
        let identity = self.identity(uri);
        if is_alert(&error)
            && let Some(why) = identity.as_ref().and_then(|identity| identity.refused())
        {
            return Trouble::Final(RegistryError::ClientCertificate { registry, why });
        }
        // the alert may be lost if the server closes at once
        if let Some(lack) = identity.and_then(|identity| identity.lack()) {
            why = format!("{why}; it asks for a client certificate: {lack}");
        }
        let (unreachable, passing) = match error {
            ureq::Error::Other(other) => match other.downcast::<HandshakeError>().map(|e| *e) {
                Ok(HandshakeError::Certificate(why)) => {
                    return Trouble::Final(RegistryError::Certificate { registry, why });
                }
                Ok(HandshakeError::NotTls(why)) => {
                    return Trouble::Final(RegistryError::NotTls { registry, why });
                }
                Ok(HandshakeError::Configuration(error)) => return Trouble::Final(error),
                _ => (true, true),
            },
            ureq::Error::Io(error) => (
                matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionRefused
                        | io::ErrorKind::HostUnreachable
                        | io::ErrorKind::NetworkUnreachable
                ),
                true,
            ),
            ureq::Error::Timeout(which) => {
                (matches!(which, ureq::Timeout::Connect | ureq::Timeout::Resolve), true)
            }
            ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => (true, true),
            ureq::Error::ConnectProxyFailed(_) => (true, true),
            ureq::Error::Protocol(_) => (false, true),
            _ => (false, false),
        };
        match passing {
            true => Trouble::Passing { why, wait: None, unreachable },
            false => Trouble::Final(self.step(step, why)),
        }
    }

    /// The client certificate for the host of `uri`.
    fn identity(&self, uri: &Uri) -> Option<Arc<Identity>> {
        self.trust.identity(uri.authority()?.as_str())
    }

    // The first contact.

    /// Scheme and host; the first request finds them out.
    fn base(&self, step: &str) -> Result<Base, RegistryError> {
        let mut base = lock(&self.base);
        if let Some(known) = &*base {
            return Ok(known.clone());
        }
        let mut attempts = Attempts::new();
        let knocked = loop {
            match self.probe(step) {
                Ok(knocked) => break knocked,
                // No server is listening: report it at once.
                Err(Trouble::Passing { why, unreachable: true, .. }) => {
                    let (registry, step) = (self.registry.clone(), step.to_owned());
                    return Err(RegistryError::Connect { registry, step, why });
                }
                Err(trouble) => self.wait(step, &mut attempts, trouble)?,
            }
        };
        let FirstReply { base: found, is_open, challenges, why } = knocked;
        // Some registries require no login for `/v2/`, and one for the next request.
        let is_wanted = !is_open || self.credentials().credentials != Credentials::Anonymous;
        if !challenges.is_empty() && is_wanted {
            self.log_in(step, &challenges, &found, 0, &why)?;
        }
        *base = Some(found.clone());
        Ok(found)
    }

    /// Requests `/v2/` without credentials, and finds out the scheme. Every registry must speak
    /// TLS, except those that are marked as insecure and those on this machine. A registry on this
    /// machine gets a plain HTTP request first: a server with TLS refuses that at once, whereas a
    /// server without TLS may wait for the rest of a handshake that it does not understand.
    fn probe(&self, step: &str) -> Result<FirstReply, Trouble> {
        let schemes: &[&str] = if address::is_loopback(&self.registry) {
            &["http", "https"]
        } else if self.trust.trust().is_insecure(&self.registry) {
            &["https", "http"]
        } else {
            &["https"]
        };
        let host = match self.registry.as_str() {
            "docker.io" | "index.docker.io" => "registry-1.docker.io",
            host => host,
        };
        let mut first_trouble = None;
        for (n, scheme) in schemes.iter().enumerate() {
            let is_last = n + 1 == schemes.len();
            let uri: Uri = format!("{scheme}://{host}/v2/")
                .parse()
                .map_err(|_| self.step(step, format!("`{host}` is not a host")))?;
            let origin = Origin::of(&uri)
                .ok_or_else(|| self.step(step, format!("`{host}` is not a host")))?;
            let mut ask = Ask::new(Method::GET, Target::Uri(&uri));
            if !is_last && *scheme == "http" {
                ask.reply_timeout = PROBE_TIMEOUT;
            }
            match self.run(step, &uri, None, &mut ask) {
                Ok(reply) if !is_last && *scheme == "http" && wants_tls(&reply, &uri) => {}
                Ok(mut reply) if is_passing(reply.status()) => {
                    let wait = reply
                        .header(header::RETRY_AFTER)
                        .and_then(|value| retry_after(value, SystemTime::now()));
                    let why = reply.refusal();
                    return Err(Trouble::Passing { why, wait, unreachable: false });
                }
                Ok(mut reply) => {
                    // nginx and others complete the handshake and refuse afterwards
                    let identity = self.identity(&uri);
                    let refused = identity.and_then(|known| match reply.status() {
                        400 => known.refused(),
                        403 => known.lack(),
                        _ => None,
                    });
                    if let Some(why) = refused {
                        let registry = self.registry.clone();
                        return Err(RegistryError::ClientCertificate { registry, why }.into());
                    }
                    let (challenges, why) = (challenges(&reply), reply.refusal());
                    let is_open = reply.status() != 401;
                    if !is_open && challenges.is_empty() {
                        return Err(self.denied(step, why, Verdict::BeforeLogin).into());
                    }
                    return Ok(FirstReply { base: Base { uri, origin }, is_open, challenges, why });
                }
                Err(trouble @ Trouble::Passing { unreachable: true, .. }) => return Err(trouble),
                Err(trouble @ Trouble::Final(RegistryError::NotTls { .. }))
                | Err(trouble @ Trouble::Passing { .. }) => {
                    first_trouble.get_or_insert(trouble);
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Err(match first_trouble {
            // plain HTTP failed and the server speaks no TLS: try plain HTTP again
            Some(trouble) => trouble,
            None => Trouble::passing("it answers neither HTTP nor TLS".to_owned()),
        })
    }

    // Login.

    /// The credentials, looked up once.
    fn credentials(&self) -> &Found {
        self.found.get_or_init(|| {
            // The error is reported when the registry requires credentials: many registries do not.
            (self.lookup)().unwrap_or_else(|_| Found::nothing())
        })
    }

    /// Answers a challenge. `seen` is the number of the login that was refused. If there is a newer
    /// login already, another thread has made it.
    fn log_in(
        &self,
        step: &str,
        challenges: &[Challenge],
        base: &Base,
        seen: u64,
        why: &str,
    ) -> Result<(), RegistryError> {
        let mut state = lock(&self.login);
        if state.number != seen {
            return Ok(());
        }
        let found = self.credentials();
        let bearer = challenges.iter().find_map(|challenge| match challenge {
            Challenge::Bearer { realm, service, scope } => Some((realm, service, scope)),
            Challenge::Basic => None,
        });
        let header = match (&found.credentials, bearer) {
            (Credentials::RegistryToken(token), Some(_)) => secret(format!("Bearer {token}")),
            (_, Some((realm, service, scope))) => {
                let token = self.token(base, realm, service.as_deref(), scope.as_deref())?;
                secret(format!("Bearer {token}"))
            }
            (Credentials::Basic { username, password }, None)
                if challenges.contains(&Challenge::Basic) =>
            {
                secret(basic(username, password))
            }
            _ => return Err(self.denied(step, why.to_owned(), Verdict::BeforeLogin)),
        };
        let header = header.ok_or_else(|| RegistryError::Credentials {
            registry: self.registry.clone(),
            why: format!("those from {} contain characters that no header may have", found.origin),
        })?;
        let is_same_password = bearer.is_none() && state.header.as_ref() == Some(&header);
        if is_same_password {
            return Err(self.denied(step, why.to_owned(), Verdict::WrongPassword));
        }
        *state = State { header: Some(header), number: seen + 1 };
        Ok(())
    }

    /// A token for our scopes and those that the registry asks for. A password or an identity token
    /// goes to `realm` only over TLS or on this machine, and never to an address that it redirects
    /// to.
    fn token(
        &self,
        base: &Base,
        realm: &str,
        service: Option<&str>,
        scope: Option<&str>,
    ) -> Result<String, RegistryError> {
        let step = "asking for a token";
        let found = self.credentials();
        let is_anonymous = found.credentials == Credentials::Anonymous;
        let unsafe_realm = || RegistryError::Realm {
            registry: self.registry.clone(),
            realm: realm.chars().take(200).collect(),
        };
        let uri: Uri = realm.parse().map_err(|_| unsafe_realm())?;
        let origin = Origin::of(&uri).filter(|_| !realm.contains('\\')).ok_or_else(unsafe_realm)?;
        let authority = uri.authority().map(|a| a.as_str()).unwrap_or_default();
        if !is_anonymous
            && !origin.is_https
            && !origin.is_loopback()
            && !self.trust.trust().is_insecure(authority)
        {
            return Err(unsafe_realm());
        }
        let mut scopes = lock(&self.scopes).clone();
        scopes.extend(scope.into_iter().flat_map(|scope| scope.split(' ')).map(str::to_owned));
        scopes.retain(|scope| !scope.is_empty());
        let mut seen = Vec::new();
        scopes.retain(|scope| {
            let is_new = !seen.contains(scope);
            seen.push(scope.clone());
            is_new
        });
        let mut pairs: Vec<(&str, &str)> =
            service.map(|service| ("service", service)).into_iter().collect();
        let mut ask = Ask::new(Method::GET, Target::Uri(&uri));
        let mut login = None;
        let joined = scopes.join(" ");
        let form;
        let target;
        if let Credentials::IdentityToken(token) = &found.credentials {
            pairs.extend([
                ("grant_type", "refresh_token"),
                ("refresh_token", token),
                ("client_id", "microimage"),
                ("scope", &joined),
            ]);
            form = encoded(&pairs);
            target = uri.clone();
            ask.method = Method::POST;
            ask = ask
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .content(Content::Bytes(form.as_bytes()));
        } else {
            pairs.extend(scopes.iter().map(|scope| ("scope", scope.as_str())));
            if let Credentials::Basic { username, password } = &found.credentials {
                pairs.push(("account", username));
                login = secret(basic(username, password));
            }
            let separator = if uri.query().is_some() { '&' } else { '?' };
            target = format!("{uri}{separator}{}", encoded(&pairs))
                .trim_end_matches(['?', '&'])
                .parse()
                .map_err(|_| unsafe_realm())?;
        }
        let mut reply = self.retried(step, &mut Attempts::new(), || {
            let mut target = target.clone();
            for _ in 0..=MAX_REDIRECTS {
                let mut reply = self.run(step, &target, login.clone(), &mut ask)?;
                match reply.status() {
                    301 | 302 | 303 | 307 | 308 => {
                        let next = reply
                            .location()
                            .ok_or_else(|| self.step(step, "it redirects too often".to_owned()))?;
                        let is_same = Origin::of(&next).is_some_and(|next| next == origin);
                        if !is_same && (!is_anonymous || base.origin.is_https) {
                            let host = next.authority().map_or("", |a| a.as_str());
                            return Err(self
                                .step(
                                    step,
                                    format!(
                                        "its token server redirects the login to `{host}`; no \
                                         password was sent there"
                                    ),
                                )
                                .into());
                        }
                        reply.finish();
                        target = next;
                    }
                    status if is_passing(status) => {
                        let wait = reply
                            .header(header::RETRY_AFTER)
                            .and_then(|value| retry_after(value, SystemTime::now()));
                        let why = reply.refusal();
                        return Err(Trouble::Passing { why, wait, unreachable: false });
                    }
                    _ => return Ok(reply),
                }
            }
            Err(self.step(step, "it redirects too often".to_owned()).into())
        })?;
        match reply.status() {
            200..=299 => {}
            400 | 401 | 403 => {
                let why = reply.refusal();
                let verdict =
                    if is_anonymous { Verdict::BeforeLogin } else { Verdict::WrongPassword };
                return Err(self.denied(step, why, verdict));
            }
            _ => return Err(self.step(step, reply.refusal())),
        }
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            token: Option<String>,
            #[serde(default)]
            access_token: Option<String>,
        }
        let bytes = reply
            .bytes(MAX_TOKEN_BYTES)
            .map_err(|error| self.step(step, chain(&error)))?
            .ok_or_else(|| {
            self.step(step, format!("its token is larger than {MAX_TOKEN_BYTES} bytes"))
        })?;
        // The parser's own message would quote the token.
        let answer: Answer = serde_json::from_slice(&bytes).map_err(|_| {
            self.step(step, "its token server does not answer with JSON".to_owned())
        })?;
        [answer.token, answer.access_token]
            .into_iter()
            .flatten()
            .find(|token| !token.is_empty())
            .ok_or_else(|| self.step(step, "its token server sends no token".to_owned()))
    }

    // Errors.

    pub(super) fn step(&self, step: &str, why: String) -> RegistryError {
        RegistryError::Step { registry: self.registry.clone(), step: step.to_owned(), why }
    }

    /// The error for a refusal, according to the credentials of the request.
    pub(super) fn denied(&self, step: &str, why: String, verdict: Verdict) -> RegistryError {
        let found = self.credentials();
        if found.credentials == Credentials::Anonymous
            && let Err(error) = (self.lookup)()
        {
            return error;
        }
        let user = found.credentials.user().to_owned();
        let login = match (&found.credentials, verdict) {
            (Credentials::Anonymous, _) => Login::Absent,
            (_, Verdict::WrongPassword) => Login::Wrong { user, origin: found.origin.clone() },
            // a registry that requires tokens does not accept a name and a password
            (_, Verdict::BeforeLogin) => Login::Wrong { user, origin: found.origin.clone() },
            (_, Verdict::AfterLogin) => {
                let is_basic = lock(&self.login)
                    .header
                    .as_ref()
                    .is_some_and(|header| header.as_bytes().starts_with(b"Basic"));
                // a token is issued only for a correct password
                match is_basic {
                    true => Login::Wrong { user, origin: found.origin.clone() },
                    false => Login::Insufficient { user },
                }
            }
            (_, Verdict::Forbidden) => Login::Insufficient { user },
        };
        let (registry, step) = (self.registry.clone(), step.to_owned());
        RegistryError::Denied { registry, step, why, login }
    }

    /// The error for an unexpected reply.
    pub(super) fn unexpected(&self, step: &str, reply: &mut Reply) -> RegistryError {
        let why = reply.refusal();
        match reply.status() {
            401 | 403 => self.denied(step, why, Verdict::Forbidden),
            _ => self.step(step, why),
        }
    }
}

/// Point at which a registry refused.
#[derive(Clone, Copy)]
pub(super) enum Verdict {
    BeforeLogin,
    WrongPassword,
    AfterLogin,
    Forbidden,
}

/// Whether a reply to plain HTTP shows a server with TLS: Go's server and nginx send 400, others
/// redirect to the same place.
fn wants_tls(reply: &Reply, asked: &Uri) -> bool {
    let redirected = reply.location().is_some_and(|next| {
        next.scheme_str() == Some("https") && next.authority() == asked.authority()
    });
    reply.status() == 400 || redirected
}

fn challenges(reply: &Reply) -> Vec<Challenge> {
    let headers = reply.response.headers().get_all(header::WWW_AUTHENTICATE);
    let texts: Vec<_> =
        headers.iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    challenge::parse(texts.iter().map(AsRef::as_ref))
}

fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

/// A header value that is never printed.
fn secret(value: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// `application/x-www-form-urlencoded`, for a query and for a form.
fn encoded(pairs: &[(&str, &str)]) -> String {
    let one = |text: &str| -> String {
        let escape = |byte: u8| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                (byte as char).to_string()
            }
            byte => format!("%{byte:02X}"),
        };
        text.bytes().map(escape).collect()
    };
    let pairs: Vec<_> = pairs.iter().map(|(k, v)| format!("{}={}", one(k), one(v))).collect();
    pairs.join("&")
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the server has ended TLS with an alert: during the handshake, or with TLS 1.3 after it.
fn is_alert(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Io(error) => matches!(
            error.get_ref().and_then(|inner| inner.downcast_ref()),
            Some(rustls::Error::AlertReceived(_))
        ),
        ureq::Error::Other(other) => {
            matches!(other.downcast_ref(), Some(HandshakeError::Alert(_)))
        }
        _ => false,
    }
}

/// An error and its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text.chars().take(600).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_encodes_reserved_characters() {
        assert_eq!(
            encoded(&[("scope", "repository:a/b:pull,push"), ("account", "é &=+")]),
            "scope=repository%3Aa%2Fb%3Apull%2Cpush&account=%C3%A9%20%26%3D%2B"
        );
    }

    #[test]
    fn a_refusal_is_the_registrys_own_text_in_one_line() {
        let known = br#"{"errors":[{"code":"DENIED","message":"no\nway"},{"code":"X"}]}"#;
        assert_eq!(error_text(known), r"DENIED no\nway; X");
        assert_eq!(error_text(b" <html>\x1b[31m "), r"<html>\u{1b}[31m");
        assert_eq!(error_text(&[b'x'; 1000]).len(), 300);
    }
}
