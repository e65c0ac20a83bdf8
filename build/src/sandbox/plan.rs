//! Launch plan and its results: what to start, how it is limited, and how it can end. Values only,
//! the same on every system. OCI runtime-spec, config.md.

use serde::{Deserialize, Serialize};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// The argument that starts an executable as a helper; its `main` must then call [`helper_main`].
pub const HELPER_SUBCOMMAND: &str = "__init";

/// The environment variable that passes an instance the time of its own `execve`: CLOCK_MONOTONIC,
/// in nanoseconds. A process's start time in /proc has a resolution of only 10 ms.
pub const EXEC_NS_VARIABLE: &str = "FIRSTBYTE_EXEC_NS";

/// What to start, and how to isolate it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The unpacked root filesystem, a directory on this host. It is mounted read-only.
    pub rootfs: PathBuf,
    /// Entrypoint and arguments; the first is a path inside the rootfs, or a name to look up in
    /// `PATH`.
    pub argv: Vec<String>,
    /// `NAME=value` lines. [`EXEC_NS_VARIABLE`] is added.
    pub env: Vec<String>,
    /// Working directory inside the rootfs; an empty text means `/`.
    pub cwd: String,
    /// User and group id inside the instance. As root, the instance sees the rootfs' owners as they
    /// are on the host's disk, if the file system supports it (mount_setattr(2), ID-mapped mounts).
    pub uid: u32,
    /// See `uid`.
    pub gid: u32,
    /// Resource limits; if all are `None`, the instance needs no cgroup.
    pub limits: ResourceLimits,
    /// The core that the instance may use; `None` means all cores of the helper.
    pub core: Option<usize>,
    /// Number of TCP sockets to create inside the instance's network namespace and to return, see
    /// [`Instance::take_sockets`](super::Instance::take_sockets).
    pub sockets: usize,
    /// Whether the instance's user may open ports below 1024, as in container engines.
    pub low_ports: bool,
    /// The network of [`Launcher::with_network`](super::Launcher::with_network); `None` means only
    /// loopback.
    pub network: Option<Inside>,
}

/// Resource limits by cgroup (v1 or v2, whichever the machine has).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceLimits {
    /// Bytes of memory, including the page cache of the instance.
    pub memory_bytes: Option<u64>,
    /// Thousandths of a core.
    pub cpu_millis: Option<u32>,
}

impl ResourceLimits {
    /// Whether there is no limit.
    pub fn is_empty(&self) -> bool {
        self.memory_bytes.is_none() && self.cpu_millis.is_none()
    }
}

/// Why an instance could not be created.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel or the container around us refuses a namespace.
    #[error(
        "{which} namespaces are not permitted here (`{source}`): run as root, or allow them \
         ({hint})"
    )]
    Namespace {
        /// Which kind of namespace.
        which: String,
        /// The machine's settings that decide whether it is permitted.
        hint: String,
        /// The underlying error.
        source: io::Error,
    },
    /// A limit of processes, namespaces, memory or descriptors is reached, so no further instance
    /// can start.
    #[error("no room for another instance: {which}: {source}")]
    Full {
        /// The missing resource.
        which: String,
        /// The underlying error.
        source: io::Error,
    },
    /// A step between fork and exec failed.
    #[error("`{step}` failed inside the sandbox: {source}")]
    Step {
        /// The step, for example `execve /app`.
        step: String,
        /// The underlying error.
        source: io::Error,
    },
    /// This machine cannot set a requested limit.
    #[error(
        "cannot limit the instance: {0}; leave the limit out, or run as root where cgroups are \
         writable"
    )]
    Cgroup(String),
    /// The system has no namespaces, because it is not Linux.
    #[error("the sandbox needs Linux; this machine has another system")]
    Elsewhere,
    /// The helper process did not start or ended.
    #[error("the sandbox's helper process is gone: {0}")]
    Helper(#[source] io::Error),
}

/// How an instance ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit code, if it exited by itself.
    pub code: Option<i32>,
    /// Signal number, if a signal ended it.
    pub signal: Option<i32>,
    /// The program's largest resident set, in bytes.
    pub max_rss_bytes: u64,
    /// Minor page faults between fork and end.
    pub minor_faults: u64,
    /// Whether the kernel killed a process of the instance for its memory limit.
    pub out_of_memory: bool,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exited with code {code}"),
            (None, Some(signal)) => write!(f, "was ended by signal {signal}"),
            (None, None) => write!(f, "ended"),
        }
    }
}

/// What a new instance sets up inside its own network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inside {
    /// This machine's own addresses. They map to the instance's loopback, where only
    /// [`Self::ports`] answer.
    pub local: Vec<IpAddr>,
    /// Blocked addresses: each with the length of its prefix.
    pub unreachable: Vec<(IpAddr, u8)>,
    /// This machine's resolv.conf and hosts, which replace the image's.
    pub etc: bool,
    /// Listeners to create; the instance hands them out after the probe's sockets.
    pub ports: Vec<Port>,
    /// Whether to observe refusals on the instance's loopback
    /// ([`Instance::called_in_vain_here`](super::Instance::called_in_vain_here)). This takes one
    /// more socket, after the listeners.
    pub hears_refusals: bool,
}

/// A port of this machine, at the same address inside an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Port {
    /// The address and port.
    pub address: SocketAddr,
    /// The kind of traffic.
    pub kind: PortKind,
}

/// How a relay handles the traffic of a [`Port`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PortKind {
    /// Relays connections to this machine.
    Tcp,
    /// Relays questions to this machine and returns the answers.
    Udp,
    /// Relays nothing: it answers at once that the name does not exist.
    NoNames,
}
