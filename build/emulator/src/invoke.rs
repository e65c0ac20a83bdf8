//! One invocation from the caller's request to its outcome: what the platform checks, what it sends
//! to the instance, what it makes of the reply. Platform pages "WebServer image function" and
//! "Function status codes".

use crate::config::{Config, ConfigError, Mode};
use crate::instance::{Broken, Host, StartUp};
use crate::journal::{Journal, Ran};
use crate::pool::Pool;
use crate::program::Program;
use crate::queue::Queue;
use crate::verdict::Verdict;
use crate::wire::{Fields, MAX_BODY_BYTES, Reply, Request, WireError, field, is_hop};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The largest asynchronous event, in bytes.
pub const MAX_ASYNC_BYTES: usize = 128 << 10;
/// What the header fields of a Web function's reply may come to, in bytes.
const MAX_REPLY_HEAD_BYTES: usize = 4 << 10;

/// The platform in front of one function.
pub struct Platform {
    invoker: Arc<Invoker>,
    queue: Queue,
}

/// What runs invocations, now or later.
pub(crate) struct Invoker {
    pub(crate) pool: Arc<Pool>,
    pub(crate) journal: Arc<Journal>,
}

/// A request that the platform has taken.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Its id; retries keep it.
    pub request_id: String,
    /// As the caller sent it.
    pub request: Request,
    is_timer: bool,
    client: Option<IpAddr>,
}

/// What became of an invocation.
#[derive(Debug)]
pub struct Outcome {
    /// Its id.
    pub request_id: String,
    /// In the platform's words.
    pub verdict: Verdict,
    /// What the function answered, if it did.
    pub reply: Option<Reply>,
    /// What starting an instance took, if one was started for it.
    pub cold: Option<StartUp>,
    /// Time and memory.
    pub ran: Ran,
    /// The header fields that the function got.
    pub sent: Fields,
}

impl Invocation {
    /// Holds a request to the platform's rules: an event is JSON of at most `max_bytes`.
    ///
    /// # Errors
    /// 400 or 406.
    pub fn new(request: Request, mode: Mode, max_bytes: usize) -> Result<Invocation, Verdict> {
        if request.body.len() > max_bytes {
            return Err(Verdict::EventTooBig);
        }
        let is_timer = match mode {
            Mode::Event => {
                let event: serde_json::Value =
                    serde_json::from_slice(&request.body).map_err(|_| Verdict::NoJson)?;
                event.get("Type").is_some_and(|kind| kind == "Timer")
            }
            Mode::Web => false,
        };
        Ok(Invocation { request_id: new_id(), request, is_timer, client: None })
    }

    /// Whether a timer's trigger sent it.
    pub fn is_timer(&self) -> bool {
        self.is_timer
    }

    /// Who called, if that is known.
    pub fn client(&self) -> Option<IpAddr> {
        self.client
    }

    /// What the instance gets.
    fn outgoing(&self, config: &Config) -> Request {
        let mut headers = config.headers(self);
        let request = &self.request;
        match config.mode {
            Mode::Event => {
                headers.insert(0, ("Content-Type".into(), "application/json".into()));
                let (method, target) = ("POST".into(), "/event-invoke".into());
                Request { method, target, headers, body: request.body.clone() }
            }
            Mode::Web => {
                // The platform's own names cannot be set by a client, and ours are not for the
                // function.
                let is_ours = |name: &str| {
                    let name = name.to_ascii_lowercase();
                    name.starts_with("x-scf-") || name.starts_with("firstbyte-")
                };
                let passed =
                    request.headers.iter().filter(|(name, _)| !is_hop(name) && !is_ours(name));
                headers.splice(0..0, passed.cloned());
                Request { headers, ..request.clone() }
            }
        }
    }
}

impl Platform {
    /// Plays the platform in front of `program`.
    ///
    /// # Errors
    /// A configuration that the platform would not take.
    pub fn new(
        config: Config,
        host: Arc<Host>,
        program: Program,
        journal: Arc<Journal>,
    ) -> Result<Arc<Platform>, ConfigError> {
        config.check()?;
        let pool = Pool::new(config, host, program, journal.clone());
        let invoker = Arc::new(Invoker { pool, journal });
        Ok(Arc::new(Platform { queue: Queue::new(invoker.clone()), invoker }))
    }

    /// Invokes the function and waits for the outcome.
    pub fn invoke(&self, request: Request) -> Outcome {
        self.invoke_from(request, None)
    }

    /// The same for a client whose address is known: a Web function is told.
    pub fn invoke_from(&self, request: Request, client: Option<IpAddr>) -> Outcome {
        match Invocation::new(request, self.config().mode, MAX_BODY_BYTES) {
            Ok(invocation) => self.invoker.run(&Invocation { client, ..invocation }),
            Err(verdict) => self.refuse(verdict),
        }
    }

    /// Takes an event to be worked on later, with retries; returns its id.
    ///
    /// # Errors
    /// 400, 406, or 432 when too many are waiting.
    pub fn send(&self, request: Request) -> Result<String, Verdict> {
        let invocation = Invocation::new(request, self.config().mode, MAX_ASYNC_BYTES)?;
        let id = invocation.request_id.clone();
        self.queue.push(invocation)?;
        Ok(id)
    }

    /// An invocation that never came to the function.
    pub(crate) fn refuse(&self, verdict: Verdict) -> Outcome {
        self.invoker.journal.note(format_args!("refused: {verdict}"));
        let ran = Ran::default();
        Outcome { request_id: new_id(), verdict, reply: None, cold: None, ran, sent: Vec::new() }
    }

    /// The function's configuration; another after a swap.
    pub fn config(&self) -> Arc<Config> {
        self.invoker.pool.config()
    }

    /// Its instances.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.invoker.pool
    }

    /// Where its lines go.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.invoker.journal
    }

    /// Ends everything; waiting events are dropped.
    pub fn close(&self) {
        self.queue.close();
        self.invoker.pool.close();
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.close();
    }
}

impl Invoker {
    /// Runs an invocation to its end, whatever that is.
    pub(crate) fn run(&self, invocation: &Invocation) -> Outcome {
        let id = &invocation.request_id;
        self.journal.start(id);
        let config = self.pool.config();
        let request = invocation.outgoing(&config);
        let lease = match self.pool.acquire() {
            Ok(lease) => lease,
            Err(verdict) => {
                return self.end(
                    invocation,
                    &config,
                    verdict,
                    None,
                    None,
                    Ran::default(),
                    request.headers,
                );
            }
        };
        let (instance, cold) = (lease.instance.clone(), lease.cold);
        if let Some(start) = &cold {
            self.journal.init(id, start, &config, instance.memory_bytes());
        }
        let started = Instant::now();
        let result = instance.exchange(&request, config.timeout);
        let duration = started.elapsed();
        let ran = Ran { duration, memory_bytes: instance.memory_bytes() };
        let (verdict, reply) = judge(result, &config);
        drop(instance);
        self.pool.release(lease, &verdict);
        self.end(invocation, &config, verdict, reply, cold, ran, request.headers)
    }

    // all of one kind: what an outcome and its lines are made of
    #[allow(clippy::too_many_arguments)]
    fn end(
        &self,
        invocation: &Invocation,
        config: &Config,
        verdict: Verdict,
        reply: Option<Reply>,
        cold: Option<StartUp>,
        ran: Ran,
        sent: Fields,
    ) -> Outcome {
        let is_event = config.mode == Mode::Event;
        let returned = reply.as_ref().filter(|_| is_event).map(|reply| reply.body.as_slice());
        self.journal.end(&invocation.request_id, &verdict, returned, &ran, config);
        Outcome { request_id: invocation.request_id.clone(), verdict, reply, cold, ran, sent }
    }
}

/// What a reply, or that there is none, means on the platform.
fn judge(result: Result<Reply, Broken>, config: &Config) -> (Verdict, Option<Reply>) {
    let reply = match result {
        Ok(reply) => reply,
        Err(Broken::TimedOut) => return (Verdict::TimeLimitReached(config.timeout), None),
        Err(Broken::Ended(verdict)) => return (verdict, None),
        Err(Broken::Wire(WireError::TooBig)) => {
            return (Verdict::ReplyTooBig("a body of 6 MB"), None);
        }
        Err(Broken::Wire(error)) => return (Verdict::BadReply(error.to_string()), None),
    };
    let verdict = match config.mode {
        Mode::Event if (200..300).contains(&reply.status) => Verdict::Success,
        Mode::Event => Verdict::UserCodeException(reply.status),
        Mode::Web if head_bytes(&reply.headers) > MAX_REPLY_HEAD_BYTES => {
            return (Verdict::ReplyTooBig("header fields of 4 KB"), None);
        }
        Mode::Web => Verdict::Success,
    };
    (verdict, Some(reply))
}

fn head_bytes(headers: &Fields) -> usize {
    headers.iter().map(|(name, value)| name.len() + value.len() + ": \r\n".len()).sum()
}

/// A request id as the platform's look: that of a random UUID. Its numbers come from the keys that
/// std draws for each hash map: ids must differ, and nobody relies on more.
pub(crate) fn new_id() -> String {
    let [a, b] = [(); 2].map(|()| RandomState::new().build_hasher().finish());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xfff,
        b >> 48 & 0x3fff | 0x8000,
        b & 0xffff_ffff_ffff
    )
}

/// The time that a reply says the function took, for people.
pub fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

/// Whether a client marked its request as one that nobody waits for.
pub(crate) fn is_async(headers: &Fields) -> bool {
    field(headers, crate::front::INVOCATION_TYPE)
        .is_some_and(|kind| kind.eq_ignore_ascii_case("event"))
}
