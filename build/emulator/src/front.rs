//! The emulator's address for callers, HTTP/1.1 on loopback. An event function takes the event as
//! the body of a POST to any path; a Web function gets each request unchanged. The reply is the
//! function's own, or the platform's error with its number as status; one more header field,
//! [`OUTCOME`], describes the invocation. It does not imitate the cloud's own API.

use crate::config::Mode;
use crate::fields::{MODE, OUTCOME, SHOW, is_async};
use crate::invoker::InvocationResult;
use crate::platform::Platform;
use crate::sync::lock;
use crate::verdict::InvocationVerdict;
use crate::wire::{Fields, Reply, Request, WireError, field, is_handshake};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, BufReader, Read as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Largest number of concurrent callers.
const MAX_CONNECTIONS: usize = 512;
/// Bytes that a refused caller may still send, and the time limit for them: if the server closed
/// before it had read them, the caller would get a reset and lose the reply with the reason.
const MAX_DRAIN_BYTES: u64 = 64 << 20;
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// A report on the invocation for the caller, as JSON in the field [`OUTCOME`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvocationReport {
    /// The invocation's id.
    pub request_id: String,
    /// The platform's number for its result.
    pub status: u16,
    /// The platform's message, if it failed.
    pub message: Option<String>,
    /// The function's duration.
    pub duration_us: u64,
    /// The largest resident set of the instance so far.
    pub memory_bytes: u64,
    /// The limit of that set.
    pub memory_limit_bytes: u64,
    /// The parts of the cold start, if the invocation started an instance.
    pub cold: Option<Cold>,
    /// The header fields that the function received.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sent: Fields,
    /// The status and header fields of its answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub received: Fields,
}

/// A cold start's parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cold {
    /// Time to put the image's bytes into place.
    pub pull_us: u64,
    /// Time from the decision to the program's start.
    pub runtime_us: u64,
    /// Time from the program's start until it listens.
    pub function_us: u64,
}

/// The open listener. Dropping it closes it.
pub struct Front {
    address: SocketAddr,
    listener: Arc<TcpListener>,
    /// Connections by number, because a connection that was reset no longer knows its peer.
    connections: Arc<Mutex<BTreeMap<u64, TcpStream>>>,
    closing: Arc<AtomicBool>,
}

impl Front {
    /// Opens the listener.
    ///
    /// # Errors
    /// If the address is in use or does not belong to this machine.
    pub fn open(address: SocketAddr, platform: Arc<Platform>) -> io::Result<Front> {
        let listener = Arc::new(TcpListener::bind(address)?);
        let front = Front {
            address: listener.local_addr()?,
            listener: listener.clone(),
            connections: Arc::default(),
            closing: Arc::default(),
        };
        let (connections, closing) = (front.connections.clone(), front.closing.clone());
        thread::Builder::new().name("front".into()).spawn(move || {
            for number in 0.. {
                if closing.load(Ordering::Relaxed) {
                    return;
                }
                let Ok((stream, peer)) = listener.accept() else { continue };
                let Ok(copy) = stream.try_clone() else { continue };
                let mut open = lock(&connections);
                if open.len() >= MAX_CONNECTIONS {
                    continue; // closed by `drop`, or one connection too many
                }
                open.insert(number, copy);
                drop(open);
                let (platform, its) = (platform.clone(), connections.clone());
                let served = thread::Builder::new().name("caller".into()).spawn(move || {
                    serve(stream, peer.ip(), &platform);
                    lock(&its).remove(&number);
                });
                if served.is_err() {
                    lock(&connections).remove(&number);
                }
            }
        })?;
        Ok(front)
    }

    /// The address, with the chosen port if the caller named none.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Number of connected callers.
    pub fn connections(&self) -> usize {
        lock(&self.connections).len()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        // wakes the accepting thread
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        for connection in std::mem::take(&mut *lock(&self.connections)).into_values() {
            let _ = connection.shutdown(Shutdown::Read); // replies in progress still arrive
        }
    }
}

fn serve(stream: TcpStream, peer: IpAddr, platform: &Platform) {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    loop {
        let mut method = String::new();
        let mut is_read = true;
        let (reply, last) = match Request::read(&mut reader) {
            Ok(None) => return,
            Ok(Some(request)) => {
                let closes = field(&request.headers, "connection")
                    .is_some_and(|v| v.eq_ignore_ascii_case("close"));
                method.clone_from(&request.method);
                match idle_of_a_websocket(&request, platform) {
                    None => (answer(request, peer, platform), closes),
                    Some(idle) => {
                        let show = field(&request.headers, SHOW).is_some();
                        let client = (reader.get_ref(), peer);
                        match platform.converse(request, idle, client, reader.buffer()) {
                            (_, true) => return,
                            (outcome, false) => (report(&outcome, platform, show), closes),
                        }
                    }
                }
            }
            Err(WireError::TooBig) => {
                is_read = false;
                (report(&platform.refuse(InvocationVerdict::EventTooBig), platform, false), true)
            }
            Err(WireError::Syntax(why)) => {
                is_read = false;
                (text(400, &why), true)
            }
            Err(WireError::Closed | WireError::Io(_)) => return,
        };
        if reply.write(&method, reader.get_mut()).is_err() {
            return;
        }
        if !is_read {
            drain(reader.get_mut());
        }
        if last {
            return;
        }
    }
}

/// Idle time of the WebSocket that a request asks for; `None` if it asks for none, or if the
/// function accepts none. The request is then an ordinary one.
fn idle_of_a_websocket(request: &Request, platform: &Platform) -> Option<Duration> {
    let config = platform.config();
    if !is_handshake(&request.headers) || config.mode != Mode::Web {
        return None;
    }
    if config.websocket_idle.is_none() {
        platform.journal().note(
            "a client asks for a WebSocket, and the function accepts none; set \
             `websocket_idle_s = 600` in function.toml, or `--websocket-idle 600`",
        );
    }
    config.websocket_idle
}

/// Reads what a refused caller still sends, to its end or to the limit.
fn drain(stream: &mut TcpStream) {
    // so that the caller sees the end of the reply
    let _ = stream.shutdown(Shutdown::Write);
    let until = Instant::now() + DRAIN_LIMIT;
    let (mut sink, mut left) = ([0; 64 << 10], MAX_DRAIN_BYTES);
    while left > 0 {
        let time = until.saturating_duration_since(Instant::now());
        if time.is_zero() || stream.set_read_timeout(Some(time)).is_err() {
            return;
        }
        match stream.read(&mut sink) {
            Ok(0) | Err(_) => return,
            Ok(length) => left = left.saturating_sub(length as u64),
        }
    }
}

/// Why this kind of call does not suit the function's type, and what to do.
pub fn other_mode(mode: Mode) -> String {
    let (other, instead) = match mode {
        Mode::Event => {
            (Mode::Web, "leave `--web` out, or run it as a Web function with `--type web`")
        }
        Mode::Web => (
            Mode::Event,
            "call it with `--web GET /path`, or run it as an event function with `--type event`",
        ),
    };
    let (name, other) = (mode.name(), other.name());
    format!("the function is of type `{name}`, not `{other}`; {instead}")
}

fn answer(request: Request, peer: IpAddr, platform: &Platform) -> Reply {
    let mode = platform.config().mode;
    if field(&request.headers, MODE).is_some_and(|wanted| wanted != mode.name()) {
        return text(409, &other_mode(mode));
    }
    let later = is_async(&request.headers);
    match mode {
        Mode::Event if request.method != "POST" => {
            return text(405, "this is an event function; POST an event as the body, to any path");
        }
        Mode::Web if later => {
            return text(400, "a Web function has no asynchronous calls; leave out `--async`");
        }
        _ => {}
    }
    if later {
        return match platform.send(request) {
            Ok(request_id) => {
                let report =
                    InvocationReport { request_id, status: 202, ..InvocationReport::default() };
                with_report(Reply { status: 202, ..Reply::default() }, &report)
            }
            Err(verdict) => self::report(&platform.refuse(verdict), platform, false),
        };
    }
    let show = field(&request.headers, SHOW).is_some();
    report(&platform.invoke_from(request, Some(peer)), platform, show)
}

/// The reply of the function or the platform, with the report.
fn report(outcome: &InvocationResult, platform: &Platform, show: bool) -> Reply {
    let config = platform.config();
    let us =
        |duration: std::time::Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let mut report = InvocationReport {
        request_id: outcome.request_id.clone(),
        status: outcome.verdict.status(),
        message: outcome.verdict.message(),
        duration_us: us(outcome.ran.duration),
        memory_bytes: outcome.ran.memory_bytes,
        memory_limit_bytes: config.memory_mib << 20,
        cold: outcome.cold.map(|start| Cold {
            pull_us: us(start.pull),
            runtime_us: us(start.runtime),
            function_us: us(start.function),
        }),
        ..InvocationReport::default()
    };
    if show {
        report.sent = outcome.sent.clone();
        if let Some(reply) = &outcome.reply {
            report.received = vec![(":status".into(), reply.status.to_string())];
            report.received.extend(reply.headers.iter().cloned());
        }
    }
    let reply = match &outcome.reply {
        // An event's result: of the function's header fields the caller gets the body's type only.
        Some(reply) if config.mode == Mode::Event => {
            let kind = field(&reply.headers, "content-type").unwrap_or("application/octet-stream");
            Reply::new(outcome.verdict.status(), kind, reply.body.clone())
        }
        Some(reply) => reply.clone(),
        None => Reply::new(outcome.verdict.status(), "application/json", outcome.verdict.body()),
    };
    with_report(reply, &report)
}

fn with_report(mut reply: Reply, report: &InvocationReport) -> Reply {
    // JSON escapes line ends, so this is one field whatever a message contains.
    reply.headers.push((OUTCOME.into(), serde_json::to_string(report).unwrap_or_default()));
    reply
}

fn text(status: u16, message: &str) -> Reply {
    Reply::new(status, "text/plain; charset=utf-8", format!("{message}\n"))
}
