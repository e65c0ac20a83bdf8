//! What is to be started, and what can become of it: values only, the same on every machine. OCI
//! runtime-spec, config.md.

use serde::{Deserialize, Serialize};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// The argument that starts an executable as a helper; its `main` must then call [`helper_main`].
pub const HELPER_SUBCOMMAND: &str = "__init";

/// The environment variable in which an instance finds the moment of its own `execve`:
/// CLOCK_MONOTONIC, in nanoseconds. A process's start time in /proc has ticks of 10 ms.
pub const EXEC_NS_VARIABLE: &str = "FIRSTBYTE_EXEC_NS";

/// What to start, and behind which walls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The unpacked root filesystem, a directory on this host. It is mounted read-only.
    pub rootfs: PathBuf,
    /// Entrypoint and arguments; the first is a path inside the rootfs, or a name to look up in
    /// `PATH`.
    pub argv: Vec<String>,
    /// `NAME=value` lines. [`EXEC_NS_VARIABLE`] is added.
    pub env: Vec<String>,
    /// Working directory inside the rootfs; `/` when empty.
    pub cwd: String,
    /// User and group id as seen inside the instance. As root, the rootfs' owners are seen as they
    /// are on the host's disk, where the file system can (mount_setattr(2), ID-mapped mounts).
    pub uid: u32,
    /// See `uid`.
    pub gid: u32,
    /// ResourceLimits; `None` everywhere needs no cgroup.
    pub limits: ResourceLimits,
    /// The core that the instance may use; all of the helper's when `None`.
    pub core: Option<usize>,
    /// How many TCP sockets to create inside the instance's network namespace and hand out, see
    /// [`Instance::take_sockets`](super::Instance::take_sockets).
    pub sockets: usize,
    /// Ports below 1024 are opened to the instance's user, as container engines do.
    pub low_ports: bool,
    /// With [`Launcher::with_network`](super::Launcher::with_network); loopback alone when `None`.
    pub network: Option<Inside>,
}

/// ResourceLimits by cgroup (v1 or v2, whichever the machine has).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceLimits {
    /// Bytes of memory, page cache of the instance included.
    pub memory_bytes: Option<u64>,
    /// Thousandths of a core.
    pub cpu_millis: Option<u32>,
}

impl ResourceLimits {
    /// Whether nothing is limited.
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
        /// The settings that decide it, as they are here.
        hint: String,
        /// The kernel's word.
        source: io::Error,
    },
    /// There is no room for one more instance: a limit of processes, namespaces, memory or
    /// descriptors is reached.
    #[error("no room for another instance: {which}: {source}")]
    Full {
        /// What could not be had.
        which: String,
        /// The kernel's word.
        source: io::Error,
    },
    /// A step between fork and exec failed.
    #[error("`{step}` failed inside the sandbox: {source}")]
    Step {
        /// What was being done, for example `execve /app`.
        step: String,
        /// The kernel's word.
        source: io::Error,
    },
    /// A limit was asked for that this machine cannot set.
    #[error(
        "cannot limit the instance: {0}; leave the limit out, or run as root where cgroups are \
         writable"
    )]
    Cgroup(String),
    /// There are no namespaces here: it is not Linux.
    #[error("the sandbox needs Linux; this machine has another system")]
    Elsewhere,
    /// The helper process did not start, or went away.
    #[error("the sandbox's helper process is gone: {0}")]
    Helper(#[source] io::Error),
}

/// How an instance ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit code, when it exited by itself.
    pub code: Option<i32>,
    /// Signal number, when one ended it.
    pub signal: Option<i32>,
    /// The largest resident set the program had, in bytes.
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

/// What a fresh instance sets up inside its own network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inside {
    /// This machine's own addresses: they are the instance's loopback, where only [`Self::ports`]
    /// answer.
    pub local: Vec<IpAddr>,
    /// What has no route: address and length of the prefix.
    pub unreachable: Vec<(IpAddr, u8)>,
    /// This machine's resolv.conf and hosts in place of the image's.
    pub etc: bool,
    /// Listeners to make, and hand out behind the probe's sockets.
    pub ports: Vec<Port>,
    /// What is refused on its loopback is to be known
    /// ([`Instance::called_in_vain_here`](super::Instance::called_in_vain_here)): a socket more,
    /// behind the listeners.
    pub hears_refusals: bool,
}

/// A port of this machine, at the same address inside an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Port {
    /// Where.
    pub address: SocketAddr,
    /// What is carried.
    pub kind: PortKind,
}

/// What becomes of what is sent to a [`Port`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PortKind {
    /// Connections are carried to this machine.
    Tcp,
    /// Questions are carried to this machine, and answers back.
    Udp,
    /// Nothing is carried: each name is said not to exist, at once.
    NoNames,
}
