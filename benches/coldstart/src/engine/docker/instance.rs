//! Container of Docker Engine or podman, from its creation to its answer, and the diagnosis of a
//! container that does not answer.

use super::podman::NETWORK;
use super::{Docker, LABEL};
use crate::engine::enclosure;
use crate::failure::{self, Ended};
use crate::phase::Phase;
use crate::probe::{self, Exchange, Gone, Probe, ProbeError};
use crate::results::Failure;
use bench_kit::clock;
use bollard::container::LogOutput;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, EndpointIpamConfig, EndpointSettings,
    HostConfig, NetworkingConfig,
};
use bollard::query_parameters as query;
use futures_util::StreamExt;
use microimage::listeners::listeners;
use microimage::sandbox;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use tokio::task::JoinHandle;

/// Time that the engine may take to notice a program's end.
const BREAKS_OFF_NS: u64 = 300_000_000;
/// Lines of a container's output that a failure shows.
const OUTPUT_LINES: &str = "5";
/// Time between two checks of a waiting probe that the container runs; asking the engine takes a
/// millisecond.
const LOOK_NS: u64 = 50_000_000;
/// Time between two checks of the bridge while the engine starts an instance. Milliseconds pass
/// between its network and its program. Checks without a pause would take a core, and the kernel's
/// lock on interfaces, from the measured engine.
const LOOK_AT_BRIDGE_NS: u64 = 100_000;

/// The engine's pending answer to a start request.
type Starting = JoinHandle<Result<(), bollard::errors::Error>>;

impl Docker {
    /// Creates a container; one that is `alone` has a core of its own.
    pub(super) fn create_container(&self, image: &str, alone: bool) -> Result<String, String> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", self.run);
        let limits = &self.settings.limits;
        let host = HostConfig {
            readonly_rootfs: Some(true),
            tmpfs: Some([("/tmp".to_owned(), "mode=1777".to_owned())].into()),
            memory: limits.memory_bytes.map(|b| i64::try_from(b).unwrap_or(i64::MAX)),
            nano_cpus: limits.cpu_millis.map(|m| i64::from(m) * 1_000_000),
            cpuset_cpus: self.cores.instance.filter(|_| alone).map(|core| core.to_string()),
            cgroup_parent: self.podman.as_ref().map(|podman| podman.cgroup()),
            ..Default::default()
        };
        let networking_config = self.podman.as_ref().map(|podman| NetworkingConfig {
            endpoints_config: Some([(NETWORK.to_owned(), at(podman.address(number)))].into()),
        });
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            labels: Some([(LABEL.to_owned(), self.owner.clone())].into()),
            host_config: Some(host),
            networking_config,
            ..Default::default()
        };
        let options =
            query::CreateContainerOptions { name: Some(name.clone()), ..Default::default() };
        self.runtime
            .block_on(self.api.create_container(Some(options), body))
            .map_err(|e| e.to_string())?;
        Ok(name)
    }

    pub(super) fn remove_container(&self, name: &str) {
        let options = query::RemoveContainerOptions { force: true, v: true, link: false };
        let _ = self.runtime.block_on(self.api.remove_container(name, Some(options)));
    }

    /// Starts a created container and sends the request as soon as it is reachable.
    pub(super) fn start_container_and_ask(
        &self,
        name: &str,
        port: u16,
        alone: bool,
    ) -> Result<Exchange, Failure> {
        self.start_and(name, port, alone, |probe, gone| probe.ask(&stream_socket()?, gone))
    }

    /// Starts a created container and waits until it listens and has noticed that the probe's
    /// connection is closed. Returns its address.
    pub(super) fn start_container_ahead(
        &self,
        name: &str,
        port: u16,
        alone: bool,
    ) -> Result<Ipv4Addr, Failure> {
        self.start_and(name, port, alone, |probe, gone| {
            let ahead = stream_socket()?;
            probe.wait_listening(&ahead, gone).map(|()| probe::settle(&ahead))?;
            Ok(*probe.target.ip())
        })
    }

    /// Sends the request to a started container.
    pub(super) fn ask(
        &self,
        name: &str,
        ip: Ipv4Addr,
        port: u16,
        alone: bool,
    ) -> Result<Exchange, Failure> {
        let asked = stream_socket().and_then(|socket| {
            self.probe(ip, port, alone, |probe| probe.ask(&socket, self.watch(name, None)))
        });
        asked.map_err(|error| self.failed_start(name, &error))
    }

    /// Lets the engine start the container while the probe already works.
    fn start_and<T>(
        &self,
        name: &str,
        port: u16,
        alone: bool,
        find: impl FnOnce(&Probe<'_>, &mut dyn FnMut() -> Option<Gone>) -> Result<T, ProbeError>,
    ) -> Result<T, Failure> {
        let mut known = self.bridge.known();
        let pinned = alone.then(|| self.cores.pin_harness());
        let (api, of) = (self.api.clone(), name.to_owned());
        let starting: Starting = self.runtime.spawn(async move {
            api.start_container(&of, None::<query::StartContainerOptions>).await
        });
        let mut early = None;
        while early.is_none() && !starting.is_finished() && !self.interrupted() {
            // The new interface may belong to another engine or another user.
            if self.bridge.sees_another(&mut known) {
                self.podman.iter().for_each(|podman| enclosure::ask_again_soon(&podman.bridge));
                early = self.address_ahead(name);
            }
            clock::sleep_until_ns(clock::now_ns() + LOOK_AT_BRIDGE_NS);
        }
        let found = early.map_or_else(|| self.address(name), Ok).and_then(|ip| {
            self.probe(ip, port, alone, |probe| find(probe, &mut self.watch(name, Some(&starting))))
        });
        drop(pinned);
        // A program may answer before the engine has finished: the container must not be removed
        // while it works.
        let started = self
            .runtime
            .block_on(starting)
            .map_err(|e| e.to_string())
            .and_then(|s| s.map_err(|e| e.to_string()));
        started.map_err(|message| failure::in_phase(Phase::Start, &message))?;
        found.map_err(|error| self.failed_start(name, &error))
    }

    fn probe<T>(
        &self,
        ip: Ipv4Addr,
        port: u16,
        alone: bool,
        find: impl FnOnce(&Probe<'_>) -> Result<T, ProbeError>,
    ) -> Result<T, ProbeError> {
        let target = SocketAddrV4::new(ip, port);
        let request = self.settings.ask.to_bytes(&target.to_string());
        let patience_ns = u64::try_from(self.settings.deadline.as_nanos()).unwrap_or(u64::MAX / 2);
        let spins = alone && self.cores.harness.is_some();
        find(&Probe {
            target,
            request: &request,
            deadline_ns: clock::now_ns() + patience_ns,
            spins,
        })
    }

    /// What a probe checks from time to time. While the engine is `starting` it is not called: it
    /// would answer only afterwards.
    fn watch<'a>(
        &'a self,
        name: &'a str,
        starting: Option<&'a Starting>,
    ) -> impl FnMut() -> Option<Gone> + 'a {
        let mut looked_ns = clock::now_ns();
        move || {
            if self.interrupted() {
                return Some(Gone::Interrupted);
            }
            if clock::since_ns(looked_ns) < LOOK_NS || starting.is_some_and(|s| !s.is_finished()) {
                return None;
            }
            looked_ns = clock::now_ns();
            (self.is_running(name) == Some(false)).then_some(Gone::Ended)
        }
    }

    fn inspect(&self, name: &str) -> Result<ContainerInspectResponse, String> {
        self.runtime
            .block_on(self.api.inspect_container(name, None::<query::InspectContainerOptions>))
            .map_err(|e| e.to_string())
    }

    /// Peak resident memory of a container that still runs.
    pub(super) fn peak_resident_bytes_of(&self, name: &str) -> Option<u64> {
        sandbox::peak_resident_bytes(self.first_process(&self.inspect(name).ok()?)?)
    }

    fn first_process(&self, container: &ContainerInspectResponse) -> Option<i32> {
        match &self.podman {
            Some(_) => enclosure::first_process(container.id.as_deref()?),
            None => first_process(container),
        }
    }

    fn is_running(&self, name: &str) -> Option<bool> {
        self.inspect(name).ok()?.state?.running
    }

    /// The address of a started container.
    fn address(&self, name: &str) -> Result<Ipv4Addr, ProbeError> {
        let container = self.inspect(name).map_err(ProbeError::Engine)?;
        if container.state.and_then(|s| s.running) == Some(false) {
            return Err(ProbeError::Ended { listened: false });
        }
        let networks = container.network_settings.and_then(|s| s.networks).unwrap_or_default();
        let address = networks.into_values().find_map(|n| n.ip_address?.to_string().parse().ok());
        address.ok_or_else(|| {
            ProbeError::Engine("the container has no address on a network of the engine".into())
        })
    }

    /// The address of a container that is being started.
    fn address_ahead(&self, name: &str) -> Option<Ipv4Addr> {
        match &self.podman {
            Some(podman) => {
                let number = name.rsplit('-').next()?.parse().ok()?;
                Some(podman.address(number))
            }
            None => self.address_on_bridge(name),
        }
    }

    /// The address that the engine chose, read from the network: the network has it already, and
    /// the container cannot be inspected yet.
    fn address_on_bridge(&self, name: &str) -> Option<Ipv4Addr> {
        let asked = self.api.inspect_network("bridge", None::<query::InspectNetworkOptions>);
        let network = self.runtime.block_on(asked).ok()?;
        let endpoint =
            network.containers?.into_values().find(|c| c.name.as_deref() == Some(name))?;
        endpoint.ipv4_address?.split('/').next()?.parse().ok()
    }

    /// A failed start, with the container's output and how it ended.
    fn failed_start(&self, name: &str, error: &ProbeError) -> Failure {
        let options = query::LogsOptions {
            stdout: true,
            stderr: true,
            tail: OUTPUT_LINES.into(),
            ..Default::default()
        };
        let printed = self.runtime.block_on(async {
            let mut text = String::new();
            let mut lines = self.api.logs(name, Some(options));
            while let Some(Ok(LogOutput::StdOut { message } | LogOutput::StdErr { message })) =
                lines.next().await
            {
                text.push_str(&String::from_utf8_lossy(&message));
            }
            text
        });
        // A program that crashes closes its connections before the engine notices.
        let until_ns = clock::now_ns() + BREAKS_OFF_NS;
        let broke_off = matches!(error, ProbeError::Closed | ProbeError::Reply(_));
        while broke_off && self.is_running(name) == Some(true) && clock::now_ns() < until_ns {
            clock::sleep_until_ns(clock::now_ns() + 5_000_000);
        }
        let container = self.inspect(name).ok();
        let found = match (error, &container) {
            (ProbeError::NeverListened { .. }, Some(container)) => {
                self.first_process(container).map(listeners).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        let state = container.and_then(|c| c.state);
        let ended = state.filter(|s| s.running == Some(false)).and_then(|s| {
            Some(Ended {
                how: format!("exited with code {}", s.exit_code?),
                out_of_memory: s.oom_killed.unwrap_or(false),
            })
        });
        failure::of_start(error, &printed, &found, ended.as_ref())
    }
}

fn at(address: Ipv4Addr) -> EndpointSettings {
    let ipv4_address = Some(address.to_string());
    let ipam_config = Some(EndpointIpamConfig { ipv4_address, ..Default::default() });
    EndpointSettings { ipam_config, ..Default::default() }
}

fn stream_socket() -> Result<OwnedFd, ProbeError> {
    socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|e| ProbeError::Socket(e.into()))
}

/// A container's first process. An engine may run in a virtual machine with process ids of its own,
/// so the process must be in a cgroup that names the container.
fn first_process(container: &ContainerInspectResponse) -> Option<i32> {
    let pid =
        container.state.as_ref().and_then(|s| i32::try_from(s.pid?).ok()).filter(|&pid| pid > 0)?;
    let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    cgroup.contains(container.id.as_ref()?.as_str()).then_some(pid)
}
