//! The engine that people have: Docker Engine through its API (version negotiated), a real registry on
//! loopback, the engine's own pull, create and start. Same schema as the embedded engine. Pull and unpack
//! split when the last layer is said to be here; start counts from the start request, because the engine exposes
//! no exec time; the probe begins when that request returns, so a listen time is an upper bound.

mod distribution;
mod progress;
mod seal;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bollard::Docker as Api;
use bollard::container::LogOutput;
use bollard::models::{ContainerCreateBody, ContainerInspectResponse, CreateImageInfo, HostConfig};
use bollard::query_parameters as query;
use bytes::Bytes;
use futures_util::StreamExt;
use microimage::archive;
use microimage::sandbox::Limits;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use tokio::runtime::Runtime;

use super::{Calibration, Case, Engine, EngineError, Outcome, Target};
use crate::clock;
use crate::cores::Cores;
use crate::failure::{self, Ended, Phase};
use crate::probe::{Asked, Gone, Probe, ProbeError};
use crate::request::{Ask, Expected};
use crate::results::{EngineKind, Failure, Sample, Scenario};
use crate::work::Work;

use distribution::Distribution;
use progress::Downloads;

const LABEL: &str = "coldstart.run";
/// How long the engine may take to notice a program's end.
const BREAKS_OFF_NS: u64 = 300_000_000;
/// Lines of a container's output that a failure shows.
const OUTPUT_LINES: &str = "5";

/// What does not change from sample to sample.
pub struct Settings {
    pub ask: Ask,
    pub deadline: Duration,
    pub limits: Limits,
    /// Set by Ctrl-C.
    pub stop: Arc<AtomicBool>,
}

/// See the module.
pub struct Docker {
    settings: Settings,
    api: Api,
    runtime: Runtime,
    registry: Distribution,
    targets: Vec<Prepared>,
    /// The floor image, loaded once; never pulled.
    floor: Option<String>,
    cores: Cores,
    run: String,
    made: usize,
    _work: Work, // last: the registry's storage is in it
}

struct Prepared {
    target: Target,
    /// What the engine pulls: on the registry.
    remote: String,
    /// What the engine loads: in the archive.
    local: String,
    archive: PathBuf,
    expected: Expected,
}

impl Docker {
    /// Connects to the engine, starts a registry and fills it.
    ///
    /// # Errors
    /// [`EngineError`]: what the machine lacks.
    pub fn start(
        targets: Vec<Target>,
        floor: Option<Target>,
        settings: Settings,
        work: Work,
    ) -> Result<Self, EngineError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| EngineError::Io { what: "starting a runtime".into(), source })?;
        let api = runtime.block_on(async { Api::connect_with_local_defaults()?.negotiate_version().await });
        let api = api.map_err(|e| {
            EngineError::Other(format!(
                "cannot talk to Docker Engine: {e}; is it running? `build/setup --docker` installs it"
            ))
        })?;
        let registry = Distribution::start(work.path())?;
        let run = format!("coldstart-{}", std::process::id());
        let mut engine = Self {
            settings,
            api,
            runtime,
            registry,
            targets: Vec::new(),
            floor: None,
            cores: Cores::choose(),
            run,
            made: 0,
            _work: work,
        };
        engine.remove_stale();
        for target in targets {
            let prepared = engine.prepare(target)?;
            engine.registry.push(&prepared.target.name, &prepared.target.image)?;
            engine.targets.push(prepared);
        }
        if let Some(target) = floor {
            let prepared = engine.prepare(target)?;
            engine.load(&prepared.archive).map_err(EngineError::Other)?;
            engine.floor = Some(prepared.local);
        }
        engine.registry.traffic_since();
        Ok(engine)
    }

    /// Replaces what counts as the correct answer of every variant.
    pub fn expect(&mut self, body: &[u8]) {
        for prepared in &mut self.targets {
            prepared.expected = Expected::Body(body.to_vec());
        }
    }

    /// The engine's version and storage driver, as a note for the results.
    pub fn describe(&self) -> String {
        let info = self.runtime.block_on(self.api.info());
        let of = |text: Option<String>| text.unwrap_or_else(|| "unknown".into());
        match info {
            Ok(info) => format!(
                "Docker Engine {}, storage driver {}, runtime {}",
                of(info.server_version),
                of(info.driver),
                of(info.default_runtime)
            ),
            Err(error) => format!("Docker Engine: {error}"),
        }
    }

    fn prepare(&self, mut target: Target) -> Result<Prepared, EngineError> {
        target.image = seal::seal(&target.image, &format!("{} {}", self.run, clock::now_ns()))
            .map_err(|e| EngineError::Other(format!("`{}`: {e}", target.name)))?;
        let remote = format!("{}/{}:latest", self.registry.address(), target.name);
        let local = format!("{}/{}:latest", self.run, target.name);
        let path = self._work.path().join(format!("{}.tar", target.name));
        archive::write(&target.image.clone().with_reference(&local), &path)
            .map_err(|e| EngineError::Other(e.to_string()))?;
        Ok(Prepared { target, remote, local, archive: path, expected: Expected::default() })
    }

    fn interrupted(&self) -> bool {
        self.settings.stop.load(Ordering::Relaxed)
    }

    /// Pulls as the engine does; the moment when the last layer was here.
    fn pull(&self, reference: &str) -> Result<u64, String> {
        let options = query::CreateImageOptions {
            from_image: Some(reference.trim_end_matches(":latest").to_owned()),
            tag: Some("latest".into()),
            ..Default::default()
        };
        self.runtime.block_on(async {
            let mut downloads = Downloads::default();
            let mut events = self.api.create_image(Some(options), None, None);
            while let Some(event) = events.next().await {
                let CreateImageInfo { id, status, error_detail, .. } = event.map_err(|e| e.to_string())?;
                if let Some(detail) = error_detail {
                    return Err(detail.message.unwrap_or_else(|| "the pull failed".into()));
                }
                let (layer, status) = (id.unwrap_or_default(), status.unwrap_or_default());
                if status == "Already exists" {
                    return Err("a layer is in the engine already: this pull is not cold".into());
                }
                downloads.heard(&layer, &status, clock::now_ns());
            }
            downloads.last_ns().ok_or_else(|| "the engine said nothing of a download".into())
        })
    }

    /// `docker load`: stands for unpack where the bytes are here already.
    fn load(&self, archive: &std::path::Path) -> Result<(), String> {
        let bytes = std::fs::read(archive).map_err(|e| e.to_string())?;
        self.runtime.block_on(async {
            let body = bollard::body_full(Bytes::from(bytes));
            let mut events = self.api.import_image(query::ImportImageOptions::default(), body, None);
            while let Some(event) = events.next().await {
                let info = event.map_err(|e| e.to_string())?;
                if let Some(detail) = info.error_detail {
                    return Err(detail.message.unwrap_or_else(|| "the load failed".into()));
                }
            }
            Ok(())
        })
    }

    fn create(&mut self, image: &str) -> Result<String, String> {
        self.made += 1;
        let name = format!("{}-{}", self.run, self.made);
        let limits = &self.settings.limits;
        let host = HostConfig {
            readonly_rootfs: Some(true),
            tmpfs: Some([("/tmp".to_owned(), "mode=1777".to_owned())].into()),
            memory: limits.memory_bytes.map(|b| i64::try_from(b).unwrap_or(i64::MAX)),
            nano_cpus: limits.cpu_millis.map(|m| i64::from(m) * 1_000_000),
            cpuset_cpus: self.cores.instance.map(|core| core.to_string()),
            ..Default::default()
        };
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            labels: Some([(LABEL.to_owned(), self.run.clone())].into()),
            host_config: Some(host),
            ..Default::default()
        };
        let options = query::CreateContainerOptions { name: Some(name.clone()), ..Default::default() };
        self.runtime.block_on(self.api.create_container(Some(options), body)).map_err(|e| e.to_string())?;
        Ok(name)
    }

    fn start_container(&self, name: &str) -> Result<(), String> {
        self.runtime
            .block_on(self.api.start_container(name, None::<query::StartContainerOptions>))
            .map_err(|e| e.to_string())
    }

    fn inspect(&self, name: &str) -> Result<ContainerInspectResponse, String> {
        self.runtime
            .block_on(self.api.inspect_container(name, None::<query::InspectContainerOptions>))
            .map_err(|e| e.to_string())
    }

    fn remove_container(&self, name: &str) {
        let options = query::RemoveContainerOptions { force: true, v: true, link: false };
        let _ = self.runtime.block_on(self.api.remove_container(name, Some(options)));
    }

    fn remove_image(&self, reference: &str) {
        let options = query::RemoveImageOptions { force: true, ..Default::default() };
        let _ = self.runtime.block_on(self.api.remove_image(reference, Some(options), None));
    }

    /// Removes what runs left that were killed: their names hold the number of a process that is gone.
    fn remove_stale(&self) {
        let filters = [("label".to_owned(), vec![LABEL.to_owned()])].into();
        let options = query::ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        let containers = self.runtime.block_on(self.api.list_containers(Some(options))).unwrap_or_default();
        for container in containers {
            let run = container.labels.as_ref().and_then(|labels| labels.get(LABEL));
            if let (Some(id), true) = (container.id.as_deref(), run.is_some_and(|run| is_of_a_gone_run(run))) {
                self.remove_container(id);
            }
        }
        let images = self.runtime.block_on(self.api.list_images(None::<query::ListImagesOptions>));
        let tags = images.unwrap_or_default().into_iter().flat_map(|image| image.repo_tags);
        for tag in tags.filter(|tag| tag.split_once('/').is_some_and(|(run, _)| is_of_a_gone_run(run))) {
            self.remove_image(&tag);
        }
    }

    /// The container's address on the bridge; it has one once it has been started.
    fn address(&self, name: &str) -> Result<Ipv4Addr, String> {
        let networks = self.inspect(name)?.network_settings.and_then(|s| s.networks).unwrap_or_default();
        let address = networks.into_values().find_map(|n| n.ip_address?.to_string().parse().ok());
        address.ok_or_else(|| "the container has no address: it has ended already, or has no network".into())
    }

    fn is_running(&self, name: &str) -> Option<bool> {
        self.inspect(name).ok()?.state?.running
    }

    /// Asks an instance that has been started; `first` only connects, to see it listening.
    fn ask(&self, name: &str, port: u16) -> Result<Asked, ProbeError> {
        let ip = self.address(name).map_err(|why| match self.is_running(name) {
            Some(false) => ProbeError::Ended { listened: false },
            _ => ProbeError::Engine(why),
        })?;
        let target = SocketAddrV4::new(ip, port);
        let request = self.settings.ask.to_bytes(&target.to_string());
        let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
            .map_err(|e| ProbeError::Socket(e.into()))?;
        let patience_ns = u64::try_from(self.settings.deadline.as_nanos()).unwrap_or(u64::MAX / 2);
        let spins = self.cores.harness.is_some();
        let probe = Probe { target, request: &request, deadline_ns: clock::now_ns() + patience_ns, spins };
        let mut looked_ns = clock::now_ns();
        probe.ask(&socket, || {
            if self.interrupted() {
                return Some(Gone::Interrupted);
            }
            // Asking the engine takes a millisecond: a look every 50 ms is often enough.
            if clock::since_ns(looked_ns) < 50_000_000 {
                return None;
            }
            looked_ns = clock::now_ns();
            (self.is_running(name) == Some(false)).then_some(Gone::Ended)
        })
    }

    /// A failed start, with what the container printed and how it ended.
    fn failed_start(&self, name: &str, error: &ProbeError) -> Failure {
        let options =
            query::LogsOptions { stdout: true, stderr: true, tail: OUTPUT_LINES.into(), ..Default::default() };
        let printed = self.runtime.block_on(async {
            let mut text = String::new();
            let mut lines = self.api.logs(name, Some(options));
            while let Some(Ok(LogOutput::StdOut { message } | LogOutput::StdErr { message })) = lines.next().await {
                text.push_str(&String::from_utf8_lossy(&message));
            }
            text
        });
        // A program that crashes closes its connections before the engine knows.
        let until_ns = clock::now_ns() + BREAKS_OFF_NS;
        let broke_off = matches!(error, ProbeError::Closed | ProbeError::Reply(_));
        while broke_off && self.is_running(name) == Some(true) && clock::now_ns() < until_ns {
            clock::sleep_until_ns(clock::now_ns() + 5_000_000);
        }
        let container = self.inspect(name).ok();
        let found = match (error, &container) {
            (ProbeError::NeverListened { .. }, Some(container)) => listeners(container),
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

    fn take_one(&mut self, case: &Case) -> Result<Sample, EngineError> {
        let (remote, local) = (self.targets[case.variant].remote.clone(), self.targets[case.variant].local.clone());
        let mut sample = Sample::default();
        let image = if case.scenario == Scenario::Cold { remote } else { local };
        let done = match case.scenario {
            Scenario::Cold | Scenario::Accelerated => self.phases(case, &image, &mut sample),
            Scenario::Provisioned => self.provisioned(case, &image, &mut sample),
        };
        self.remove_image(&image); // the engine forgets its layers with it: the next sample is as cold
        if let Err(failure) = done {
            sample.error = Some(failure);
            sample.total_ns = None;
        }
        if self.interrupted() { Err(EngineError::Interrupted) } else { Ok(sample) }
    }

    fn phases(&mut self, case: &Case, image: &str, sample: &mut Sample) -> Result<(), Failure> {
        let fail = |phase: Phase| move |message: String| failure::in_phase(phase, &message);
        let began_ns = clock::now_ns();
        sample.intended_start_ns = began_ns;
        if case.scenario == Scenario::Cold {
            let downloaded_ns = self.pull(image).map_err(fail(Phase::Pull))?;
            sample.pull_ns = Some(downloaded_ns - began_ns);
            sample.unpack_ns = Some(clock::since_ns(downloaded_ns));
        } else {
            self.load(&self.targets[case.variant].archive).map_err(fail(Phase::Unpack))?;
            sample.unpack_ns = Some(clock::since_ns(began_ns));
        }
        let unpacked_ns = clock::now_ns();
        let name = self.create(image).map_err(fail(Phase::Create))?;
        let start_ns = clock::now_ns();
        sample.create_ns = Some(start_ns - unpacked_ns);
        let done = self.start_and_ask(case, &name, start_ns, sample);
        self.remove_container(&name);
        sample.total_ns = Some(done? - began_ns);
        Ok(())
    }

    /// Starts a created container and asks it; the moment of the reply's last byte.
    fn start_and_ask(&mut self, case: &Case, name: &str, start_ns: u64, sample: &mut Sample) -> Result<u64, Failure> {
        self.start_container(name).map_err(|message| failure::in_phase(Phase::Start, &message))?;
        let pinned = self.cores.pin_harness();
        let asked = self.ask(name, self.targets[case.variant].target.port);
        drop(pinned);
        let asked = asked.map_err(|error| self.failed_start(name, &error))?;
        sample.listen_ns = Some(asked.connected_ns - start_ns);
        sample.first_byte_ns = Some(asked.first_byte_ns - start_ns);
        sample.start_ns = Some(asked.last_byte_ns - start_ns);
        self.check(case, &asked)?;
        Ok(asked.last_byte_ns)
    }

    /// One request to an instance that has answered one already: the engine gives no other sign of readiness.
    fn provisioned(&mut self, case: &Case, image: &str, sample: &mut Sample) -> Result<(), Failure> {
        self.load(&self.targets[case.variant].archive).map_err(|m| failure::in_phase(Phase::Unpack, &m))?;
        let name = self.create(image).map_err(|m| failure::in_phase(Phase::Create, &m))?;
        let mut ahead = Sample::default();
        let ready = self.start_and_ask(case, &name, clock::now_ns(), &mut ahead);
        let done = ready.and_then(|_| {
            let pinned = self.cores.pin_harness();
            let asked = self.ask(&name, self.targets[case.variant].target.port);
            drop(pinned);
            asked.map_err(|error| self.failed_start(&name, &error))
        });
        self.remove_container(&name);
        let asked = done?;
        sample.intended_start_ns = asked.began_ns;
        sample.first_byte_ns = Some(asked.first_byte_ns - asked.began_ns);
        sample.start_ns = Some(asked.last_byte_ns - asked.began_ns);
        sample.total_ns = sample.start_ns;
        self.check(case, &asked)
    }

    fn check(&mut self, case: &Case, asked: &Asked) -> Result<(), Failure> {
        let expected = &mut self.targets[case.variant].expected;
        expected.check(&asked.answer).map_err(|message| failure::wrong_answer(asked.answer.status, &message))
    }
}

/// Whether `coldstart-PID` names a process that is gone.
fn is_of_a_gone_run(run: &str) -> bool {
    let pid = run.strip_prefix("coldstart-").and_then(|pid| pid.parse::<u32>().ok());
    pid.is_some_and(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists())
}

/// Where the container's program listens. An engine may run in a virtual machine, where its process ids are not ours: the
/// process must be in a cgroup that names the container.
fn listeners(container: &ContainerInspectResponse) -> Vec<String> {
    let pid = container.state.as_ref().and_then(|s| i32::try_from(s.pid?).ok()).filter(|&pid| pid > 0);
    let (Some(pid), Some(id)) = (pid, &container.id) else { return Vec::new() };
    let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    if cgroup.contains(id.as_str()) { failure::listeners(pid) } else { Vec::new() }
}

impl Engine for Docker {
    fn kind(&self) -> EngineKind {
        EngineKind::Docker
    }

    fn take(&mut self, case: &Case) -> Result<Outcome, EngineError> {
        self.registry.traffic_since();
        let sample = self.take_one(case)?;
        let traffic = self.registry.traffic_since();
        Ok(Outcome {
            samples: vec![sample],
            requests: traffic.requests,
            bytes: traffic.bytes,
            uncompressed_bytes: None,
        })
    }

    fn calibrate(&mut self) -> Result<Option<Calibration>, EngineError> {
        let Some(image) = self.floor.clone() else { return Ok(None) };
        let name = self.create(&image).map_err(EngineError::Other)?;
        let start_ns = clock::now_ns();
        let asked = self.start_container(&name).map_err(ProbeError::Engine).and_then(|()| {
            let _pinned = self.cores.pin_harness();
            self.ask(&name, 9000)
        });
        self.remove_container(&name);
        if self.interrupted() {
            return Err(EngineError::Interrupted);
        }
        let asked = asked.map_err(|e| EngineError::Other(format!("the floor program did not answer: {e}")))?;
        let (pull_ns, unpack_ns, create_ns) = (None, None, None);
        Ok(Some(Calibration {
            pull_ns,
            unpack_ns,
            create_ns,
            start_ns: asked.last_byte_ns - start_ns,
            connect_step_ns: (asked.refused > 0).then(|| asked.refused_for_ns as f64 / f64::from(asked.refused)),
        }))
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let filters = [("label".to_owned(), vec![format!("{LABEL}={}", self.run)])].into();
        let options = query::ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        let left = self.runtime.block_on(self.api.list_containers(Some(options))).unwrap_or_default();
        for container in left.into_iter().filter_map(|c| c.id) {
            self.remove_container(&container);
        }
        for prepared in &self.targets {
            self.remove_image(&prepared.remote);
            self.remove_image(&prepared.local);
        }
        if let Some(floor) = &self.floor {
            self.remove_image(floor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_gone_run_left_is_stale() {
        assert!(is_of_a_gone_run("coldstart-4294967294")); // beyond any pid
        let own = format!("coldstart-{}", std::process::id());
        for name in [own.as_str(), "coldstart-", "coldstart-x", "coldstart", "4294967294", "coldstart-4294967294-1"] {
            assert!(!is_of_a_gone_run(name), "{name}");
        }
    }
}
