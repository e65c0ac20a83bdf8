//! Trial run of an image: starts it as a platform would (read-only root, a tmpfs over /tmp, only
//! loopback), then sends requests to its port. It uses this crate's sandbox and its namespaces.
//! Requests are HTTP/1.1 (RFC 9112), one per connection.

use super::finding::{Finding, RuleVerdict};
use super::provider::{PortSource, Provider};
use crate::entry::LayerLimits;
use crate::image::Image;
use crate::listeners::listeners;
use crate::sandbox::{self, Instance, Launcher, Network, Plan};
use crate::scf::{self, header};
use crate::unpack::{self, UnpackError, unpack_image};
use rustix::net::connect;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Address for the requests. With 127.0.0.1, a program that listens only there would pass, although
/// no platform can reach it. Every address of 127/8 is loopback, and a program on 0.0.0.0 receives
/// requests to all of them.
const ASKED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Time for a program that listens on 127.0.0.1 to listen on other addresses too.
const SECOND_ADDRESS_LIMIT: Duration = Duration::from_secs(1);
/// Time limit of a reply: SCF's default function time-out, the shortest.
const REPLY_LIMIT: Duration = scf::DEFAULT_TIMEOUT;
/// Largest number of events; each needs a socket that is created inside the sandbox.
const MAX_EVENTS: usize = 200;
/// Largest part of a reply that is read, in bytes.
const MAX_REPLY_BYTES: usize = 16 << 20;
/// The largest event, in bytes: SCF's limit for a synchronous event.
const MAX_EVENT_BYTES: u64 = scf::MAX_BODY_BYTES as u64;

/// The document that describes a trial's network.
const NETWORK_SOURCE: &str = "this program's docs/CONTRACTS.md, section 4";

/// Why the image could not be tried.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The image has no entrypoint and no command.
    #[error("the image names no program: it has neither entrypoint nor command")]
    NoProgram,
    /// It cannot be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// The sandbox failed.
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    /// The image's user is unknown.
    #[error(transparent)]
    User(#[from] sandbox::UserError),
    /// A file or folder of this machine could not be used.
    #[error("`{path}` cannot be {what}: {source}")]
    File {
        /// Its path.
        path: PathBuf,
        /// The operation.
        what: &'static str,
        /// The underlying I/O error.
        source: io::Error,
    },
}

/// Starts `image`, with this executable as the sandbox's helper, and sends it `events`: a file, or
/// a folder of JSON files; without them one GET. Its memory is not limited.
///
/// # Errors
/// [`RunError`] if the image cannot be tried at all; the program's faults become findings.
pub fn run(
    image: &Image,
    provider: &'static Provider,
    events: Option<&Path>,
    helper: &Path,
) -> Result<Vec<Finding>, RunError> {
    run_within(image, provider, events, helper, None, Network::none())
}

/// [`run`] with at most `memory_mib` MiB of memory and with a network. A memory cgroup sets the
/// limit; if none can be created, this function watches the program's resident memory.
///
/// # Errors
/// [`RunError`], as for [`run`].
pub fn run_within(
    image: &Image,
    provider: &'static Provider,
    events: Option<&Path>,
    helper: &Path,
    memory_mib: Option<u64>,
    network: Network,
) -> Result<Vec<Finding>, RunError> {
    let network = Arc::new(network);
    if image.argv().is_empty() {
        return Err(RunError::NoProgram);
    }
    let events = match events {
        Some(path) => read_events(path)?,
        None => Vec::new(),
    };
    let at = |path: &Path, what| {
        let path = path.to_owned();
        move |source| RunError::File { path, what, source }
    };
    let home = tempfile::tempdir().map_err(at(Path::new("a temporary folder"), "made"))?;
    let rootfs = home.path().join("rootfs");
    let unpacked = unpack_image(image, &rootfs, &LayerLimits::default())?;
    let left_out: String =
        unpack::left_out(&unpacked).iter().map(|line| format!("; {line}")).collect();
    let (uid, gid) = sandbox::user_of(&rootfs, image.user())?;
    let mut env = image.env().to_vec();
    let port = provider.port_for(image.env()).unwrap_or(provider.port);
    match provider.port_source {
        PortSource::Fixed if provider.name == "scf" => env.push("TENCENTCLOUD_RUNENV=SCF".into()),
        PortSource::ByImage(_) if env.iter().any(|line| line.starts_with("PORT=")) => {}
        _ => {
            env.retain(|line| !line.starts_with("PORT=")); // programs read the first of two
            env.push(format!("PORT={port}"));
        }
    }
    let asked = SocketAddrV4::new(
        if provider.asks_from_inside { Ipv4Addr::LOCALHOST } else { ASKED },
        port,
    );
    let mut plan = Plan {
        rootfs,
        argv: image.argv(),
        env,
        cwd: image.working_dir().to_owned(),
        uid,
        gid,
        limits: sandbox::ResourceLimits {
            memory_bytes: memory_mib.map(|mib| mib.saturating_mul(1 << 20)),
            cpu_millis: None,
        },
        core: None,
        sockets: 2 + events.len().max(1), // two for the wait, one per request
        low_ports: true,
        network: Some(network.inside()),
    };
    let mut launcher = Launcher::start(helper)?.with_network(Some(network.clone()));
    let started = Instant::now();
    let (mut instance, watched_bytes) = match launcher.launch(&plan) {
        Err(sandbox::Error::Cgroup(_)) => {
            let limits = std::mem::take(&mut plan.limits);
            (launcher.launch(&plan)?, limits.memory_bytes)
        }
        launched => (launched?, None),
    };
    let memory = Memory { pid: instance.pid(), watched_bytes };
    let mut sockets = instance.take_sockets();
    let mut findings = Vec::new();
    let listening =
        wait_listening(&mut instance, &mut sockets, asked, provider.start_limit, started, &memory);
    let alive = listening.is_ok();
    findings.push(finding(
        provider,
        "starts",
        match &listening {
            Ok(after) => Ok(format!(
                "listens on port {port} after {:.1} ms, root read-only, /tmp a tmpfs{}{left_out}",
                after.as_secs_f64() * 1e3,
                memory.described(memory_mib)
            )),
            Err(why) => Err(why.clone()),
        },
        format!(
            "listen on 0.0.0.0:{port} within {} s and write to /tmp only",
            provider.start_limit.as_secs()
        ),
    ));
    if alive {
        let requests = match events.is_empty() {
            true => vec![("GET /".to_owned(), get())],
            false => events
                .iter()
                .map(|(name, body)| (format!("`{name}`"), post(provider, body)))
                .collect(),
        };
        for (name, request) in requests {
            let socket = sockets.pop().ok_or_else(|| "no socket is left".to_owned());
            findings.push(judged(
                provider,
                "answers",
                &name,
                socket.and_then(|socket| ask(socket, asked, &request, &memory)),
            ));
        }
        let outcome = if instance.has_ended() {
            Err("it has ended after the last reply".to_owned())
        } else if memory.is_over() {
            Err("its resident memory exceeds the limit".to_owned())
        } else {
            Ok("it still runs after the last reply".to_owned())
        };
        findings.push(finding(
            provider,
            "stays",
            outcome,
            "an instance answers many requests: do not exit after one",
        ));
    }
    findings.extend(network_finding(&network, &instance.called_in_vain()));
    let over = memory.is_over();
    let said = instance.output_tail();
    let exit = launcher.end(instance)?;
    if let Some(mib) = memory_mib.filter(|_| over || exit.out_of_memory) {
        let why = format!("over its memory limit of {mib} MiB (platform: 434 MemoryLimitReached)");
        match findings.iter_mut().rfind(|f| f.verdict == RuleVerdict::Fail) {
            Some(last) => last.evidence = format!("{}: {why}", last.evidence),
            // The kernel ended a child process, and the program continued.
            None => findings.push(finding(
                provider,
                "stays",
                Err(format!("one of its processes was killed: {why}")),
                "give the function more memory, or use less",
            )),
        }
    }
    if let Some(last) = findings.iter_mut().rfind(|f| f.verdict == RuleVerdict::Fail) {
        let said = said.trim();
        let tail: String = said.chars().skip(said.chars().count().saturating_sub(600)).collect();
        last.evidence = format!("{}; it {exit}, and printed last: {:?}", last.evidence, tail);
    }
    Ok(findings)
}

/// The finding about the network: what the program could call, and which calls failed. `None` if it
/// has no network and tried none.
fn network_finding(network: &Network, in_vain: &[String]) -> Option<Finding> {
    let (verdict, evidence, remedy) = match in_vain {
        [] if !network.is_wanted() => return None,
        [] => (RuleVerdict::Pass, network.to_string(), String::new()),
        // With a network, only addresses that are always blocked have no route.
        _ if network.has_uplink() => (
            RuleVerdict::Warn,
            format!("{network}; {}", in_vain.join(", ")),
            "metadata services are not reachable from here: set what it needs in its environment"
                .into(),
        ),
        _ => (
            RuleVerdict::Warn,
            format!("{network}; {}", in_vain.join(", ")),
            "give it this machine's network with --network, and servers of this machine itself \
             with --reach HOST:PORT"
                .into(),
        ),
    };
    // Only one line, in the report's own form.
    let evidence = evidence.trim_start_matches("network: ").to_owned();
    Some(Finding { rule: "network", verdict, evidence, remedy, source: NETWORK_SOURCE })
}

/// The finding in place of a trial that was not possible, so that the rest of the report is still
/// shown. What this machine does not permit does not count as the image's fault.
pub fn not_tried(provider: &Provider, why: &RunError) -> Finding {
    use sandbox::Error::{Cgroup, Elsewhere, Full, Helper, Namespace};
    let remedy = match why {
        RunError::Sandbox(Namespace { .. } | Full { .. } | Helper(_) | Cgroup(_) | Elsewhere)
        | RunError::Unpack(UnpackError::Elsewhere) => None,
        RunError::Sandbox(_) => Some(
            "the entrypoint must name a program that is in the image and runs on this \
             architecture, in a folder that is there",
        ),
        RunError::NoProgram => Some("add `ENTRYPOINT [\"/app\"]` to the recipe"),
        RunError::User(_) => Some("use a number in USER, or ship /etc/passwd with that name"),
        RunError::Unpack(_) => {
            Some("build the image again; `microimage unpack` reports the same error")
        }
        RunError::File { .. } => Some("name a JSON file or a folder of them (`--events`)"),
    };
    let rule = "starts";
    Finding {
        rule,
        verdict: if remedy.is_some() { RuleVerdict::Fail } else { RuleVerdict::Skip },
        evidence: format!("it was not started: {why}"),
        remedy: remedy.unwrap_or_default().to_owned(),
        source: provider.source_of(rule),
    }
}

/// Watches an instance's memory if no cgroup limits it.
struct Memory {
    pid: i32,
    /// The limit in bytes; `None` if the kernel enforces it or there is none.
    watched_bytes: Option<u64>,
}

impl Memory {
    fn is_over(&self) -> bool {
        let peak = || sandbox::peak_resident_bytes(self.pid).unwrap_or(0);
        self.watched_bytes.is_some_and(|limit| peak() > limit)
    }

    /// Describes how memory is limited; begins with a comma.
    fn described(&self, memory_mib: Option<u64>) -> String {
        match (memory_mib, self.watched_bytes) {
            (None, _) => String::new(),
            (Some(mib), None) => format!(", memory limited to {mib} MiB by cgroup"),
            (Some(mib), Some(_)) => format!(", resident set watched: {mib} MiB"),
        }
    }
}

/// Time between two looks at the memory.
const LOOK: Duration = Duration::from_millis(20);

/// Connects until the port answers, the program ends, or the time is up. Dropping closes what is
/// still open.
fn wait_listening(
    instance: &mut Instance,
    sockets: &mut Vec<OwnedFd>,
    asked: SocketAddrV4,
    limit: Duration,
    started: Instant,
    memory: &Memory,
) -> Result<Duration, String> {
    // Linux allows another connect on a TCP socket after a refusal.
    let socket = sockets.pop().ok_or("no socket is left")?;
    let inside = SocketAddrV4::new(Ipv4Addr::LOCALHOST, asked.port());
    let mut second = sockets.pop();
    let mut seen_inside = None;
    loop {
        if connect(&socket, &asked).is_ok() {
            return Ok(started.elapsed());
        }
        if instance.has_ended() {
            return Err(match instance.exec_ns() {
                Err(why) => format!("it was not started: {why}"),
                Ok(_) => "it ended before it listened".into(),
            });
        }
        if memory.is_over() {
            return Err("its resident memory exceeds the limit".into());
        }
        if started.elapsed() > limit {
            let elsewhere: String = listeners(instance.pid())
                .into_iter()
                .map(|found| format!("; it listens on {found} instead"))
                .collect();
            return Err(format!(
                "nothing listens on port {} after {} s{elsewhere}",
                asked.port(),
                limit.as_secs()
            ));
        }
        if let Some(socket) = second.take_if(|socket| connect(socket, &inside).is_ok()) {
            drop(socket); // a program that accepts one connection at a time is free again
            seen_inside = Some(Instant::now());
        }
        if seen_inside.is_some_and(|at| at.elapsed() > SECOND_ADDRESS_LIMIT) {
            return Err(format!(
                "it listens on {inside} only, where no request from outside arrives"
            ));
        }
        // No signal reports that another program listens: between two attempts this waits for the
        // program's end.
        instance.wait_end(Duration::from_millis(1));
    }
}

/// Sends one request on one socket of the sandbox. Returns the status of the reply.
fn ask(
    socket: OwnedFd,
    asked: SocketAddrV4,
    request: &[u8],
    memory: &Memory,
) -> Result<u16, String> {
    connect(&socket, &asked).map_err(|e| format!("cannot connect: {e}"))?;
    let mut stream = TcpStream::from(socket);
    let talk = |stream: &mut TcpStream| -> io::Result<Vec<u8>> {
        let until = Instant::now() + REPLY_LIMIT;
        stream.set_read_timeout(Some(LOOK))?;
        stream.set_write_timeout(Some(REPLY_LIMIT))?;
        stream.write_all(request)?;
        let (mut reply, mut piece) = (Vec::new(), vec![0; 64 << 10]);
        while reply.len() < MAX_REPLY_BYTES {
            match stream.read(&mut piece) {
                Ok(0) => break,
                Ok(n) => reply.extend_from_slice(&piece[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e)
                    if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
                        && Instant::now() < until
                        && !memory.is_over() => {}
                Err(e) => return Err(e),
            }
        }
        Ok(reply)
    };
    let reply = talk(&mut stream).map_err(|e| match e.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut if memory.is_over() => {
            "its resident memory exceeds the limit".to_owned()
        }
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("no complete reply within {} s", REPLY_LIMIT.as_secs())
        }
        _ => format!("the connection failed: {e}"),
    })?;
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut parsed = httparse::Response::new(&mut headers);
    match parsed.parse(&reply) {
        Ok(httparse::Status::Complete(_)) => {
            parsed.code.ok_or_else(|| "the reply has no status".to_owned())
        }
        Ok(httparse::Status::Partial) if reply.is_empty() => {
            Err("the connection was closed without a reply".into())
        }
        Ok(httparse::Status::Partial) => Err("the reply ends within its head".into()),
        Err(error) => Err(format!("the reply is not HTTP/1.1: {error}")),
    }
}

/// Judges a reply. Platforms count a status below 400 as success; a refusal may be correct for an
/// event that the function does not support.
fn judged(
    provider: &Provider,
    rule: &'static str,
    what: &str,
    result: Result<u16, String>,
) -> Finding {
    let (verdict, evidence, remedy) = match result {
        Ok(status @ 0..400) => (RuleVerdict::Pass, format!("status {status}"), ""),
        Ok(status @ 400..500) => (
            RuleVerdict::Warn,
            format!("status {status}: the function refuses the event"),
            "send events that the function supports (`--events`)",
        ),
        Ok(status) => {
            (RuleVerdict::Fail, format!("status {status}"), "find the cause in the function's log")
        }
        Err(why) => (RuleVerdict::Fail, why, "answer every request, whatever it contains"),
    };
    Finding {
        rule,
        verdict,
        evidence: format!("{what}: {evidence}"),
        remedy: remedy.into(),
        source: provider.source_of(rule),
    }
}

fn get() -> Vec<u8> {
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_vec()
}

/// Request id of all requests of the trial.
const REQUEST_ID: &str = "00000000-0000-4000-8000-000000000000";

/// An event in the form in which the platform posts it, with its usual context headers.
fn post(provider: &Provider, body: &[u8]) -> Vec<u8> {
    let path = provider.event_path.unwrap_or("/");
    let context: &[(&str, &str)] = match provider.name {
        "scf" => &[
            (header::REQUEST_ID, REQUEST_ID),
            (header::MEMORY, "128"),
            (header::TIMEOUT, "3"),
            (header::VERSION, "$LATEST"),
            (header::NAME, "check"),
            (header::NAMESPACE, "default"),
            (header::REGION, "ap-guangzhou"),
            (header::APP_ID, "0"),
            (header::UIN, "0"),
        ],
        "fc" => &[("x-fc-request-id", REQUEST_ID), ("x-fc-control-path", "/invoke")],
        "lambda" => &[("x-amzn-request-context", "{}"), ("x-amzn-lambda-context", "{}")],
        _ => &[],
    };
    let context: String =
        context.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: \
         application/json\r\nContent-Length: {}\r\n{context}Connection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn finding(
    provider: &Provider,
    rule: &'static str,
    result: Result<String, String>,
    remedy: impl Into<String>,
) -> Finding {
    match result {
        Ok(evidence) => Finding {
            rule,
            verdict: RuleVerdict::Pass,
            evidence,
            remedy: String::new(),
            source: provider.source_of(rule),
        },
        Err(evidence) => Finding {
            rule,
            verdict: RuleVerdict::Fail,
            evidence,
            remedy: remedy.into(),
            source: provider.source_of(rule),
        },
    }
}

/// The events of a file or folder, sorted by name. Recorded replies (`….response….json`) are left
/// out.
fn read_events(path: &Path) -> Result<Vec<(String, Vec<u8>)>, RunError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| RunError::File { path, what: "read", source }
    };
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        let entries = fs::read_dir(path)
            .and_then(Iterator::collect::<io::Result<Vec<_>>>)
            .map_err(at(path))?;
        files = entries.into_iter().map(|entry| entry.path()).collect();
        files.retain(|file| {
            file.extension().is_some_and(|e| e == "json")
                && !file.to_string_lossy().contains(".response")
        });
        files.sort();
    }
    if files.is_empty() || files.len() > MAX_EVENTS {
        let source = io::Error::other(format!(
            "it contains {} JSON files; name a folder with 1 to {MAX_EVENTS}",
            files.len()
        ));
        return Err(at(path)(source));
    }
    let mut events = Vec::new();
    for file in files {
        let size_bytes = fs::metadata(&file).map_err(at(&file))?.len();
        if size_bytes > MAX_EVENT_BYTES {
            return Err(at(&file)(io::Error::other(format!(
                "{size_bytes} bytes; an event has at most {MAX_EVENT_BYTES}"
            ))));
        }
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        events.push((name, fs::read(&file).map_err(at(&file))?));
    }
    Ok(events)
}
