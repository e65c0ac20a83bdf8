//! Sandbox: runs a program from an unpacked rootfs in isolation: mount, pid, network, uts, ipc and
//! user namespaces, a read-only root with a tmpfs `/tmp`, loopback up, nothing else. It is made for
//! measuring, and looks like a function platform's from inside. It is not a security product: there
//! is no seccomp filter, and images are expected to be the user's own.
//!
//! The work is done by a *helper*: one single-threaded process (this same executable, started
//! with a hidden subcommand that calls [`helper_main`]) which forks instances on request. A program
//! with threads cannot safely run code between fork and exec; the helper can, and forking it is
//! cheap, so the time between "rootfs complete" and `execve` is the kernel's and not ours.
//! Vocabulary: OCI runtime-spec (create = everything up to exec, start = exec).

mod cgroup;
mod etc;
mod filter;
mod helper;
mod inside;
mod network;
mod plan;
mod reach;
mod refusals;
mod relay;
mod route;
mod uplink;
mod user;
mod wire;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use wire::{Event, Reply, Request};

pub use helper::helper_main;
pub use network::Network;
pub use plan::{
    EXEC_NS_VARIABLE, Error, Exit, HELPER_SUBCOMMAND, Inside, Plan, Port, PortKind, ResourceLimits,
};
pub use reach::{MAX_REACH, Reach, ReachError};
pub use user::{UserError, user_of};

/// How many bytes of an instance's output are kept: the last ones.
const OUTPUT_KEPT_BYTES: usize = 8 * 1024;

/// The helper process and the way to talk to it. Dropping it ends the helper and every instance.
pub struct Launcher {
    control: OwnedFd,
    child: Child,
    network: Option<Arc<Network>>,
}

impl Launcher {
    /// Starts the helper: `executable` with [`HELPER_SUBCOMMAND`], usually `/proc/self/exe`.
    ///
    /// # Errors
    /// [`Error::Helper`] when the executable does not start.
    pub fn start(executable: &Path) -> Result<Self, Error> {
        let (ours, theirs) = wire::pair().map_err(Error::Helper)?;
        let mut command = Command::new(executable);
        command
            .arg0(executable.file_name().unwrap_or(OsStr::new("helper")))
            .arg(HELPER_SUBCOMMAND)
            .stdin(Stdio::from(theirs)) // the control socket is the helper's standard input
            .stdout(Stdio::null())
            .process_group(0); // Ctrl-C is ours to handle: the helper ends when the socket closes
        let child = command.spawn().map_err(Error::Helper)?;
        Ok(Self { control: ours, child, network: None })
    }

    /// Instances whose plan has [`Plan::network`] are connected to this one.
    pub fn with_network(mut self, network: Option<Arc<Network>>) -> Self {
        self.network = network;
        self
    }

    /// Creates an instance and returns once its program is about to be executed: everything but
    /// `execve` is done, the sockets are here. `execve` follows within microseconds.
    ///
    /// # Errors
    /// What the kernel refused, with the step that it refused it in.
    pub fn launch(&mut self, plan: &Plan) -> Result<Instance, Error> {
        let mut instance = self.begin(plan)?;
        match instance.wait_ready() {
            Ok(()) => Ok(instance),
            Err(error) => {
                self.end(instance)?;
                Err(error)
            }
        }
    }

    /// The first half of [`Launcher::launch`]: the instance exists, and builds its walls by itself.
    /// Several may do so at once; wait for each with [`Instance::wait_ready`], and end those that
    /// fail.
    ///
    /// # Errors
    /// [`Error`]: no process could be made.
    pub fn begin(&mut self, plan: &Plan) -> Result<Instance, Error> {
        let (events, child_events) = wire::pair().map_err(descriptors)?;
        let (output, child_output) = wire::output_pipe().map_err(descriptors)?;
        let request = Request::Launch(Box::new(plan.clone()));
        wire::send(&self.control, &request, &[child_events.as_fd(), child_output.as_fd()])
            .map_err(Error::Helper)?;
        drop((child_events, child_output));
        let pid = match self.reply()? {
            Reply::Launched { pid } => pid,
            Reply::Failed(failure) => return Err(failure.into()),
            other => return Err(Error::Helper(wire::unexpected(&other))),
        };
        let pidfd = wire::pidfd_open(pid).map_err(Error::Helper)?;
        Ok(Instance {
            pid,
            pidfd,
            events,
            output: Some(output),
            kept: Vec::new(),
            sockets: Vec::new(),
            network: self.network.clone().zip(plan.network.clone()),
            connected: None,
            exec_ns: None,
        })
    }

    /// Kills the instance (and with it its pid namespace) and reaps it.
    ///
    /// # Errors
    /// [`Error::Helper`] when the helper is gone; the instance is then gone too.
    pub fn end(&mut self, instance: Instance) -> Result<Exit, Error> {
        wire::send(&self.control, &Request::End { pid: instance.pid }, &[])
            .map_err(Error::Helper)?;
        match self.reply()? {
            Reply::Ended(exit) => Ok(exit),
            other => Err(Error::Helper(wire::unexpected(&other))),
        }
    }

    fn reply(&mut self) -> Result<Reply, Error> {
        let (reply, _) = wire::receive::<Reply>(&self.control).map_err(Error::Helper)?;
        Ok(reply)
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        // Shutting the socket down is the order to end: the helper kills its instances and exits.
        let _ =
            nix::sys::socket::shutdown(self.control.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        let _ = self.child.wait();
    }
}

/// One running program. It lives until [`Launcher::end`] or the launcher's end.
pub struct Instance {
    pid: i32,
    pidfd: OwnedFd,
    events: OwnedFd,
    output: Option<OwnedFd>,
    kept: Vec<u8>,
    sockets: Vec<OwnedFd>,
    network: Option<(Arc<Network>, Inside)>,
    /// Put away with the instance.
    connected: Option<network::Connected>,
    exec_ns: Option<u64>,
}

impl Instance {
    /// Process id as this host sees it.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The sockets that [`Plan::sockets`] asked for: unconnected IPv4 TCP sockets that live in the
    /// instance's network namespace, so that the measuring side needs to enter nothing.
    pub fn take_sockets(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.sockets)
    }

    /// The moment of `execve`, CLOCK_MONOTONIC in nanoseconds, once it is known.
    ///
    /// # Errors
    /// [`Error::Step`] when `execve` or a step before it failed.
    pub fn exec_ns(&mut self) -> Result<Option<u64>, Error> {
        self.read_events(false)?;
        Ok(self.exec_ns)
    }

    /// What the program tried to call and could not, a sentence each: names that were looked up
    /// where there is no network, addresses without a route. Nothing once it has ended, or without
    /// [`Plan::network`].
    pub fn called_in_vain(&self) -> Vec<String> {
        self.connected.as_ref().map(network::Connected::in_vain).unwrap_or_default()
    }

    /// Where the program was refused on its own loopback, because nobody listens there: it may have
    /// meant this machine's. Nothing where [`Inside::hears_refusals`] was not asked for.
    pub fn called_in_vain_here(&self) -> Vec<SocketAddr> {
        self.connected.as_ref().map(network::Connected::refused).unwrap_or_default()
    }

    /// Named ports of this machine that the program called, and where nobody listens.
    pub fn called_nobody(&self) -> Vec<SocketAddr> {
        self.connected.as_ref().map(network::Connected::unanswered).unwrap_or_default()
    }

    /// Whether the program has ended.
    pub fn has_ended(&self) -> bool {
        readable(&self.pidfd, Some(Duration::ZERO))
    }

    /// Blocks until the program has ended or the time is over; says whether it has ended.
    pub fn wait_end(&self, limit: Duration) -> bool {
        readable(&self.pidfd, Some(limit))
    }

    /// The end of what the program has printed so far on standard output and error (8 KiB at
    /// most). Takes what waits in the pipe; never blocks. Nothing once [`Instance::take_output`]
    /// was called.
    pub fn output_tail(&mut self) -> String {
        let mut piece = [0u8; 4096];
        while let Some(Ok(n @ 1..)) =
            self.output.as_ref().map(|output| nix::unistd::read(output, &mut piece))
        {
            self.kept.extend_from_slice(&piece[..n]);
            if self.kept.len() > 2 * OUTPUT_KEPT_BYTES {
                self.kept.drain(..self.kept.len() - OUTPUT_KEPT_BYTES);
            }
        }
        let from = self.kept.len().saturating_sub(OUTPUT_KEPT_BYTES);
        String::from_utf8_lossy(&self.kept[from..]).into_owned()
    }

    /// The pipe with all that the program prints on standard output and error, for one who reads
    /// along: reading blocks from now on, and ends when the program has ended. `None` the second
    /// time.
    pub fn take_output(&mut self) -> Option<OwnedFd> {
        let output = self.output.take()?;
        nix::fcntl::fcntl(&output, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty()))
            .ok()?;
        Some(output)
    }

    /// Blocks until the program is about to be executed: its sockets are then here.
    ///
    /// # Errors
    /// What the kernel refused, with the step that it refused it in.
    pub fn wait_ready(&mut self) -> Result<(), Error> {
        self.read_events(true)
    }

    /// Reads what the child has to say. `wait`: until it is ready or has failed.
    fn read_events(&mut self, wait: bool) -> Result<(), Error> {
        loop {
            if !wait && !readable(&self.events, Some(Duration::ZERO)) {
                return Ok(());
            }
            match wire::receive::<Event>(&self.events) {
                Ok((Event::Network, listeners)) => {
                    self.connect(listeners)?;
                    wire::send(&self.events, &wire::Go, &[]).map_err(setting_up)?;
                }
                Ok((Event::Ready, sockets)) => {
                    self.sockets = sockets;
                    if wait {
                        return Ok(());
                    }
                }
                Ok((Event::Exec { at_ns }, _)) => self.exec_ns = Some(at_ns),
                Ok((Event::Failed(failure), _)) => return Err(failure.into()),
                // The socket closes with execve: there is nothing more to come.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !wait => {
                    return Ok(());
                }
                Err(error) => return Err(setting_up(error)),
            }
        }
    }

    fn connect(&mut self, listeners: Vec<OwnedFd>) -> Result<(), Error> {
        if let Some((network, inside)) = &self.network {
            let connected = network.connect(self.pid, inside, listeners);
            self.connected = Some(connected.map_err(|source| Error::Full {
                which: "the relays of its network".into(),
                source,
            })?);
        }
        Ok(())
    }
}

fn setting_up(source: io::Error) -> Error {
    Error::Step { step: "setting up".into(), source }
}

/// The most memory that a process had resident so far, in bytes, shared and file pages included
/// (proc(5), status, VmHWM). `None` when the process has ended.
pub fn peak_resident_bytes(pid: i32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

impl From<wire::Failure> for Error {
    fn from(failure: wire::Failure) -> Self {
        let source = io::Error::from_raw_os_error(failure.errno);
        match failure.what {
            wire::What::Namespace { which } if is_full(&which, failure.errno) => {
                Error::Full { which: format!("a process in a new {which} namespace"), source }
            }
            wire::What::Namespace { which } => {
                Error::Namespace { hint: helper::namespace_hint(&which), which, source }
            }
            wire::What::Step { step } => Error::Step { step, source },
            wire::What::Cgroup { message } => Error::Cgroup(message),
        }
    }
}

/// Whether a refused namespace means that there are too many, rather than that there may be none
/// (clone(2), EAGAIN and ENOSPC).
fn is_full(which: &str, errno: i32) -> bool {
    let none_allowed = || {
        let name = match which {
            "mount" => "mnt",
            "network" => "net",
            other => other,
        };
        std::fs::read_to_string(format!("/proc/sys/user/max_{name}_namespaces"))
            .is_ok_and(|n| n.trim() == "0")
    };
    match errno {
        nix::libc::EAGAIN | nix::libc::ENOMEM => true,
        nix::libc::ENOSPC | nix::libc::EUSERS => !none_allowed(),
        _ => false,
    }
}

/// The tool itself has no descriptor left, or its helper is gone.
fn descriptors(source: io::Error) -> Error {
    match source.raw_os_error() {
        Some(nix::libc::EMFILE | nix::libc::ENFILE) => {
            Error::Full { which: "a descriptor".into(), source }
        }
        _ => Error::Helper(source),
    }
}

fn readable(fd: &impl AsFd, limit: Option<Duration>) -> bool {
    let timeout = match limit {
        Some(limit) => PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX),
        None => PollTimeout::NONE,
    };
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut fds, timeout), Ok(1..))
}
