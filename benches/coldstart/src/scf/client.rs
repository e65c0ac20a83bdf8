//! Client of the cloud's API: it sends signed requests over persistent connections
//! (TC3-HMAC-SHA256, API 3.0, JSON). It respects each action's rate, repeats a request after a
//! pause if the platform refused its rate, and corrects a wrong clock by the server's. It never
//! prints any part of a request.

use super::credentials::Credentials;
use super::pace::Turns;
use super::refusal;
use microimage::registry::{self, Trust};
use serde_json::Value;
use std::fmt;
use std::io::Read as _;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tc3::{Call, sign};
use ureq::http::{Uri, header};
use ureq::{Agent, Proxy};

/// Time limit for a connection, including its TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit for an answer: a synchronous call runs for at most 300 s (Invoke).
const REPLY_TIMEOUT: Duration = Duration::from_secs(330);
/// Largest answer that the client reads: SearchLog returns up to 49 MB.
const MAX_REPLY_BYTES: u64 = 50 << 20;
/// How often the client repeats a request after the platform refused its rate.
const MAX_REFUSED: u32 = 8;
/// How often the client repeats a request that got no answer, if a repetition is safe.
const MAX_LOST: u32 = 2;
/// The first pause after such a refusal; each further pause is twice as long.
const PAUSE: Duration = Duration::from_millis(250);
/// The address of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `https://scf.tencentcloudapi.com`, without a path.
    base: String,
    /// The value of `Host`.
    host: String,
    loopback: bool,
}

/// Why an endpoint is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The endpoint cannot be parsed.
    #[error("invalid endpoint `{0}`; write https://HOST, or http://127.0.0.1:PORT for a test")]
    Shape(String),
    /// Plain HTTP to another machine.
    #[error(
        "`{0}` is plain HTTP and not on this machine: requests and answers would be read and \
         changed on their way; write https://"
    )]
    Plain(String),
}

impl Endpoint {
    /// Parses `https://HOST[:PORT]`, or plain `http://` on loopback.
    ///
    /// # Errors
    /// [`EndpointError`]
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let shape = || EndpointError::Shape(text.chars().take(200).collect());
        let uri: Uri = text.trim_end_matches('/').parse().map_err(|_| shape())?;
        let authority = uri.authority().ok_or_else(shape)?;
        let plain_path = matches!(uri.path(), "" | "/") && uri.query().is_none();
        if authority.as_str().contains('@') || !plain_path {
            return Err(shape());
        }
        let name = authority.host().trim_start_matches('[').trim_end_matches(']');
        let loopback = name == "localhost"
            || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if loopback => {}
            Some("http") => return Err(EndpointError::Plain(text.to_owned())),
            _ => return Err(shape()),
        }
        let scheme = uri.scheme_str().unwrap_or("https");
        let host = authority.as_str().to_owned();
        Ok(Self { base: format!("{scheme}://{host}"), host, loopback })
    }

    /// The public endpoint of a service.
    pub fn public(service: &str) -> Self {
        let host = format!("{service}.tencentcloudapi.com");
        Self { base: format!("https://{host}"), host, loopback: false }
    }

    /// Whether the endpoint is on this machine, like a test's stand-in.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Whether the endpoint belongs to the cloud.
    pub fn is_of_the_cloud(&self) -> bool {
        self.host == "tencentcloudapi.com" || self.host.ends_with(".tencentcloudapi.com")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

/// A service of the cloud's API.
#[derive(Debug, Clone)]
pub struct Service {
    /// `scf`, `cls`.
    pub name: &'static str,
    /// Version of its API.
    pub version: &'static str,
    /// Its endpoint.
    pub endpoint: Endpoint,
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The platform refused the call.
    #[error("{action}: {code}: {message} (request {request_id}); {}", refusal::advice(code))]
    Refused {
        /// The action.
        action: String,
        /// The platform's code.
        code: String,
        /// Its message.
        message: String,
        /// The platform's request identity.
        request_id: String,
    },
    /// The call got no answer.
    #[error("{action} at `{endpoint}`: {why}")]
    Transport {
        /// The action.
        action: String,
        /// The endpoint.
        endpoint: String,
        /// What happened.
        why: String,
    },
    /// The answer does not have the API's form.
    #[error("{action} at `{endpoint}` answered something else than the API does: {what}")]
    Answer {
        /// The action.
        action: String,
        /// The endpoint.
        endpoint: String,
        /// What is missing or wrong.
        what: String,
    },
    /// The user ended the run.
    #[error("interrupted")]
    Interrupted,
}

impl CallError {
    /// The platform's code, if the platform refused the call.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether the code begins with this text: `ResourceNotFound` covers everything that does not
    /// exist.
    pub fn is(&self, family: &str) -> bool {
        self.code()
            .and_then(|code| code.strip_prefix(family))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

/// An answer with its times.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The member `Response`.
    pub response: Value,
    /// Time from before the client wrote the request until it had read the answer.
    pub took: Duration,
    /// When the client wrote the request.
    pub began: Instant,
    /// The same time by the wall clock.
    pub at: SystemTime,
}

/// Signs and sends requests. Clones share the rates and the clock's correction; each has its own
/// connections.
pub struct Client {
    shared: Arc<Shared>,
    agent: Agent,
}

struct Shared {
    credentials: Credentials,
    region: String,
    direct: bool,
    stop: Arc<AtomicBool>,
    /// Seconds to add to this machine's clock.
    skew_s: AtomicI64,
    turns: Mutex<Turns>,
    refused: AtomicU64,
    calls: AtomicU64,
}

impl Client {
    /// Creates a client for one region. `direct`: bypasses the proxy, as for this machine. `stop`:
    /// ends every wait.
    pub fn new(
        credentials: Credentials,
        region: String,
        direct: bool,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let shared = Shared {
            credentials,
            region,
            direct,
            stop,
            skew_s: AtomicI64::new(0),
            turns: Mutex::default(),
            refused: AtomicU64::new(0),
            calls: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared), agent: agent(direct) }
    }

    /// A copy of the client with its own connections.
    pub fn beside(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), agent: agent(self.shared.direct) }
    }

    /// A copy of the client with the same key and region and another flag: for cleaning up after an
    /// interruption.
    pub fn unstoppable(&self) -> Self {
        let of = &self.shared;
        let skew_s = of.skew_s.load(Ordering::Relaxed);
        let stop = Arc::new(AtomicBool::new(false));
        let client = Self::new(of.credentials.clone(), of.region.clone(), of.direct, stop);
        client.shared.skew_s.store(skew_s, Ordering::Relaxed);
        client
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.shared.region
    }

    /// How many requests the client repeated because the platform refused their rate.
    pub fn refused_for_rate(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// How many requests the client sent.
    pub fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
    }

    /// How far this machine's clock is off, in seconds; 0 unless the platform refused a signature
    /// for that reason.
    pub fn skew_s(&self) -> i64 {
        self.shared.skew_s.load(Ordering::Relaxed)
    }

    /// Sends a request and repeats it while the platform refuses its rate.
    ///
    /// # Errors
    /// [`CallError`]
    pub fn call(&self, of: &Service, action: &str, body: &Value) -> Result<Answer, CallError> {
        let payload = body.to_string();
        let (mut pause, mut corrected) = (PAUSE, false);
        let (mut refused, mut lost) = (0, 0);
        loop {
            self.keep_rate(action)?;
            let (answer, server_s) = match self.send(of, action, &payload) {
                Err(CallError::Transport { .. }) if is_repeatable(action) && lost < MAX_LOST => {
                    lost += 1;
                    self.wait(PAUSE)?;
                    continue;
                }
                sent => sent?,
            };
            let Some(error) = answer.response.get("Error") else { return Ok(answer) };
            let text = |value: &Value, name: &str| {
                value.get(name).and_then(Value::as_str).unwrap_or("").to_owned()
            };
            let code = text(error, "Code");
            if code == "RequestLimitExceeded" && refused < MAX_REFUSED {
                refused += 1;
                self.shared.refused.fetch_add(1, Ordering::Relaxed);
                self.wait(pause.mul_f64(0.75 + fastrand::f64() / 2.0))?;
                pause *= 2;
                continue;
            }
            if code == "AuthFailure.SignatureExpire" && !corrected {
                corrected = true;
                if let Some(server_s) = server_s {
                    self.shared.skew_s.store(server_s - now_s(), Ordering::Relaxed);
                    continue;
                }
            }
            return Err(CallError::Refused {
                action: action.to_owned(),
                code,
                message: text(error, "Message"),
                request_id: text(&answer.response, "RequestId"),
            });
        }
    }

    /// Sends one request. Returns the answer with the server's clock, if the answer states it.
    fn send(
        &self,
        of: &Service,
        action: &str,
        payload: &str,
    ) -> Result<(Answer, Option<i64>), CallError> {
        let seconds = now_s() + self.skew_s();
        let content_type = "application/json";
        let call = Call {
            method: "POST",
            path: "/",
            query: "",
            headers: &[("content-type", content_type), ("host", &of.endpoint.host)],
            payload: payload.as_bytes(),
        };
        let authorization = sign(&call, self.shared.credentials.credential(), of.name, seconds);
        let mut request = self
            .agent
            .post(format!("{}/", of.endpoint.base))
            .header(header::CONTENT_TYPE, content_type)
            .header(header::HOST, &of.endpoint.host)
            .header(header::AUTHORIZATION, authorization)
            .header("X-TC-Action", action)
            .header("X-TC-Version", of.version)
            .header("X-TC-Timestamp", seconds.to_string())
            .header("X-TC-Region", &self.shared.region);
        if let Some(token) = self.shared.credentials.token() {
            request = request.header("X-TC-Token", token);
        }
        let transport = |why: String| CallError::Transport {
            action: action.to_owned(),
            endpoint: of.endpoint.to_string(),
            why,
        };
        self.shared.calls.fetch_add(1, Ordering::Relaxed);
        let (at, began) = (SystemTime::now(), Instant::now());
        let mut reply =
            request.send(payload.as_bytes()).map_err(|error| transport(error.to_string()))?;
        let mut text = Vec::new();
        let limited = reply.body_mut().with_config().limit(MAX_REPLY_BYTES);
        limited.reader().read_to_end(&mut text).map_err(|error| transport(error.to_string()))?;
        let took = began.elapsed();
        let server_s = reply
            .headers()
            .get(header::DATE)
            .and_then(|date| humanly(date.to_str().ok()?))
            .and_then(|time| i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok());
        let wrong = |what: String| CallError::Answer {
            action: action.to_owned(),
            endpoint: of.endpoint.to_string(),
            what,
        };
        let status = reply.status();
        let value: Value = serde_json::from_slice(&text)
            .map_err(|_| wrong(format!("status {status}, no JSON")))?;
        let response = match value {
            Value::Object(mut members) => members.remove("Response"),
            _ => None,
        };
        let response =
            response.ok_or_else(|| wrong(format!("status {status}, no member Response")))?;
        Ok((Answer { response, took, began, at }, server_s))
    }

    /// Waits until the action's rate allows a request.
    fn keep_rate(&self, action: &str) -> Result<(), CallError> {
        if self.shared.stop.load(Ordering::Relaxed) {
            return Err(CallError::Interrupted);
        }
        let mut turns = self.shared.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.take(action, Instant::now());
        drop(turns);
        self.wait(turn.saturating_duration_since(Instant::now()))
    }

    /// Sleeps until the time is over or the user ends the run. The platform sends no signal when a
    /// resource is ready, so the run must poll.
    ///
    /// # Errors
    /// [`CallError::Interrupted`]
    pub fn wait(&self, how_long: Duration) -> Result<(), CallError> {
        const STEP: Duration = Duration::from_millis(50);
        let until = Instant::now() + how_long;
        loop {
            if self.shared.stop.load(Ordering::Relaxed) {
                return Err(CallError::Interrupted);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(STEP));
        }
    }
}

/// Whether the client may repeat a request that got no answer: queries, and deletions, which find
/// nothing the second time. A call of a function or a creation may already have happened.
fn is_repeatable(action: &str) -> bool {
    ["Get", "List", "Search", "Delete"].iter().any(|word| action.starts_with(word))
}

fn agent(direct: bool) -> Agent {
    let config = Agent::config_builder()
        .user_agent(concat!("coldstart/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections_per_host(1)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(REPLY_TIMEOUT))
        .timeout_per_call(Some(REPLY_TIMEOUT))
        .proxy(if direct { None } else { Proxy::try_from_env() })
        .build();
    registry::client(config, Trust::default())
}

fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Parses an HTTP date (RFC 9110, section 5.6.7).
fn humanly(text: &str) -> Option<SystemTime> {
    // `Sun, 06 Nov 1994 08:49:37 GMT`
    let mut words = text.split_whitespace().skip(1);
    let (day, month, year) = (words.next()?, words.next()?, words.next()?);
    let (time, zone) = (words.next()?, words.next()?);
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|known| *known == month)? + 1;
    let day: u8 = day.parse().ok()?;
    (zone == "GMT").then_some(())?;
    humantime::parse_rfc3339(&format!("{year}-{month:02}-{day:02}T{time}Z")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine() {
        for good in ["http://127.0.0.1:9002", "http://localhost:9002/", "http://[::1]:9002"] {
            assert!(Endpoint::parse(good).unwrap().is_loopback(), "{good}");
        }
        let public = Endpoint::parse("https://scf.tencentcloudapi.com").unwrap();
        assert_eq!(public, Endpoint::public("scf"));
        assert!(public.is_of_the_cloud() && !public.is_loopback());
        let near = Endpoint::parse("https://tencentcloudapi.com.example.org").unwrap();
        assert!(!near.is_of_the_cloud());
        for plain in [
            "http://scf.tencentcloudapi.com",
            "http://127.0.0.1.example.org",
            "http://10.0.0.1:80",
            "http://0.0.0.0:9002",
            "http://localhost.example.org",
        ] {
            assert_eq!(Endpoint::parse(plain), Err(EndpointError::Plain(plain.into())));
        }
        for wrong in [
            "",
            "127.0.0.1:9002",
            "ftp://127.0.0.1",
            "https://",
            "https://user@scf.tencentcloudapi.com",
            "http://127.0.0.1:9002/path",
            "https://a?b",
        ] {
            assert!(matches!(Endpoint::parse(wrong), Err(EndpointError::Shape(_))), "{wrong}");
        }
    }

    #[test]
    fn a_servers_date_is_read() {
        let seconds = humanly("Sun, 06 Nov 1994 08:49:37 GMT")
            .and_then(|t| t.duration_since(UNIX_EPOCH).ok())
            .map(|d| d.as_secs());
        assert_eq!(seconds, Some(784_111_777));
        for wrong in ["", "Sun", "Sun, 06 Xyz 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET"] {
            assert_eq!(humanly(wrong), None, "{wrong}");
        }
    }
}
