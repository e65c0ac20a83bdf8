//! Engine podman: `podman system service`, started by the bench with storage, network configuration
//! and control groups of its own. It has Docker Engine's API, so that only its start and its
//! network differ from that engine.

use crate::engine::EngineError;
use crate::engine::enclosure::{self, Daemon};
use bench_kit::clock;
use serde_json::Value;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Podman's default network.
pub const NETWORK: &str = "podman";
/// In the enclosure's own `/run`: the name of a socket is at most 107 bytes long (unix(7)).
const SOCKET: &str = "/run/coldstart-podman.sock";
/// Time limit of the service's first answer, which takes a second, or a few on a busy machine.
const START_PATIENCE_NS: u64 = 60_000_000_000;
/// Addresses of a network that are given to instances one after the other.
const ADDRESSES: usize = 60_000;

/// The running service.
pub struct Podman {
    daemon: Daemon,
    /// Prefix of this run's names: the control group of all its containers.
    run: String,
    /// The bridge of its network.
    pub bridge: String,
    first_address: u32,
}

impl Podman {
    /// Starts the service with everything it keeps below `folder`, and waits until it answers.
    ///
    /// # Errors
    /// [`EngineError`]: podman is not installed, or does not start.
    pub fn start(folder: &Path, registry: SocketAddr, run: &str) -> Result<Self, EngineError> {
        let io = |what: &'static str| {
            move |source| EngineError::Io { what: format!("{what} for podman"), source }
        };
        let configuration = folder.join("registries.conf");
        let insecure = format!("[[registry]]\nlocation = \"{registry}\"\ninsecure = true\n");
        fs::write(&configuration, insecure).map_err(io("writing the configuration"))?;
        let network = network(folder)?;
        let mut command = podman(folder);
        command.env("CONTAINERS_REGISTRIES_CONF", &configuration);
        command.args(["system", "service", "--time", "0"]).arg(format!("unix://{SOCKET}"));
        let daemon = Daemon::start(&command, folder.join("podman.log"));
        let mut daemon = daemon.map_err(io("starting the service"))?;
        let deadline_ns = clock::now_ns() + START_PATIENCE_NS;
        while UnixStream::connect(SOCKET).is_err() {
            if let Some(last) = daemon.ended() {
                return Err(EngineError::Other(format!("podman did not start: {last}")));
            }
            if clock::now_ns() > deadline_ns {
                let last = daemon.last_line();
                return Err(EngineError::Other(format!("podman does not answer: {last}")));
            }
            clock::sleep_until_ns(clock::now_ns() + 5_000_000);
        }
        Ok(Self {
            daemon,
            run: run.to_owned(),
            bridge: network.bridge,
            first_address: network.first,
        })
    }

    /// The socket on which the service listens.
    pub fn socket(&self) -> &'static str {
        SOCKET
    }

    /// The control group that containers are to be in.
    pub fn cgroup(&self) -> String {
        format!("/{}", self.run)
    }

    /// The address of the container with this number. It is chosen here, because podman reports it
    /// only when a container has been started.
    pub fn address(&self, number: usize) -> Ipv4Addr {
        Ipv4Addr::from(self.first_address + (number % ADDRESSES) as u32)
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.daemon.end(); // before its groups can be removed
        enclosure::remove_cgroups(&self.run);
    }
}

struct Network {
    bridge: String,
    first: u32,
}

/// Asks podman for the bridge and the subnet of its own network.
fn network(folder: &Path) -> Result<Network, EngineError> {
    let mut command = podman(folder);
    let asked = command.args(["network", "inspect", NETWORK]).stdin(Stdio::null()).output();
    let asked = asked.map_err(|e| {
        let why = if e.kind() == std::io::ErrorKind::NotFound {
            "it is not installed".to_owned()
        } else {
            e.to_string()
        };
        EngineError::Other(format!(
            "cannot start podman: {why}; `build/setup --engines` installs it"
        ))
    })?;
    let said = String::from_utf8_lossy(&asked.stderr);
    let failed = |why: &str| EngineError::Other(format!("podman's network cannot be read: {why}"));
    let networks: Value = serde_json::from_slice(&asked.stdout)
        .map_err(|_| failed(said.lines().last().unwrap_or("it printed no JSON")))?;
    let bridge = networks.pointer("/0/network_interface").and_then(Value::as_str);
    let subnet = networks.pointer("/0/subnets/0/subnet").and_then(Value::as_str);
    let first = subnet.and_then(|s| s.split('/').next()?.parse::<Ipv4Addr>().ok());
    let (Some(bridge), Some(first)) = (bridge, first) else {
        return Err(failed("it has no bridge with an IPv4 subnet"));
    };
    // The first address is the network's own, the second the bridge's.
    Ok(Network { bridge: bridge.to_owned(), first: u32::from(first) + 2 })
}

/// The program with the folders of this run. There is no systemd in the enclosure that could manage
/// control groups.
fn podman(folder: &Path) -> Command {
    let of = |name: &str| -> PathBuf { folder.join(name) };
    let mut command = Command::new("podman");
    command.arg("--root").arg(of("podman")).arg("--runroot").arg("/run/podman-containers");
    command.arg("--network-config-dir").arg(of("podman-networks"));
    command.args(["--cgroup-manager", "cgroupfs", "--events-backend", "none"]);
    command
}
