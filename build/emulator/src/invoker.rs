//! Invoker: runs an invocation. It takes an instance, sends the request, and judges the reply or
//! its absence. Platform pages "WebServer image function" and "Function status codes".

use crate::config::{Config, Mode};
use crate::instance::{ExchangeError, Handshake};
use crate::invocation::Invocation;
use crate::journal::{Journal, Ran};
use crate::pool::Pool;
use crate::start_up::StartUp;
use crate::verdict::InvocationVerdict;
use crate::wire::{Fields, Reply, WireError};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Largest header section of a Web function's reply, in bytes.
const MAX_REPLY_HEAD_BYTES: usize = 4 << 10;

/// Result of an invocation.
#[derive(Debug)]
pub struct InvocationResult {
    /// Its id.
    pub request_id: String,
    /// The platform's verdict.
    pub verdict: InvocationVerdict,
    /// The function's reply, if there is one.
    pub reply: Option<Reply>,
    /// Times of the cold start, if an instance was started for it.
    pub cold: Option<StartUp>,
    /// Time and memory.
    pub ran: Ran,
    /// The header fields that the function got.
    pub sent: Fields,
    /// Lines that the instance printed before the request ended. If several requests run at once,
    /// the first that ends has all lines.
    pub printed: Vec<String>,
}

/// Runs invocations, synchronous and asynchronous.
pub(crate) struct Invoker {
    pub(crate) pool: Arc<Pool>,
    pub(crate) journal: Arc<Journal>,
}

impl Invoker {
    /// Runs an invocation to its end.
    pub(crate) fn run(&self, invocation: &Invocation) -> InvocationResult {
        let id = &invocation.request_id;
        self.journal.start(id);
        let config = self.pool.config();
        let request = invocation.outgoing(&config);
        let lease = match self.pool.acquire() {
            Ok(lease) => lease,
            Err(verdict) => {
                let (ran, sent) = (Ran::default(), request.headers);
                let printed = Vec::new();
                return self.end(invocation, &config, verdict, None, None, ran, sent, printed);
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
        let printed = instance.take_output();
        drop(instance);
        self.pool.release(lease, &verdict);
        self.end(invocation, &config, verdict, reply, cold, ran, request.headers, printed)
    }

    /// Runs the invocation of a WebSocket's handshake. `client` is the connection that sent it, and
    /// `early` the bytes read after it. Returns true if the connection became a WebSocket: both
    /// sides are then closed.
    pub(crate) fn converse(
        &self,
        invocation: &Invocation,
        idle: Duration,
        client: &TcpStream,
        early: &[u8],
    ) -> (InvocationResult, bool) {
        let id = &invocation.request_id;
        self.journal.start(id);
        let config = self.pool.config();
        let request = invocation.outgoing(&config);
        let headers = request.headers.clone();
        let lease = match self.pool.acquire() {
            Ok(lease) => lease,
            Err(verdict) => {
                let (ran, none) = (Ran::default(), Vec::new());
                let end = self.end(invocation, &config, verdict, None, None, ran, headers, none);
                return (end, false);
            }
        };
        let (instance, cold) = (lease.instance.clone(), lease.cold);
        if let Some(start) = &cold {
            self.journal.init(id, start, &config, instance.memory_bytes());
        }
        let started = Instant::now();
        let result = instance.converse(&request, client, early, (config.timeout, idle));
        let ran = Ran { duration: started.elapsed(), memory_bytes: instance.memory_bytes() };
        let (verdict, reply, switched) = match result {
            Ok(Handshake::Done(verdict, note, reply)) => {
                if let Some(note) = note {
                    self.journal.note(format_args!(
                        "a WebSocket has sent {note}; the platform's limit is 10 messages and 128 \
                         KB a second on each connection, more by ticket"
                    ));
                }
                (verdict, Some(reply), true)
            }
            Ok(Handshake::Refused(reply)) => {
                let (verdict, reply) = judge(Ok(reply), &config);
                (verdict, reply, false)
            }
            Err(error) => {
                let (verdict, reply) = judge(Err(error), &config);
                (verdict, reply, false)
            }
        };
        let printed = instance.take_output();
        drop(instance);
        self.pool.release(lease, &verdict);
        (self.end(invocation, &config, verdict, reply, cold, ran, headers, printed), switched)
    }

    // they are the values that a result and its log lines consist of
    #[allow(clippy::too_many_arguments)]
    fn end(
        &self,
        invocation: &Invocation,
        config: &Config,
        verdict: InvocationVerdict,
        reply: Option<Reply>,
        cold: Option<StartUp>,
        ran: Ran,
        sent: Fields,
        printed: Vec<String>,
    ) -> InvocationResult {
        let is_event = config.mode == Mode::Event;
        let returned = reply.as_ref().filter(|_| is_event).map(|reply| reply.body.as_slice());
        self.journal.end(&invocation.request_id, &verdict, returned, &ran, config);
        InvocationResult {
            request_id: invocation.request_id.clone(),
            verdict,
            reply,
            cold,
            ran,
            sent,
            printed,
        }
    }
}

/// The platform's verdict on a reply or its absence.
fn judge(
    result: Result<Reply, ExchangeError>,
    config: &Config,
) -> (InvocationVerdict, Option<Reply>) {
    let reply = match result {
        Ok(reply) => reply,
        Err(ExchangeError::TimedOut) => {
            return (InvocationVerdict::TimeLimitReached(config.timeout), None);
        }
        Err(ExchangeError::Ended(verdict)) => return (verdict, None),
        Err(ExchangeError::Wire(WireError::TooBig)) => {
            return (
                InvocationVerdict::ReplyTooBig(
                    "The size of response exceeds the upper limit (6MB)",
                ),
                None,
            );
        }
        Err(ExchangeError::Wire(error)) => {
            return (InvocationVerdict::BadReply(error.to_string()), None);
        }
    };
    let verdict = match config.mode {
        Mode::Event if (200..300).contains(&reply.status) => InvocationVerdict::Success,
        Mode::Event => InvocationVerdict::UserCodeException(reply.status),
        Mode::Web if head_bytes(&reply.headers) > MAX_REPLY_HEAD_BYTES => {
            return (
                InvocationVerdict::ReplyTooBig("the reply has more than 4 KB of header fields"),
                None,
            );
        }
        Mode::Web => InvocationVerdict::Success,
    };
    (verdict, Some(reply))
}

fn head_bytes(headers: &Fields) -> usize {
    headers.iter().map(|(name, value)| name.len() + value.len() + ": \r\n".len()).sum()
}
