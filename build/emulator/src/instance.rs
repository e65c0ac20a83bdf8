//! Instance: one running copy of the function, and the host that starts it: in the sandbox with a
//! memory cgroup; in the sandbox without one, if none can be made; or as a plain process, if
//! namespaces are not permitted or not wanted. Queue and retries are elsewhere. Documented
//! properties: read-only root, /tmp of 512 MB, port 9000, the platform's environment (platform page
//! "WebServer image function").

#[cfg_attr(not(target_os = "linux"), path = "instance/elsewhere.rs")]
mod system;

use crate::burst::Burst;
use crate::config::Config;
use crate::frames::{ABNORMAL, Side};
use crate::journal::Journal;
use crate::output::Output;
use crate::program::Program;
use crate::relay::{Beside, Relay};
use crate::start_up::StartUp;
use crate::sync::lock;
use crate::verdict::InvocationVerdict;
use crate::wire::{Reply, Request, WireError};
use microimage::listeners::listeners;
use microimage::sandbox::{self, Launcher, Network, Plan};
use microimage::scf::PORT;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{connect, connect_unspec};
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::HashSet;
use std::io::{self, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Address for requests inside the sandbox: a function that listens only on 127.0.0.1 is not
/// reachable, as on the platform.
const GATE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 2), PORT);
/// Time between two checks of the memory where no cgroup limits it.
const WATCH_INTERVAL: Duration = Duration::from_millis(5);
/// How long to wait after a closed connection for the reset that shows whether its request was
/// read.
const RESET_GRACE: Duration = Duration::from_millis(20);
/// How long to wait after a broken connection for the end of the process.
const END_GRACE: Duration = Duration::from_millis(100);

/// How long a program may stay open for writing before it is started; see [`spawn`].
const BUSY_LIMIT: Duration = Duration::from_secs(2);
const BUSY_PAUSE: Duration = Duration::from_millis(1);

/// How an instance is isolated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Namespaces, read-only root, memory limited by the kernel.
    Cgroup,
    /// The same, but with memory only watched.
    Sandbox,
    /// None: a process of this machine on a port of its own, with memory watched.
    Process,
}

/// Starts instances.
pub struct Host {
    launcher: Option<Mutex<Launcher>>,
    isolation: Mutex<Isolation>,
    /// What sandboxed instances may call; loopback only if none.
    network: Mutex<Option<Arc<Network>>>,
    has_reported_network: AtomicBool,
    /// Blocked calls that were already reported.
    reported_blocked: Mutex<HashSet<String>>,
    journal: Arc<Journal>,
    burst: Mutex<Option<Burst>>,
}

/// A running instance that listens. Dropping it ends it.
pub struct Instance {
    host: Arc<Host>,
    program: Arc<Program>,
    process: Mutex<Process>,
    pid: u32,
    pidfd: OwnedFd,
    address: SocketAddrV4,
    /// Unconnected sockets of the instance's network; a plain process needs none.
    sockets: Mutex<Vec<OwnedFd>>,
    /// Connections waiting for a next request.
    kept: Mutex<Vec<TcpStream>>,
    isolation: Isolation,
    memory_limit_bytes: u64,
    memory_peak_bytes: AtomicU64,
    over_memory: AtomicBool,
    ended_by_us: AtomicBool,
    start: StartUp,
    output: Option<Arc<Output>>,
}

enum Process {
    Sandboxed(Box<sandbox::Instance>),
    Plain(Child),
    Ended(ExitStatus),
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ExitStatus {
    code: Option<i32>,
    signal: Option<i32>,
    /// The largest resident set, in bytes; 0 if not measured.
    memory_bytes: u64,
}

/// Why there is no reply.
#[derive(Debug)]
pub enum ExchangeError {
    /// The time limit has passed.
    TimedOut,
    /// The process has ended, or must be ended.
    Ended(InvocationVerdict),
    /// The process is alive, but its bytes are not a reply.
    Wire(WireError),
}

/// Result of a WebSocket's handshake.
pub(crate) enum Handshake {
    /// The function answered with an ordinary reply.
    Refused(Reply),
    /// The connection became a WebSocket, which is over: the verdict, a note for the log, and the
    /// reply that switched protocols.
    Done(InvocationVerdict, Option<String>, Reply),
}

/// Why a connection brought no reply.
enum NoReply {
    /// The function did not read the whole request.
    Unread,
    ExchangeError(ExchangeError),
}

/// Why an instance could not be made.
enum Refused {
    /// The machine does not permit this isolation.
    Isolation(String, Isolation),
    /// The machine does not permit the network.
    Network(String),
    InvocationVerdict(InvocationVerdict),
}

impl Host {
    /// With `sandbox`, instances run in namespaces if the machine permits it; `helper` is the
    /// executable that becomes the sandbox's helper when it is started with
    /// [`sandbox::HELPER_SUBCOMMAND`]. `network` is what sandboxed instances may call; one line
    /// reports it when the first instance was started.
    ///
    /// # Errors
    /// The helper cannot be started.
    pub fn new(
        helper: &Path,
        sandbox: bool,
        network: Option<Network>,
        journal: Arc<Journal>,
    ) -> Result<Arc<Host>, sandbox::Error> {
        let network = network.map(Arc::new);
        let launcher = match sandbox.then(|| Launcher::start(helper)) {
            Some(Ok(launcher)) => Some(Mutex::new(launcher.with_network(network.clone()))),
            Some(Err(why @ sandbox::Error::Elsewhere)) => {
                journal.note(Isolation::Process.instead_of_more(&why.to_string()));
                None
            }
            Some(Err(error)) => return Err(error),
            None => None,
        };
        let isolation = match launcher {
            Some(_) => Isolation::Cgroup,
            None => Isolation::Process,
        };
        Ok(Arc::new(Host {
            launcher,
            isolation: Mutex::new(isolation),
            network: Mutex::new(network),
            has_reported_network: AtomicBool::new(false),
            reported_blocked: Mutex::default(),
            journal,
            burst: Mutex::new(None),
        }))
    }

    /// Limits how many instances are started per minute for requests, all functions together;
    /// earlier starts count.
    pub fn limit_burst(&self, limit: usize) {
        lock(&self.burst).get_or_insert_with(|| Burst::new(limit)).set_limit(limit);
    }

    /// Whether one more instance may be started for a request; it is then counted.
    pub(crate) fn admits(&self, now: Instant) -> bool {
        lock(&self.burst).as_mut().is_none_or(|burst| burst.admits(now))
    }

    /// Isolation of the next instance; certain once one was started.
    pub fn isolation(&self) -> Isolation {
        *lock(&self.isolation)
    }

    /// Starts an instance and waits until it listens, or `stop` is set.
    ///
    /// # Errors
    /// 405, 434, 445 or 446.
    pub fn start(
        self: &Arc<Self>,
        program: &Arc<Program>,
        config: &Config,
        stop: &AtomicBool,
    ) -> Result<Instance, InvocationVerdict> {
        // The image's files are here already. The pull is simulated, because its time is reported.
        let owed = program.take_owed();
        if !owed.is_zero() {
            thread::sleep(owed);
        }
        loop {
            let isolation = self.isolation();
            let started = match isolation {
                Isolation::Process => self.start_process(program, config, stop),
                _ => self.start_sandboxed(program, config, isolation, stop),
            };
            match started {
                Ok(instance) => {
                    self.report_network(isolation);
                    return Ok(instance);
                }
                Err(Refused::InvocationVerdict(verdict)) => {
                    self.report_network(isolation); // the network may be the reason
                    return Err(verdict);
                }
                Err(Refused::Network(why)) => {
                    if lock(&self.network).take().is_some() {
                        self.journal.note(format_args!(
                            "network: none, outgoing calls fail at once: this machine's kernel \
                             refuses it ({why})"
                        ));
                    }
                }
                Err(Refused::Isolation(why, instead)) => {
                    let mut isolation = lock(&self.isolation);
                    if *isolation != instead {
                        *isolation = instead;
                        self.journal.note(instead.instead_of_more(&why));
                    }
                }
            }
        }
    }

    /// Reports once how instances reach the network.
    fn report_network(&self, isolation: Isolation) {
        let network = lock(&self.network).clone();
        if let Some(network) = network
            && !self.has_reported_network.swap(true, Ordering::Relaxed)
        {
            match isolation {
                Isolation::Process => {
                    self.journal.note("network: this machine's own, unrestricted")
                }
                _ => self.journal.note(network),
            }
        }
    }

    fn start_sandboxed(
        self: &Arc<Self>,
        program: &Arc<Program>,
        config: &Config,
        isolation: Isolation,
        stop: &AtomicBool,
    ) -> Result<Instance, Refused> {
        let begun = Instant::now();
        let launcher = self
            .launcher
            .as_ref()
            .ok_or_else(|| Refused::Isolation("--no-sandbox".into(), Isolation::Process))?;
        let mut env = program.env.clone();
        env.extend(config.variables().into_iter().map(|(name, value)| format!("{name}={value}")));
        let memory_bytes = (isolation == Isolation::Cgroup).then_some(config.memory_mib << 20);
        let plan = Plan {
            rootfs: program.rootfs.clone(),
            argv: program.argv_with(config.command.as_deref(), config.args.as_deref()),
            env,
            cwd: program.cwd.clone(),
            uid: program.uid,
            gid: program.gid,
            limits: sandbox::ResourceLimits { memory_bytes, cpu_millis: None },
            core: None,
            // one more than concurrent requests: a socket is released after its reply
            sockets: config.concurrency + 1,
            low_ports: true,
            network: lock(&self.network).as_ref().map(|network| network.inside()),
        };
        let mut inner = lock(launcher).begin(&plan).map_err(|error| refused(error, isolation))?;
        if let Err(error) = inner.wait_ready() {
            let _ = lock(launcher).end(inner); // `error` has the reason
            return Err(refused(error, isolation));
        }
        let output = inner.take_output().map(|pipe| Output::follow(pipe, self.journal.clone()));
        let sockets = inner.take_sockets();
        let pid = u32::try_from(inner.pid()).unwrap_or_default();
        let runtime = begun.elapsed();
        self.finish(
            program,
            config,
            stop,
            Process::Sandboxed(Box::new(inner)),
            pid,
            GATE,
            sockets,
            isolation,
            runtime,
            output,
        )
    }

    fn start_process(
        self: &Arc<Self>,
        program: &Arc<Program>,
        config: &Config,
        stop: &AtomicBool,
    ) -> Result<Instance, Refused> {
        let begun = Instant::now();
        let failed = |error: io::Error| {
            Refused::InvocationVerdict(InvocationVerdict::ContainerInitError(error.to_string()))
        };
        let argv = program.argv_with(config.command.as_deref(), config.args.as_deref());
        let Some((name, arguments)) = argv.split_first().filter(|(name, _)| name.starts_with('/'))
        else {
            let why = "without the sandbox the image's entrypoint must be an absolute path";
            return Err(Refused::InvocationVerdict(InvocationVerdict::ContainerInitError(
                why.into(),
            )));
        };
        // All instances share one network, so each needs its own port. The listener is closed at
        // once, which frees the port for the instance.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|free| free.local_addr())
            .map_err(failed)?
            .port();
        let (output, input) = io::pipe().map_err(failed)?;
        let mut command = Command::new(program.rootfs.join(name.trim_start_matches('/')));
        command
            .args(arguments)
            .current_dir(program.rootfs.join(program.cwd.trim_start_matches('/')))
            .env_clear()
            .envs(program.env.iter().filter_map(|line| line.split_once('=')))
            .envs(config.variables())
            .env("FIRSTBYTE_ADDR", format!("127.0.0.1:{port}"))
            .env("PORT", port.to_string())
            .stdin(Stdio::null())
            .stdout(input.try_clone().map_err(failed)?)
            .stderr(input)
            .process_group(0); // its children then end with it
        let child = spawn(&mut command).map_err(failed)?;
        drop(command); // closes the writing end of the pipe
        let output = Output::follow(output.into(), self.journal.clone());
        let (pid, address) = (child.id(), SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
        let runtime = begun.elapsed();
        self.finish(
            program,
            config,
            stop,
            Process::Plain(child),
            pid,
            address,
            Vec::new(),
            Isolation::Process,
            runtime,
            Some(output),
        )
    }

    // similar arguments: the results of the two ways to start
    #[allow(clippy::too_many_arguments)]
    fn finish(
        self: &Arc<Self>,
        program: &Arc<Program>,
        config: &Config,
        stop: &AtomicBool,
        mut process: Process,
        pid: u32,
        address: SocketAddrV4,
        sockets: Vec<OwnedFd>,
        isolation: Isolation,
        runtime: Duration,
        output: Option<Arc<Output>>,
    ) -> Result<Instance, Refused> {
        let process_id =
            Pid::from_raw(pid.cast_signed()).ok_or(io::Error::from(io::ErrorKind::NotFound));
        let pidfd = process_id.and_then(|pid| Ok(system::end_of(pid)?));
        let pidfd = match pidfd {
            Ok(pidfd) => pidfd,
            Err(error) => {
                self.end(&mut process, pid);
                return Err(Refused::InvocationVerdict(InvocationVerdict::ContainerInitError(
                    error.to_string(),
                )));
            }
        };
        let mut instance = Instance {
            host: self.clone(),
            program: program.clone(),
            process: Mutex::new(process),
            pid,
            pidfd,
            address,
            sockets: Mutex::new(sockets),
            kept: Mutex::default(),
            isolation,
            memory_limit_bytes: config.memory_mib << 20,
            memory_peak_bytes: AtomicU64::new(0),
            over_memory: AtomicBool::new(false),
            ended_by_us: AtomicBool::new(false),
            start: StartUp { pull: program.take_pull(), runtime, function: Duration::ZERO },
            output,
        };
        instance.start.function = instance
            .wait_listening(config.init_timeout, stop)
            .map_err(Refused::InvocationVerdict)?;
        Ok(instance)
    }

    /// Ends a process if it has not ended, and returns how it ended.
    fn end(&self, process: &mut Process, pid: u32) -> ExitStatus {
        // No other code sees this placeholder, because the caller holds the lock.
        const UNKNOWN: ExitStatus = ExitStatus { code: None, signal: None, memory_bytes: 0 };
        let how = match std::mem::replace(process, Process::Ended(UNKNOWN)) {
            Process::Ended(how) => how,
            Process::Sandboxed(inner) => {
                match self.launcher.as_ref().map(|launcher| lock(launcher).end(*inner)) {
                    Some(Ok(exit)) => ExitStatus {
                        code: exit.code,
                        signal: exit.signal,
                        memory_bytes: exit.max_rss_bytes,
                    },
                    _ => UNKNOWN, // the helper has ended, and so have all instances
                }
            }
            Process::Plain(mut child) => {
                // It has not been waited for, so its number still belongs to it.
                if let Some(group) = Pid::from_raw(pid.cast_signed()) {
                    let _ = kill_process_group(group, Signal::KILL);
                }
                match child.wait() {
                    Ok(status) => {
                        ExitStatus { code: status.code(), signal: status.signal(), memory_bytes: 0 }
                    }
                    Err(_) => UNKNOWN,
                }
            }
        };
        *process = Process::Ended(how);
        how
    }
}

/// Starts a program. It may still be open for writing for a moment (ETXTBSY): a process that
/// another thread forked while the program was copied holds the descriptor until it calls exec
/// itself.
fn spawn(command: &mut Command) -> io::Result<Child> {
    let begun = Instant::now();
    loop {
        match command.spawn() {
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy
                    && begun.elapsed() < BUSY_LIMIT =>
            {
                thread::sleep(BUSY_PAUSE);
            }
            other => return other,
        }
    }
}

impl Isolation {
    fn instead_of_more(self, why: &str) -> String {
        match self {
            Isolation::Cgroup => String::new(),
            Isolation::Sandbox => format!(
                "no memory cgroup here ({why}): the instance's resident set is watched instead"
            ),
            Isolation::Process => format!(
                "no sandbox here ({why}): instances are plain processes; they can write to this \
                 machine's disk, and must take their address from FIRSTBYTE_ADDR or PORT"
            ),
        }
    }
}

impl std::fmt::Display for Isolation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Isolation::Cgroup => {
                "sandbox: read-only root, /tmp in memory; memory limited by cgroup"
            }
            Isolation::Sandbox => {
                "sandbox: read-only root, /tmp in memory; memory watched by resident set"
            }
            Isolation::Process => "plain process, no sandbox; memory watched by resident set",
        })
    }
}

impl Instance {
    /// Times of its start.
    pub fn start(&self) -> StartUp {
        self.start
    }

    /// The lines that it has printed since the last time.
    pub(crate) fn take_output(&self) -> Vec<String> {
        self.output.as_ref().map(|output| output.take()).unwrap_or_default()
    }

    /// The version that it runs.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// The process's id on this machine.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the process has ended.
    pub fn has_ended(&self) -> bool {
        self.wait_end(Duration::ZERO)
    }

    /// The largest resident set so far, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        let pid = i32::try_from(self.pid).ok();
        let seen = pid.and_then(sandbox::peak_resident_bytes).unwrap_or(0);
        self.memory_peak_bytes.fetch_max(seen, Ordering::Relaxed).max(seen)
    }

    /// Sends a request and waits for the reply, for at most `limit`.
    ///
    /// # Errors
    /// [`ExchangeError`]; a time-out does not reach the process.
    pub fn exchange(&self, request: &Request, limit: Duration) -> Result<Reply, ExchangeError> {
        let deadline = Instant::now() + limit;
        loop {
            let (stream, was_kept) = self.connection()?;
            let result = self.talk(&stream, request, deadline);
            if let Ok((_, true)) = result {
                lock(&self.kept).push(stream);
            } else {
                self.let_go(stream);
            }
            match result {
                Ok((reply, _)) => {
                    self.report_blocked_calls();
                    return Ok(reply);
                }
                // The function closed the connection at the same moment, without reading the
                // request: send it on another one.
                Err(NoReply::Unread) if was_kept && !self.has_ended() => {}
                Err(NoReply::Unread) => {
                    return Err(
                        self.exchange_error(WireError::Io(io::ErrorKind::ConnectionReset.into()))
                    );
                }
                Err(NoReply::ExchangeError(exchange_error)) => {
                    self.report_blocked_calls(); // it may be the reason
                    return Err(exchange_error);
                }
            }
        }
    }

    /// Sends a WebSocket's handshake. If the function accepts it, relays the connection to its end
    /// and returns [`Handshake::Done`]; otherwise returns the function's reply.
    ///
    /// # Errors
    /// [`ExchangeError`], if the exchange fails before the protocols are switched.
    pub(crate) fn converse(
        &self,
        request: &Request,
        client: &TcpStream,
        early: &[u8],
        (timeout, idle): (Duration, Duration),
    ) -> Result<Handshake, ExchangeError> {
        let deadline = Instant::now() + timeout;
        loop {
            let (function, was_kept) = self.connection()?;
            let mut reader = BufReader::new(Watched {
                stream: &function,
                instance: self,
                deadline,
                is_silent: true,
                why: None,
            });
            let reply = request
                .write_handshake(&mut &function)
                .map_err(WireError::Io)
                .and_then(|()| Reply::read_or_switch(&mut reader, &request.method));
            let (why, is_silent) = (reader.get_mut().why.take(), reader.get_ref().is_silent);
            let behind = reader.buffer().to_vec();
            drop(reader);
            match reply {
                Ok((reply, _)) if reply.status != 101 => {
                    self.let_go(function);
                    return Ok(Handshake::Refused(reply));
                }
                Ok((reply, _)) => {
                    let relay = Relay {
                        client,
                        function: &function,
                        instance: self,
                        idle,
                        deadline,
                        timeout,
                    };
                    let (verdict, note) = match reply.write_switch(&mut &*client) {
                        Ok(()) => relay.run(early.to_vec(), behind),
                        Err(_) => {
                            (InvocationVerdict::WebSocketClosed(Side::Client, ABNORMAL), None)
                        }
                    };
                    self.let_go(function);
                    self.report_blocked_calls();
                    return Ok(Handshake::Done(verdict, note, reply));
                }
                Err(error) => {
                    self.let_go(function);
                    if let Some(why) = why {
                        return Err(why);
                    }
                    if !(was_kept && is_silent && !self.has_ended()) {
                        return Err(self.exchange_error(error));
                    }
                    // The function closed it at the same moment: try another connection.
                }
            }
        }
    }

    /// Reports the calls that the function tried and that failed, each once per run.
    fn report_blocked_calls(&self) {
        let (in_vain, here, nobody) = match &*lock(&self.process) {
            Process::Sandboxed(inner) => {
                (inner.called_in_vain(), inner.called_in_vain_here(), inner.called_nobody())
            }
            _ => return,
        };
        let is_fresh = |what: &String| lock(&self.host.reported_blocked).insert(what.clone());
        let network = lock(&self.host.network).clone();
        let in_vain: Vec<String> = in_vain.into_iter().filter(is_fresh).collect();
        if !in_vain.is_empty() {
            let why = match &network {
                Some(network) if !network.has_uplink() => "instances have no network",
                _ => "metadata services are always blocked",
            };
            self.host.journal.note(format_args!("{}: {why}", in_vain.join(", ")));
        }
        let remedy = match network.is_some_and(|network| network.is_wanted()) {
            true => "",
            false => " in place of --no-network",
        };
        // Its own port is called from outside, and may be refused until it listens.
        for address in here.into_iter().filter(|address| address.port() != PORT) {
            let note = format!(
                "a call to {address} was refused: no server listens there in the instance's \
                 network; to call a server of this machine, name it with \
                 `--reach {address}`{remedy}, or with `reach` under [local] in function.toml"
            );
            if is_fresh(&note) {
                self.host.journal.note(note);
            }
        }
        for address in nobody {
            let note =
                format!("a call to {address} failed: no server listens there on this machine");
            if is_fresh(&note) {
                self.host.journal.note(note);
            }
        }
    }

    /// Ends the instance, if it has not ended.
    pub fn end(&self) {
        self.ended();
    }

    fn ended(&self) -> ExitStatus {
        let mut process = lock(&self.process);
        if !matches!(*process, Process::Ended(_)) && !self.has_ended() {
            self.ended_by_us.store(true, Ordering::Relaxed);
        }
        let how = self.host.end(&mut process, self.pid);
        self.memory_peak_bytes.fetch_max(how.memory_bytes, Ordering::Relaxed);
        how
    }

    /// The verdict for an ended process; `otherwise` if memory was not the cause.
    fn fate(&self, otherwise: impl FnOnce(String) -> InvocationVerdict) -> InvocationVerdict {
        let how = self.ended();
        const KILL: i32 = 9;
        let killed = how.signal == Some(KILL) && !self.ended_by_us.load(Ordering::Relaxed);
        match self.over_memory.load(Ordering::Relaxed)
            || (self.isolation == Isolation::Cgroup && killed)
        {
            true => InvocationVerdict::MemoryLimitReached,
            false => otherwise(how.to_string()),
        }
    }

    fn wait_listening(
        &self,
        limit: Duration,
        stop: &AtomicBool,
    ) -> Result<Duration, InvocationVerdict> {
        let started = Instant::now();
        loop {
            match self.connect() {
                Ok(stream) => {
                    let elapsed = started.elapsed();
                    lock(&self.kept).push(stream); // for the first request
                    return Ok(elapsed);
                }
                Err(_) if self.has_ended() => return Err(self.failed_start()),
                Err(_) if self.is_over_memory() => {
                    self.end();
                    return Err(InvocationVerdict::MemoryLimitReached);
                }
                Err(_) if stop.load(Ordering::Relaxed) => {
                    self.end();
                    let why = "it was ended before it listened";
                    return Err(InvocationVerdict::ContainerInitError(why.into()));
                }
                Err(_) if started.elapsed() > limit => {
                    self.explain_silence();
                    self.report_blocked_calls();
                    self.end();
                    return Err(InvocationVerdict::PortBindingFailed(limit));
                }
                Err(_) => {
                    // Linux sends no notification when another process begins to listen. Between
                    // two tries this waits for the end of the process.
                    let fast = started.elapsed() < Duration::from_millis(20);
                    self.wait_end(Duration::from_micros(if fast { 100 } else { 1000 }));
                }
            }
        }
    }

    fn failed_start(&self) -> InvocationVerdict {
        self.report_blocked_calls(); // a blocked call may be the reason
        if let Process::Sandboxed(inner) = &mut *lock(&self.process)
            && let Err(error) = inner.exec_ns()
        {
            return InvocationVerdict::ContainerInitError(error.to_string());
        }
        self.fate(InvocationVerdict::ContainerExited)
    }

    /// Names a common mistake that the platform's message does not mention.
    fn explain_silence(&self) {
        let local = SocketAddrV4::new(Ipv4Addr::LOCALHOST, PORT);
        if self.isolation != Isolation::Process
            && let Some(socket) = lock(&self.sockets).pop()
            && connect(&socket, &local).is_ok()
        {
            self.host
                .journal
                .note("the function listens on 127.0.0.1 only; the platform needs 0.0.0.0");
            return;
        }
        if self.isolation == Isolation::Process {
            return; // its network is this machine's
        }
        for found in listeners(self.pid.cast_signed()) {
            self.host.journal.note(format_args!(
                "the function listens on {found}; the platform asks 0.0.0.0:{PORT} only"
            ));
        }
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let stream = match self.isolation {
            Isolation::Process => TcpStream::connect(self.address)?,
            _ => {
                let socket = lock(&self.sockets)
                    .pop()
                    .ok_or_else(|| io::Error::other("every socket is in use"))?;
                if let Err(error) = connect(&socket, &self.address) {
                    // Linux permits another connect(2) on a TCP socket that was refused
                    lock(&self.sockets).push(socket);
                    return Err(error.into());
                }
                TcpStream::from(socket)
            }
        };
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// A connection to the function, and whether it has carried a request before.
    fn connection(&self) -> Result<(TcpStream, bool), ExchangeError> {
        match self.kept_connection() {
            Some(stream) => Ok((stream, true)),
            None => {
                let stream = self.connect();
                Ok((stream.map_err(|error| self.exchange_error(WireError::Io(error)))?, false))
            }
        }
    }

    /// A kept connection whose other end is still open.
    fn kept_connection(&self) -> Option<TcpStream> {
        loop {
            let stream = lock(&self.kept).pop()?;
            // No data is expected on it: a readable socket has been closed.
            match ready([PollFd::new(&stream, PollFlags::IN)], Duration::ZERO) {
                [true] => self.let_go(stream),
                [false] => return Some(stream),
            }
        }
    }

    /// Returns a socket of another network for reuse, because no more of them can be made.
    fn let_go(&self, stream: TcpStream) {
        if self.isolation != Isolation::Process && connect_unspec(&stream).is_ok() {
            lock(&self.sockets).push(stream.into());
        }
    }

    fn talk(
        &self,
        stream: &TcpStream,
        request: &Request,
        deadline: Instant,
    ) -> Result<(Reply, bool), NoReply> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(NoReply::ExchangeError(ExchangeError::TimedOut));
        }
        let write =
            stream.set_write_timeout(Some(left)).and_then(|()| request.write(&mut &*stream));
        // A function may answer and close before it has read everything: its reply is valid.
        let cut_off = match write.map_err(|error| error.kind()) {
            Err(io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(NoReply::ExchangeError(ExchangeError::TimedOut));
            }
            other => other.is_err(),
        };
        let mut reader = BufReader::new(Watched {
            stream,
            instance: self,
            deadline,
            is_silent: true,
            why: None,
        });
        let reply = Reply::read(&mut reader, &request.method);
        match (reply, reader.get_mut().why.take()) {
            (Ok((reply, kept)), _) => Ok((reply, kept && reader.buffer().is_empty())),
            (Err(_), Some(exchange_error)) => Err(NoReply::ExchangeError(exchange_error)),
            // Closing a connection with unread bytes resets it (RFC 9293, section 3.6.1); closing
            // it after reading everything does not.
            (Err(WireError::Closed), None) if cut_off || is_reset_soon(stream) => {
                Err(NoReply::Unread)
            }
            (Err(WireError::Io(error)), None) if reader.get_ref().is_silent && is_reset(&error) => {
                Err(NoReply::Unread)
            }
            (Err(error), None) => Err(NoReply::ExchangeError(self.exchange_error(error))),
        }
    }

    fn exchange_error(&self, error: WireError) -> ExchangeError {
        match error {
            WireError::TooBig => ExchangeError::Wire(error),
            // When a process ends, the order in which its connections close is not guaranteed.
            _ if self.wait_end(END_GRACE) => {
                ExchangeError::Ended(self.fate(InvocationVerdict::UserProcessExited))
            }
            _ => ExchangeError::Wire(error),
        }
    }

    /// Whether it uses more memory than permitted, where no cgroup enforces the limit.
    fn is_over_memory(&self) -> bool {
        if self.isolation == Isolation::Cgroup {
            return false;
        }
        let resident_bytes = system::resident_bytes(self.pid);
        self.memory_peak_bytes.fetch_max(resident_bytes, Ordering::Relaxed);
        let over = resident_bytes > self.memory_limit_bytes;
        if over {
            self.over_memory.store(true, Ordering::Relaxed);
        }
        over
    }

    fn wait_end(&self, limit: Duration) -> bool {
        ready([PollFd::new(&self.pidfd, PollFlags::IN)], limit) == [true]
    }
}

impl Beside for Instance {
    fn look_again_within(&self, time: Duration) -> Duration {
        match self.isolation {
            Isolation::Cgroup => time,
            _ => time.min(WATCH_INTERVAL),
        }
    }

    fn ended_over_memory(&self) -> bool {
        let is_over = self.is_over_memory();
        if is_over {
            self.end();
        }
        is_over
    }

    fn end_of_connection(&self) -> Option<InvocationVerdict> {
        self.wait_end(END_GRACE).then(|| self.fate(InvocationVerdict::UserProcessExited))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.end();
    }
}

impl std::fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exited with code {code}"),
            (None, Some(signal)) => write!(f, "was ended by signal {signal}"),
            (None, None) => f.write_str("ended"),
        }
    }
}

/// Reading side of a connection that also checks the time and the memory.
struct Watched<'a> {
    stream: &'a TcpStream,
    instance: &'a Instance,
    deadline: Instant,
    /// Whether no byte of a reply has come.
    is_silent: bool,
    /// Why reading was stopped.
    why: Option<ExchangeError>,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let watched = self.instance.isolation != Isolation::Cgroup;
            let [readable] = ready(
                [PollFd::new(self.stream, PollFlags::IN)],
                if watched { left.min(WATCH_INTERVAL) } else { left },
            );
            if readable {
                let length = (&mut &*self.stream).read(buffer)?;
                self.is_silent &= length == 0;
                return Ok(length);
            }
            let exchange_error = if watched && self.instance.is_over_memory() {
                self.instance.end();
                ExchangeError::Ended(InvocationVerdict::MemoryLimitReached)
            } else if left.is_zero() {
                ExchangeError::TimedOut
            } else {
                continue;
            };
            self.why = Some(exchange_error);
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

/// Which of these can be read, or have ended, within the time.
fn ready<const N: usize>(mut of: [PollFd<'_>; N], limit: Duration) -> [bool; N] {
    let limit = Timespec {
        tv_sec: limit.as_secs().cast_signed(),
        tv_nsec: i64::from(limit.subsec_nanos()),
    };
    match poll(&mut of, Some(&limit)) {
        Ok(_) => of.each_ref().map(|fd| !fd.revents().is_empty()),
        Err(_) => [false; N], // interrupted: the caller tries again
    }
}

/// Whether a reset followed the last bytes: the system sometimes sends it a little later.
fn is_reset_soon(stream: &TcpStream) -> bool {
    ready([PollFd::new(stream, PollFlags::empty())], RESET_GRACE) == [true]
}

fn is_reset(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

fn refused(error: sandbox::Error, isolation: Isolation) -> Refused {
    let is_permission = |source: &io::Error| source.kind() == io::ErrorKind::PermissionDenied;
    match error {
        sandbox::Error::Cgroup(why) if isolation == Isolation::Cgroup => {
            Refused::Isolation(why, Isolation::Sandbox)
        }
        sandbox::Error::Namespace { .. } => {
            Refused::Isolation(error.to_string(), Isolation::Process)
        }
        sandbox::Error::Step { ref step, .. } if step.contains("its network") => {
            Refused::Network(error.to_string())
        }
        // Some machines permit namespaces and refuse operations inside them.
        sandbox::Error::Step { ref step, ref source }
            if is_permission(source) && !step.starts_with("entering the working directory") =>
        {
            match isolation == Isolation::Cgroup && step.contains("cgroup") {
                true => Refused::Isolation(error.to_string(), Isolation::Sandbox),
                false => Refused::Isolation(error.to_string(), Isolation::Process),
            }
        }
        error => {
            Refused::InvocationVerdict(InvocationVerdict::ContainerInitError(error.to_string()))
        }
    }
}
