//! Engine containerd: a daemon started by the bench with folders of its own, called through `ctr`,
//! containerd's Go client with a command line. So each phase contains one start of that program;
//! its time is measured and reported. containerd has no network: requests go into the instance's
//! own network namespace, as with the embedded engine's runtimes. This file has the daemon and its
//! images; `instance` takes a container from its creation to its answer.

mod instance;

use super::distribution::Distribution;
use super::enclosure::{self, Daemon};
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
use bench_kit::stats;
use microimage::sandbox;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

const LABEL: &str = "coldstart.run";
/// In the enclosure's own `/run`: the name of a socket is at most 107 bytes long (unix(7)).
const SOCKET: &str = "/run/coldstart-containerd.sock";
const START_PATIENCE_NS: u64 = 60_000_000_000;
/// Number of starts of `ctr` for the reported median.
const FLOOR_SAMPLES: usize = 7;
/// Best first; the last one copies every layer and works everywhere (containerd,
/// docs/snapshotters).
const SNAPSHOTTERS: [&str; 2] = ["overlayfs", "native"];
/// Output of `ctr images pull` when all blobs are present.
const UNPACKING: &[u8] = b"unpacking ";

/// The engine; see the module.
pub struct Containerd {
    settings: Settings,
    targets: Vec<Prepared>,
    /// The floor image, imported once; never pulled.
    floor: Option<String>,
    cores: Cores,
    snapshotter: &'static str,
    version: String,
    /// Median of a start of `ctr` with hardly any work.
    ctr_ns: Option<f64>,
    run: String,
    owner: String,
    made: AtomicUsize,
    daemon: Daemon,
    registry: Distribution,
    work: Work, // after the registry and the daemon, whose files are in it
}

impl Containerd {
    /// Starts containerd and a registry, in namespaces of their own, and fills the registry.
    ///
    /// # Errors
    /// [`EngineError`]: what the machine lacks, or that this is not root.
    pub fn start(
        targets: Vec<Target>,
        floor: Option<Target>,
        settings: Settings,
        work: Work,
    ) -> Result<Self, EngineError> {
        let (run, owner) = owner::names().ok_or_else(|| {
            EngineError::Other(
                "there is no /proc here; the bench needs it to label its resources".into(),
            )
        })?;
        enclosure::enter("containerd", work.path())?;
        let registry = Distribution::start(work.path())?;
        let daemon = start_daemon(work.path())?;
        let mut engine = Self {
            settings,
            targets: Vec::new(),
            floor: None,
            cores: Cores::choose(),
            snapshotter: SNAPSHOTTERS[1],
            version: String::new(),
            ctr_ns: None,
            run,
            owner,
            made: AtomicUsize::new(0),
            daemon,
            registry,
            work,
        };
        engine.look_around()?;
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

    /// Sets the correct answer of every variant.
    pub fn expect(&mut self, body: &[u8]) {
        for prepared in &mut self.targets {
            prepared.expected = Mutex::new(Expected::Body(body.to_vec()));
        }
    }

    /// Notes for the results: the daemon, and the cost of calling it.
    pub fn describe(&self) -> Vec<String> {
        let ms = self.ctr_ns.map_or_else(
            || "an unknown time".into(),
            |ns| format!("{:.1} ms (median of {FLOOR_SAMPLES})", ns / 1e6),
        );
        vec![
            format!("{}, snapshotter {}, runtime runc", self.version, self.snapshotter),
            format!(
                "pull, unpack of an archive, create and start each contain one start of ctr: {ms}"
            ),
            "containerd has no network: an instance has a namespace with loopback only".into(),
        ]
    }

    /// Finds out the version, the snapshotter that works here, and the time of `ctr` itself.
    fn look_around(&mut self) -> Result<(), EngineError> {
        let ask = |arguments: &[&str]| ok(self.ctr(arguments).output()).map_err(EngineError::Other);
        let version = ask(&["version"])?;
        let number = version.lines().rev().find_map(|line| line.trim().strip_prefix("Version:"));
        let number = number.unwrap_or("of unknown version").trim().to_owned();
        let plugins = ask(&["plugins", "list"])?;
        let works = |name: &&&str| {
            plugins.lines().any(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                matches!(words[..], [kind, id, .., "ok"]
                    if kind.starts_with("io.containerd.snapshotter") && id == **name)
            })
        };
        let snapshotter = SNAPSHOTTERS.iter().find(works).ok_or_else(|| {
            EngineError::Other(
                "containerd has neither an overlayfs nor a native snapshotter".into(),
            )
        })?;
        let mut starts = Vec::new();
        for _ in 0..FLOOR_SAMPLES {
            let began_ns = clock::now_ns();
            ask(&["namespaces", "list"])?;
            starts.push(clock::since_ns(began_ns) as f64);
        }
        (self.version, self.snapshotter) = (format!("containerd {number}"), snapshotter);
        self.ctr_ns = stats::median(&starts);
        Ok(())
    }

    fn prepare(&self, target: Target) -> Result<Prepared, EngineError> {
        let remote = format!("{}/{}:latest", self.registry.address(), target.name);
        let local = format!("localhost/{}/{}:latest", self.run, target.name);
        let nonce = format!("{} {}", self.run, clock::now_ns());
        let label = (LABEL, self.owner.as_str());
        Prepared::new(target, (remote, local), self.work.path(), (&nonce, label))
    }

    /// `ctr` without a terminal's progress bar: with it, a pull ends with the bar's next tick of
    /// 100 ms. Its own messages are not shown.
    fn ctr(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("ctr");
        // The namespace is also the control group that containers are in.
        command.args(["--debug", "--address", SOCKET, "--namespace", &self.run]).args(arguments);
        command.stdin(Stdio::null());
        command
    }
}

/// Output of a program that succeeded, otherwise its error.
fn ok(done: std::io::Result<Output>) -> Result<String, String> {
    let done = done.map_err(|e| format!("`ctr` cannot be started: {e}"))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    Err(complaint(&done.stderr))
}

/// The line in which `ctr` states the error; the others are its log.
fn complaint(errors: &[u8]) -> String {
    let text = String::from_utf8_lossy(errors);
    let line = text.lines().rev().find(|line| line.starts_with("ctr: "));
    let line = line.or_else(|| text.lines().last()).unwrap_or("ctr printed nothing");
    line.trim_start_matches("ctr: ").to_owned()
}

fn start_daemon(folder: &Path) -> Result<Daemon, EngineError> {
    let io = |what: &'static str| {
        move |source| EngineError::Io { what: format!("{what} for containerd"), source }
    };
    let configuration = folder.join("containerd.toml");
    // Not needed by `ctr`: the interface of Kubernetes, and plugins that need a device or folder of
    // their own.
    let text = format!(
        "version = 2\nroot = {root:?}\nstate = \"/run/coldstart-containerd\"\ndisabled_plugins = \
         [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\", \
         \"io.containerd.snapshotter.v1.btrfs\", \"io.containerd.snapshotter.v1.devmapper\", \
         \"io.containerd.snapshotter.v1.zfs\", \"io.containerd.snapshotter.v1.aufs\"]\n[grpc]\n\
         address = \"{SOCKET}\"\n[ttrpc]\naddress = \"{SOCKET}.ttrpc\"\n",
        root = folder.join("containerd"),
    );
    fs::write(&configuration, text).map_err(io("writing the configuration"))?;
    let installed = |program: &str| {
        let mut command = Command::new(program);
        let asked = command.arg("--version").stdin(Stdio::null()).output();
        asked.is_ok_and(|done| done.status.success())
    };
    if let Some(missing) = ["containerd", "ctr", "runc"].into_iter().find(|p| !installed(p)) {
        return Err(EngineError::Other(format!(
            "the containerd engine needs `{missing}`; `build/setup --engines` installs it"
        )));
    }
    let mut command = Command::new("containerd");
    command.arg("--config").arg(&configuration);
    let daemon = Daemon::start(&command, folder.join("containerd.log"));
    let mut daemon = daemon.map_err(io("starting the daemon"))?;
    let deadline_ns = clock::now_ns() + START_PATIENCE_NS;
    loop {
        let mut command = Command::new("ctr");
        let asked = command.args(["--address", SOCKET, "version"]).stdin(Stdio::null()).output();
        if Path::new(SOCKET).exists() && ok(asked).is_ok() {
            return Ok(daemon);
        }
        if let Some(last) = daemon.ended() {
            return Err(EngineError::Other(format!("containerd did not start: {last}")));
        }
        if clock::now_ns() > deadline_ns {
            let last = daemon.last_line();
            return Err(EngineError::Other(format!("containerd does not answer: {last}")));
        }
        clock::sleep_until_ns(clock::now_ns() + 5_000_000);
    }
}

impl Node for Containerd {
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
        let log = self.work.path().join("pull.log");
        let errors = fs::File::create(&log).map_err(|e| e.to_string())?;
        let mut command = self.ctr(&["images", "pull", "--plain-http", "--snapshotter"]);
        command.arg(self.snapshotter).arg(reference).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().map_err(|e| format!("`ctr` cannot be started: {e}"))?;
        let (mut said, mut downloaded_ns) = (Vec::new(), None);
        let mut buffer = [0; 4096];
        while let Some(read) = child.stdout.as_mut().and_then(|out| out.read(&mut buffer).ok()) {
            if read == 0 {
                break;
            }
            said.extend_from_slice(&buffer[..read]);
            if downloaded_ns.is_none() && said.windows(UNPACKING.len()).any(|w| w == UNPACKING) {
                downloaded_ns = Some(clock::now_ns());
            }
        }
        let status = child.wait().map_err(|e| e.to_string())?;
        match status.success() {
            true => Ok(downloaded_ns),
            false => Err(complaint(&fs::read(&log).unwrap_or_default())),
        }
    }

    fn load(&self, archive: &Path) -> Result<(), String> {
        let mut command = self.ctr(&["images", "import", "--snapshotter", self.snapshotter]);
        ok(command.arg(archive).output()).map(drop)
    }

    fn remove_image(&self, reference: &str) {
        let _ = self.ctr(&["images", "remove", "--sync", reference]).output();
    }

    fn create(&self, image: &str, alone: bool) -> Result<String, String> {
        self.create_container(image, alone)
    }

    fn start_and_ask(&self, name: &str, port: u16, alone: bool) -> Result<Exchange, Failure> {
        self.start_task_and_ask(name, port, alone)
    }

    fn start_ahead<'a>(
        &'a self,
        name: &'a str,
        port: u16,
        alone: bool,
    ) -> Result<Later<'a>, Failure> {
        self.start_task_ahead(name, port, alone)
    }

    fn peak_resident_bytes(&self, name: &str) -> Option<u64> {
        sandbox::peak_resident_bytes(enclosure::first_process(name)?)
    }

    fn remove(&self, name: &str) {
        self.remove_container(name);
    }
}

impl Engine for Containerd {
    fn kind(&self) -> EngineKind {
        EngineKind::Containerd
    }

    fn take(&mut self, case: &Case) -> Result<TurnSamples, EngineError> {
        self.registry.traffic_since();
        let samples = node::samples(self, case);
        if self.settings.interrupted() {
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
        let name = self.create(&image, true).map_err(EngineError::Other)?;
        let start_ns = clock::now_ns();
        let asked = self.start_task_and_ask(&name, floor::PORT, true);
        self.remove_container(&name);
        if self.settings.interrupted() {
            return Err(EngineError::Interrupted);
        }
        let asked = asked.map_err(|e| {
            EngineError::Other(format!("the floor program did not answer: {}", e.message))
        })?;
        Ok(Some(Calibration {
            pull_ns: None,
            unpack_ns: None,
            create_ns: None,
            start_ns: asked.last_byte_ns - start_ns,
            connect_step_ns: (asked.refused > 0)
                .then(|| asked.refused_for_ns as f64 / f64::from(asked.refused)),
        }))
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        self.daemon.end();
        enclosure::remove_cgroups(&self.run);
    }
}
