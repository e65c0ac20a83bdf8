//! Engine Docker: Docker Engine through its API (version negotiated), with a real registry on
//! loopback and the engine's own pull, create and start. Same schema as the embedded engine. Pull
//! and unpack are separated by the moment when the last layer is reported present; start counts
//! from the start request, because the engine does not expose the time of exec. The probe begins
//! while that request runs, as soon as the instance has a network (`bridge`). This file has the
//! engine's state and its calls; `sample` takes one instance through the phases, `instance` takes a
//! container to its answer.

mod bridge;
mod instance;
mod podman;
mod progress;

use super::distribution::Distribution;
use super::enclosure;
use super::node::{self, Later, Node, Prepared, Settings};
use super::{Calibration, Case, Engine, EngineError, Target, TurnSamples};
use crate::floor;
use crate::owner;
use crate::probe::Exchange;
use crate::request::Expected;
use crate::results::{EngineKind, Failure};
use crate::work::Work;
use bench_kit::clock;
use bench_kit::cores::Cores;
use bollard::Docker as Api;
use bollard::models::CreateImageInfo;
use bollard::query_parameters as query;
use bridge::Bridge;
use bytes::Bytes;
use futures_util::StreamExt;
use podman::Podman;
use progress::Downloads;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use tokio::runtime::Runtime;

const LABEL: &str = "coldstart.run";
/// Time limit of one answer of podman, in seconds; a pull has one answer per layer.
const PATIENCE_S: u64 = 120;

/// The engine; see the module.
pub struct Docker {
    settings: Settings,
    api: Api,
    runtime: Runtime,
    registry: Distribution,
    targets: Vec<Prepared>,
    /// The floor image, loaded once; never pulled.
    floor: Option<String>,
    cores: Cores,
    /// The bridge on which an instance's interface appears.
    bridge: Bridge,
    /// Prefix of this run's names.
    run: String,
    /// The owner label; see [`owner`].
    owner: String,
    made: AtomicUsize,
    /// The service that was started for this run; without one, the machine's Docker Engine is used.
    podman: Option<Podman>,
    work: Work, // after the registry and podman, whose storage is in it
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
        let runtime = runtime()?;
        let api = runtime
            .block_on(async { Api::connect_with_local_defaults()?.negotiate_version().await });
        let api = api.map_err(|e| {
            EngineError::Other(format!(
                "cannot talk to Docker Engine: {e}; is it running? `build/setup --docker` \
                 installs it"
            ))
        })?;
        let registry = Distribution::start(work.path())?;
        let (run, owner) = names()?;
        let bridge = find_bridge(&runtime, &api)?;
        let engine = Self {
            settings,
            api,
            runtime,
            registry,
            targets: Vec::new(),
            floor: None,
            cores: Cores::choose(),
            bridge,
            run,
            owner,
            made: AtomicUsize::new(0),
            podman: None,
            work,
        };
        engine.remove_stale();
        engine.filled(targets, floor)
    }

    /// Starts podman's service and a registry, in namespaces of their own, and fills the registry.
    /// No other run's data can be there.
    ///
    /// # Errors
    /// [`EngineError`]: what the machine lacks, or that this is not root.
    pub fn start_podman(
        targets: Vec<Target>,
        floor: Option<Target>,
        settings: Settings,
        work: Work,
    ) -> Result<Self, EngineError> {
        let (run, owner) = names()?;
        enclosure::enter("podman", work.path())?;
        let runtime = runtime()?; // its threads are in the namespaces too
        let registry = Distribution::start(work.path())?;
        let podman = Podman::start(work.path(), registry.address(), &run)?;
        let api = runtime.block_on(async {
            let version = bollard::API_DEFAULT_VERSION;
            Api::connect_with_unix(podman.socket(), PATIENCE_S, version)?.negotiate_version().await
        });
        let api = api.map_err(|e| EngineError::Other(format!("cannot talk to podman: {e}")))?;
        let bridge = Bridge::to_be(&podman.bridge);
        let engine = Self {
            settings,
            api,
            runtime,
            registry,
            targets: Vec::new(),
            floor: None,
            cores: Cores::choose(),
            bridge,
            run,
            owner,
            made: AtomicUsize::new(0),
            podman: Some(podman),
            work,
        };
        engine.filled(targets, floor)
    }

    /// Pushes the targets to the registry, and loads the floor into the engine.
    fn filled(mut self, targets: Vec<Target>, floor: Option<Target>) -> Result<Self, EngineError> {
        for target in targets {
            let prepared = self.prepare(target)?;
            self.registry.push(&prepared.target.name, &prepared.target.image)?;
            self.targets.push(prepared);
        }
        if let Some(target) = floor {
            let prepared = self.prepare(target)?;
            self.load_archive(&prepared.archive).map_err(EngineError::Other)?;
            self.floor = Some(prepared.local);
        }
        self.registry.traffic_since();
        Ok(self)
    }

    /// Sets the correct answer of every variant.
    pub fn expect(&mut self, body: &[u8]) {
        for prepared in &mut self.targets {
            prepared.expected = Mutex::new(Expected::Body(body.to_vec()));
        }
    }

    /// Notes for the results: the engine's version and storage driver, and how an instance is
    /// watched.
    pub fn describe(&self) -> Vec<String> {
        let probe =
            "the probe begins when an instance's network is up, while the engine still starts it";
        vec![self.describe_engine(), probe.into()]
    }

    fn describe_engine(&self) -> String {
        let info = self.runtime.block_on(self.api.info());
        let of = |text: Option<String>| text.unwrap_or_else(|| "unknown".into());
        match info {
            Ok(info) => format!(
                "{} {}, storage driver {}, runtime {}",
                self.title(),
                of(info.server_version),
                of(info.driver),
                of(info.default_runtime)
            ),
            Err(error) => format!("{}: {error}", self.title()),
        }
    }

    fn title(&self) -> &'static str {
        if self.podman.is_some() { "Podman" } else { "Docker Engine" }
    }

    fn prepare(&self, target: Target) -> Result<Prepared, EngineError> {
        // Podman looks for a name without a host at docker.io.
        let host = if self.podman.is_some() { "localhost/" } else { "" };
        let remote = format!("{}/{}:latest", self.registry.address(), target.name);
        let local = format!("{host}{}/{}:latest", self.run, target.name);
        let nonce = format!("{} {}", self.run, clock::now_ns());
        let label = (LABEL, self.owner.as_str());
        Prepared::new(target, (remote, local), self.work.path(), (&nonce, label))
    }

    fn interrupted(&self) -> bool {
        self.settings.interrupted()
    }

    /// Pulls as the engine does. Returns the moment when the last layer was present.
    fn pull_image(&self, reference: &str) -> Result<u64, String> {
        let options = query::CreateImageOptions {
            from_image: Some(reference.trim_end_matches(":latest").to_owned()),
            tag: Some("latest".into()),
            ..Default::default()
        };
        self.runtime.block_on(async {
            let mut downloads = Downloads::default();
            let mut events = self.api.create_image(Some(options), None, None);
            while let Some(event) = events.next().await {
                let CreateImageInfo { id, status, error_detail, .. } =
                    event.map_err(|e| e.to_string())?;
                if let Some(detail) = error_detail {
                    return Err(detail.message.unwrap_or_else(|| "the pull failed".into()));
                }
                let (layer, status) = (id.unwrap_or_default(), status.unwrap_or_default());
                if status == "Already exists" {
                    return Err("the engine has a layer already, so this pull is not cold".into());
                }
                downloads.heard(&layer, &status, clock::now_ns());
            }
            downloads.last_ns().ok_or_else(|| "the engine reported no download".into())
        })
    }

    /// `docker load`: takes the place of unpack if the bytes are already here.
    fn load_archive(&self, archive: &std::path::Path) -> Result<(), String> {
        let bytes = std::fs::read(archive).map_err(|e| e.to_string())?;
        self.runtime.block_on(async {
            let body = bollard::body_full(Bytes::from(bytes));
            let mut events =
                self.api.import_image(query::ImportImageOptions::default(), body, None);
            while let Some(event) = events.next().await {
                let info = event.map_err(|e| e.to_string())?;
                if let Some(detail) = info.error_detail {
                    return Err(detail.message.unwrap_or_else(|| "the load failed".into()));
                }
            }
            Ok(())
        })
    }

    fn forget(&self, reference: &str) {
        let options = query::RemoveImageOptions { force: true, ..Default::default() };
        let _ = self.runtime.block_on(self.api.remove_image(reference, Some(options), None));
    }

    /// Removes what killed runs have left: its label names a process that has ended.
    fn remove_stale(&self) {
        let filters = [("label".to_owned(), vec![LABEL.to_owned()])].into();
        let options = query::ListContainersOptions {
            all: true,
            filters: Some(filters),
            ..Default::default()
        };
        let containers =
            self.runtime.block_on(self.api.list_containers(Some(options))).unwrap_or_default();
        for container in containers {
            let run = container.labels.as_ref().and_then(|labels| labels.get(LABEL));
            if let (Some(id), true) =
                (container.id.as_deref(), run.is_some_and(|run| owner::is_gone(run)))
            {
                self.remove_container(id);
            }
        }
        let filters = [("label".to_owned(), vec![LABEL.to_owned()])].into();
        let options = query::ListImagesOptions { filters: Some(filters), ..Default::default() };
        for image in self.runtime.block_on(self.api.list_images(Some(options))).unwrap_or_default()
        {
            if image.labels.get(LABEL).is_some_and(|run| owner::is_gone(run)) {
                self.forget(&image.id);
            }
        }
    }
}

fn runtime() -> Result<Runtime, EngineError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1) // continues a start while the probe has this thread
        .enable_all()
        .build()
        .map_err(|source| EngineError::Io { what: "starting a runtime".into(), source })
}

/// Prefix of this run's names, and its label.
fn names() -> Result<(String, String), EngineError> {
    owner::names().ok_or_else(|| {
        EngineError::Other(
            "there is no /proc here; the bench needs it to label its resources".into(),
        )
    })
}

/// The bridge of the engine's default network.
fn find_bridge(runtime: &Runtime, api: &Api) -> Result<Bridge, EngineError> {
    let asked = api.inspect_network("bridge", None::<query::InspectNetworkOptions>);
    let options =
        runtime.block_on(asked).ok().and_then(|network| network.options).unwrap_or_default();
    options.get(bridge::NAME_OPTION).and_then(|name| Bridge::find(name)).ok_or_else(|| {
        EngineError::Other(
            "the bridge of Docker Engine is not on this machine (the engine is rootless, or in a \
             virtual machine): its instances cannot be reached from here; use `--engine embedded`, \
             or run where the engine does"
                .into(),
        )
    })
}

impl Node for Docker {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn cores(&self) -> &Cores {
        &self.cores
    }

    fn prepared(&self, variant: usize) -> &Prepared {
        &self.targets[variant]
    }

    fn pull(&self, reference: &str) -> Result<Option<u64>, String> {
        self.pull_image(reference).map(Some)
    }

    fn load(&self, archive: &std::path::Path) -> Result<(), String> {
        self.load_archive(archive)
    }

    fn remove_image(&self, reference: &str) {
        self.forget(reference);
    }

    fn create(&self, image: &str, alone: bool) -> Result<String, String> {
        self.create_container(image, alone)
    }

    fn start_and_ask(&self, name: &str, port: u16, alone: bool) -> Result<Exchange, Failure> {
        self.start_container_and_ask(name, port, alone)
    }

    fn start_ahead<'a>(
        &'a self,
        name: &'a str,
        port: u16,
        alone: bool,
    ) -> Result<Later<'a>, Failure> {
        let ip = self.start_container_ahead(name, port, alone)?;
        Ok(Box::new(move || self.ask(name, ip, port, alone)))
    }

    fn peak_resident_bytes(&self, name: &str) -> Option<u64> {
        self.peak_resident_bytes_of(name)
    }

    fn remove(&self, name: &str) {
        self.remove_container(name);
    }
}

impl Engine for Docker {
    fn kind(&self) -> EngineKind {
        if self.podman.is_some() { EngineKind::Podman } else { EngineKind::Docker }
    }

    fn take(&mut self, case: &Case) -> Result<TurnSamples, EngineError> {
        self.registry.traffic_since();
        let samples = node::samples(self, case);
        if self.interrupted() {
            return Err(EngineError::Interrupted);
        }
        let samples = samples?;
        let traffic = self.registry.traffic_since(); // a burst's instances share one pull
        Ok(TurnSamples {
            samples,
            requests: traffic.requests,
            bytes: traffic.bytes,
            uncompressed_bytes: None,
        })
    }

    fn calibrate(&mut self) -> Result<Option<Calibration>, EngineError> {
        let Some(image) = self.floor.clone() else { return Ok(None) };
        let name = self.create_container(&image, true).map_err(EngineError::Other)?;
        let start_ns = clock::now_ns();
        let asked = self.start_container_and_ask(&name, floor::PORT, true);
        self.remove_container(&name);
        if self.interrupted() {
            return Err(EngineError::Interrupted);
        }
        let asked = asked.map_err(|e| {
            EngineError::Other(format!("the floor program did not answer: {}", e.message))
        })?;
        let (pull_ns, unpack_ns, create_ns) = (None, None, None);
        Ok(Some(Calibration {
            pull_ns,
            unpack_ns,
            create_ns,
            start_ns: asked.last_byte_ns - start_ns,
            connect_step_ns: (asked.refused > 0)
                .then(|| asked.refused_for_ns as f64 / f64::from(asked.refused)),
        }))
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        if self.podman.is_some() {
            return; // podman's containers are removed with its folders
        }
        let filters = [("label".to_owned(), vec![format!("{LABEL}={}", self.owner)])].into();
        let options = query::ListContainersOptions {
            all: true,
            filters: Some(filters),
            ..Default::default()
        };
        let left =
            self.runtime.block_on(self.api.list_containers(Some(options))).unwrap_or_default();
        for container in left.into_iter().filter_map(|c| c.id) {
            self.remove_container(&container);
        }
        for prepared in &self.targets {
            self.forget(&prepared.remote);
            self.forget(&prepared.local);
        }
        if let Some(floor) = &self.floor {
            self.forget(floor);
        }
    }
}
