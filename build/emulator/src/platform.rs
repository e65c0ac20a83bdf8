//! Platform in front of one function: it invokes the function synchronously, or asynchronously with
//! retries. It reads no socket.

use crate::config::{Config, ConfigError};
use crate::instance::Host;
use crate::invocation::{Invocation, new_id};
use crate::invoker::{InvocationResult, Invoker};
use crate::journal::{Journal, Ran};
use crate::pool::{AheadObserver, Pool};
use crate::program::Program;
use crate::queue::{Observer, Queue};
use crate::verdict::InvocationVerdict;
use crate::wire::Request;
use microimage::scf::{MAX_ASYNC_BYTES, MAX_BODY_BYTES};
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// Observers of events for which no caller waits.
pub struct Observers {
    /// Gets each try of an asynchronous invocation.
    pub tried: Observer,
    /// Gets each instance that was started ahead.
    pub started_ahead: AheadObserver,
}

/// The platform in front of one function.
pub struct Platform {
    invoker: Arc<Invoker>,
    queue: Queue,
}

impl Platform {
    /// Starts an emulated platform in front of `program`.
    ///
    /// # Errors
    /// A configuration that the platform would refuse.
    pub fn new(
        config: Config,
        host: Arc<Host>,
        program: Program,
        journal: Arc<Journal>,
    ) -> Result<Arc<Platform>, ConfigError> {
        Platform::observed(config, host, program, journal, None)
    }

    /// [`new`](Platform::new) with observers.
    ///
    /// # Errors
    /// A configuration that the platform would refuse.
    pub fn observed(
        config: Config,
        host: Arc<Host>,
        program: Program,
        journal: Arc<Journal>,
        observers: Option<Observers>,
    ) -> Result<Arc<Platform>, ConfigError> {
        config.check()?;
        let (tried, ahead) = observers.map(|of| (of.tried, of.started_ahead)).unzip();
        let pool = Pool::new(config, host, program, journal.clone(), ahead);
        let invoker = Arc::new(Invoker { pool, journal });
        Ok(Arc::new(Platform { queue: Queue::new(invoker.clone(), tried), invoker }))
    }

    /// Invokes the function and waits for the result.
    pub fn invoke(&self, request: Request) -> InvocationResult {
        self.invoke_from(request, None)
    }

    /// [`invoke`](Platform::invoke) with the client's address, which a Web function gets.
    pub fn invoke_from(&self, request: Request, client: Option<IpAddr>) -> InvocationResult {
        match Invocation::new(request, self.config().mode, MAX_BODY_BYTES) {
            Ok(invocation) => self.invoker.run(&invocation.sent_by(client)),
            Err(verdict) => self.refuse(verdict),
        }
    }

    /// Invokes the function with a WebSocket's handshake, and relays the WebSocket to its end.
    /// `early` has the bytes that the client sent after the handshake. Returns true if the
    /// connection became a WebSocket.
    pub(crate) fn converse(
        &self,
        request: Request,
        idle: Duration,
        (client, address): (&TcpStream, IpAddr),
        early: &[u8],
    ) -> (InvocationResult, bool) {
        match Invocation::new(request, self.config().mode, MAX_BODY_BYTES) {
            Ok(invocation) => {
                let invocation = invocation.sent_by(Some(address));
                self.invoker.converse(&invocation, idle, client, early)
            }
            Err(verdict) => (self.refuse(verdict), false),
        }
    }

    /// Accepts an asynchronous event, which is retried after a failure; returns its id.
    ///
    /// # Errors
    /// 400, 406, or 432 if too many are waiting.
    pub fn send(&self, request: Request) -> Result<String, InvocationVerdict> {
        let invocation = Invocation::new(request, self.config().mode, MAX_ASYNC_BYTES)?;
        let id = invocation.request_id.clone();
        self.queue.push(invocation)?;
        Ok(id)
    }

    /// The result of an invocation that did not reach the function.
    pub(crate) fn refuse(&self, verdict: InvocationVerdict) -> InvocationResult {
        self.invoker.journal.note(format_args!("refused: {verdict}"));
        let ran = Ran::default();
        InvocationResult {
            request_id: new_id(),
            verdict,
            reply: None,
            cold: None,
            ran,
            sent: Vec::new(),
            printed: Vec::new(),
        }
    }

    /// The function's configuration; a swap changes it.
    pub fn config(&self) -> Arc<Config> {
        self.invoker.pool.config()
    }

    /// Its instances.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.invoker.pool
    }

    /// Its journal.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.invoker.journal
    }

    /// Ends all instances; waiting events are dropped.
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
