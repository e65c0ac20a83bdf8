//! Sandbox: runs a program from an unpacked rootfs in isolation. It uses mount, pid, network, uts,
//! ipc and user namespaces, a read-only root with a tmpfs `/tmp`, and a loopback interface. It is
//! made for measurements, and looks like a function platform's sandbox from inside. It is not a
//! security product: there is no seccomp filter, and it expects images of the user's own.
//!
//! A *helper* does the work: a single-threaded process (this same executable, started with a hidden
//! subcommand that calls [`helper_main`]) that forks instances on request. A program with threads
//! cannot safely run code between fork and exec; the helper can. Forking the helper is cheap, so
//! the time between a complete rootfs and `execve` is the kernel's. Terms: OCI runtime-spec (create
//! = everything up to exec, start = exec).

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

/// Number of bytes kept of the end of an instance's output.
const OUTPUT_KEPT_BYTES: usize = 8 * 1024;

/// The helper process, and the socket to it. Dropping this ends the helper and every instance.
pub struct Launcher {
    control: OwnedFd,
    child: Child,
    network: Option<Arc<Network>>,
}

impl Launcher {
    /// Starts the helper: `executable` with [`HELPER_SUBCOMMAND`], usually `/proc/self/exe`.
    ///
    /// # Errors
    /// [`Error::Helper`] if the executable does not start.
    pub fn start(executable: &Path) -> Result<Self, Error> {
        let (ours, theirs) = wire::pair().map_err(Error::Helper)?;
        let mut command = Command::new(executable);
        command
            .arg0(executable.file_name().unwrap_or(OsStr::new("helper")))
            .arg(HELPER_SUBCOMMAND)
            .stdin(Stdio::from(theirs)) // the control socket is the helper's standard input
            .stdout(Stdio::null())
            // this process handles Ctrl-C: the helper ends when the socket closes
            .process_group(0);
        let child = command.spawn().map_err(Error::Helper)?;
        Ok(Self { control: ours, child, network: None })
    }

    /// Connects instances whose plan has [`Plan::network`] to this network.
    pub fn with_network(mut self, network: Option<Arc<Network>>) -> Self {
        self.network = network;
        self
    }

    /// Creates an instance, and returns just before its program is executed: all steps except
    /// `execve` are done, and the sockets have arrived. `execve` follows within microseconds.
    ///
    /// # Errors
    /// The kernel's error, and the step that failed.
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

    /// The first half of [`Launcher::launch`]: creates the instance, which then sets up its
    /// isolation by itself. Several instances may do so at once; wait for each with
    /// [`Instance::wait_ready`], and end those that fail.
    ///
    /// # Errors
    /// [`Error`] if no process could be created.
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
    /// [`Error::Helper`] if the helper has ended; the instance has then ended too.
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
        // Shutting the socket down tells the helper to kill its instances and to exit.
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
    /// The instance's network, removed together with the instance.
    connected: Option<network::Connected>,
    exec_ns: Option<u64>,
}

impl Instance {
    /// Process id in the host's pid namespace.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The sockets that [`Plan::sockets`] requested: unconnected IPv4 TCP sockets of the instance's
    /// network namespace. The measuring side needs to enter no namespace.
    pub fn take_sockets(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.sockets)
    }

    /// The time of `execve` by CLOCK_MONOTONIC, in nanoseconds; `None` until it is known.
    ///
    /// # Errors
    /// [`Error::Step`] if `execve` or an earlier step failed.
    pub fn exec_ns(&mut self) -> Result<Option<u64>, Error> {
        self.read_events(false)?;
        Ok(self.exec_ns)
    }

    /// The program's calls that failed, one sentence each: names that were looked up without a
    /// network, addresses without a route. Empty after the program has ended, or without
    /// [`Plan::network`].
    pub fn called_in_vain(&self) -> Vec<String> {
        self.connected.as_ref().map(network::Connected::in_vain).unwrap_or_default()
    }

    /// Addresses of the instance's own loopback that refused the program because no server listens
    /// there: the program may have meant this machine's loopback. Empty without
    /// [`Inside::hears_refusals`].
    pub fn called_in_vain_here(&self) -> Vec<SocketAddr> {
        self.connected.as_ref().map(network::Connected::refused).unwrap_or_default()
    }

    /// Named ports of this machine that the program called and where no server listens.
    pub fn called_nobody(&self) -> Vec<SocketAddr> {
        self.connected.as_ref().map(network::Connected::unanswered).unwrap_or_default()
    }

    /// Whether the program has ended.
    pub fn has_ended(&self) -> bool {
        readable(&self.pidfd, Some(Duration::ZERO))
    }

    /// Blocks until the program has ended or the time limit has passed; returns whether it has
    /// ended.
    pub fn wait_end(&self, limit: Duration) -> bool {
        readable(&self.pidfd, Some(limit))
    }

    /// The last 8 KiB of the program's standard output and error so far. It reads what is in the
    /// pipe and never blocks. Empty after a call of [`Instance::take_output`].
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

    /// The pipe with the program's standard output and error, for a caller that reads along.
    /// Reading blocks from now on, and ends when the program has ended. `None` at the second call.
    pub fn take_output(&mut self) -> Option<OwnedFd> {
        let output = self.output.take()?;
        nix::fcntl::fcntl(&output, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty()))
            .ok()?;
        Some(output)
    }

    /// Blocks until just before the program is executed; its sockets have then arrived.
    ///
    /// # Errors
    /// The kernel's error, and the step that failed.
    pub fn wait_ready(&mut self) -> Result<(), Error> {
        self.read_events(true)
    }

    /// Reads the child's messages. With `wait` it blocks until the child is ready or has failed.
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
                // The socket closes at execve: no further message follows.
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

/// The largest resident memory of a process so far, in bytes, including shared and file pages
/// (proc(5), status, VmHWM). `None` if the process has ended.
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

/// Whether a namespace was refused because a limit is reached, and not because none is permitted
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

/// This process has no free descriptor, or its helper has ended.
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
