//! Engine embedded, which needs no daemon: registry in this process, links shaped by a relay,
//! verified pull, own unpack, own sandbox. docs/CONTRACTS.md, section 5, defines each phase. This
//! file has the engine's state; `sample` takes one instance through the phases.

pub(super) mod oci;
mod running;
mod sample;

use super::{Calibration, Case, Engine, EngineError, Target, TurnSamples, schedule};
use crate::failure;
use crate::floor;
use crate::link::Link;
use crate::phase::Phase;
use crate::pull;
use crate::registry::Registry;
use crate::relay::Relay;
use crate::request::{Ask, Expected};
use crate::results::{EngineKind, Failure, Sample, Scenario};
use crate::work::{self, Work};
use bench_kit::clock;
use bench_kit::cores::Cores;
use microimage::digest::Digest;
use microimage::image::{Blob, Image};
use microimage::sandbox::{self, Launcher, Network, Plan, ResourceLimits};
use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Address of an instance for requests: a program bound only to 127.0.0.1, which a platform could
/// not reach, does not answer here; one bound to 0.0.0.0 does.
pub(super) const INSTANCE_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const TAG: &str = "latest";
/// Name of the floor image in the registry: no variant's name has a slash.
const FLOOR: &str = "coldstart/floor";

/// Settings that stay the same for all samples.
pub struct Settings {
    /// The request, and the answer that is expected.
    pub ask: Ask,
    /// Time limit from exec to the correct reply.
    pub deadline: Duration,
    /// Memory and processor time of an instance.
    pub limits: ResourceLimits,
    /// Between two intended starts of a burst.
    pub burst_interval: Duration,
    /// Set by Ctrl-C.
    pub stop: Arc<AtomicBool>,
    /// The executable that becomes the sandbox's helper.
    pub helper: PathBuf,
    /// The floor program, static, if there is one.
    pub floor: Option<PathBuf>,
    /// `runc` or `crun`, to create and start in place of our own sandbox.
    pub runtime: Option<String>,
    /// What instances may call; loopback only if `None`.
    pub network: Option<Arc<Network>>,
}

/// The engine; see the module.
pub struct Embedded {
    settings: Settings,
    targets: Vec<Prepared>,
    /// Whether the registry serves the floor; nothing else keeps it.
    has_floor: bool,
    registry: Registry,
    relays: HashMap<String, Relay>,
    cores: Cores,
    launcher: Mutex<Launcher>, // before `work`: instances end before their folders go
    work: Work,
}

struct Prepared {
    target: Target,
    /// The image, read from files: `accelerated` unpacks it.
    stored: Image,
    store: PathBuf,
    /// An unpacked copy for instances that are started ahead.
    rootfs: Option<PathBuf>,
    expected: Mutex<Expected>,
}

impl Embedded {
    /// Starts registry and helper, and stores every image's blobs.
    ///
    /// # Errors
    /// [`EngineError`]: what the machine lacks.
    pub fn start(
        targets: Vec<Target>,
        settings: Settings,
        work: Work,
    ) -> Result<Self, EngineError> {
        if settings.runtime.is_some() && !nix::unistd::geteuid().is_root() {
            return Err(EngineError::Other(
                "`--runtime` needs root, because runc and crun make cgroups; leave it out for our \
                 own sandbox"
                    .into(),
            ));
        }
        settings.runtime.as_deref().inspect(|runtime| oci::remove_stale(runtime));
        let launcher = Launcher::start(&settings.helper)?.with_network(settings.network.clone());
        let launcher = Mutex::new(launcher);
        let registry = Registry::start().map_err(io_error("starting the registry"))?;
        let mut prepared = Vec::new();
        for target in targets {
            registry
                .serve(&target.name, TAG, &target.image)
                .map_err(io_error("reading the image"))?;
            let store = work.fresh("store").map_err(io_error("making a folder"))?;
            let stored =
                store_blobs(&target.image, &store).map_err(io_error("storing the image"))?;
            prepared.push(Prepared {
                target,
                stored,
                store,
                rootfs: None,
                expected: Mutex::default(),
            });
        }
        if let Some(program) = &settings.floor {
            let image = floor::image(program.parent().unwrap_or(Path::new(".")))
                .map_err(EngineError::Other)?;
            registry.serve(FLOOR, TAG, &image).map_err(io_error("reading the floor image"))?;
        }
        let (cores, relays) = (Cores::choose(), HashMap::new());
        let has_floor = settings.floor.is_some();
        Ok(Self { settings, targets: prepared, has_floor, registry, relays, cores, launcher, work })
    }

    /// Sets the correct answer of every variant.
    pub fn expect(&mut self, body: &[u8]) {
        for prepared in &mut self.targets {
            prepared.expected = Mutex::new(Expected::Body(body.to_vec()));
        }
    }

    /// Makes the registry send wrong bytes of the right length for the last layer, as a broken
    /// registry does, so that tests can see it refused.
    pub fn corrupt_layer(&mut self, variant: usize) {
        let target = &self.targets[variant].target;
        if let Some(layer) = target.image.layers().last() {
            let size = usize::try_from(layer.descriptor().size_bytes).unwrap_or(0);
            self.registry.put_blob(&target.name, layer.descriptor().digest, vec![0u8; size].into());
        }
    }

    /// The registry's address at the far end of the link.
    fn registry_at(&mut self, link: &Link) -> io::Result<String> {
        if !link.is_shaped() {
            return Ok(format!("http://{}", self.registry.address()));
        }
        if !self.relays.contains_key(link.name()) {
            self.relays
                .insert(link.name().to_owned(), Relay::start(link, self.registry.address())?);
        }
        Ok(format!("http://{}", self.relays[link.name()].address()))
    }

    /// An unpacked copy of the image, made when first needed.
    fn ready_rootfs(&mut self, variant: usize) -> Result<Result<PathBuf, Failure>, EngineError> {
        if let Some(rootfs) = &self.targets[variant].rootfs {
            return Ok(Ok(rootfs.clone()));
        }
        let rootfs = self.work.fresh("rootfs").map_err(io_error("making a folder"))?;
        let prepared = &mut self.targets[variant];
        Ok(sample::unpack_all(&prepared.stored, &prepared.store, &rootfs).map(|_| {
            prepared.rootfs = Some(rootfs.clone());
            rootfs
        }))
    }

    /// What to start; a user that the image does not have is the image's failure.
    fn plan(
        &self,
        image: &Image,
        rootfs: &Path,
        port: u16,
        alone: bool,
        sockets: usize,
    ) -> Result<Plan, Failure> {
        let (uid, gid) =
            sandbox::user_of(rootfs, image.user()).map_err(|e| failure::of(Phase::Create, &e))?;
        Ok(Plan {
            rootfs: rootfs.to_owned(),
            argv: image.argv(),
            env: image.env().to_vec(),
            cwd: image.working_dir().to_owned(),
            uid,
            gid,
            limits: self.settings.limits.clone(),
            core: self.cores.instance.filter(|_| alone),
            sockets,
            low_ports: port < 1024,
            network: self.settings.network.as_ref().map(|network| network.inside()),
        })
    }

    fn launcher(&self) -> MutexGuard<'_, Launcher> {
        self.launcher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn interrupted(&self) -> bool {
        self.settings.stop.load(Ordering::Relaxed)
    }
}

impl Engine for Embedded {
    fn kind(&self) -> EngineKind {
        EngineKind::Embedded
    }

    fn take(&mut self, case: &Case) -> Result<TurnSamples, EngineError> {
        let base = self.registry_at(&case.link).map_err(io_error("starting the link"))?;
        let ready = match case.scenario {
            Scenario::Provisioned => match self.ready_rootfs(case.variant)? {
                Ok(rootfs) => Some(rootfs),
                Err(failure) => {
                    let sample = Sample { error: Some(failure), ..Sample::default() };
                    return Ok(TurnSamples {
                        samples: vec![sample; case.burst],
                        ..TurnSamples::default()
                    });
                }
            },
            Scenario::Cold | Scenario::Accelerated => None,
        };
        let before = self.registry.traffic();
        let taken = match case.burst {
            1 => vec![self.one(case, &base, ready.as_deref(), None)?],
            _ => schedule::at_once(
                case.burst,
                self.settings.burst_interval,
                &self.settings.stop,
                |place| match self.one(case, &base, ready.as_deref(), Some(place)) {
                    Err(EngineError::Io { source, .. }) if failure::is_full(&source) => {
                        Ok(no_room(&source))
                    }
                    done => done,
                },
                no_room,
            )?,
        };
        if self.interrupted() {
            return Err(EngineError::Interrupted);
        }
        let (after, instances) = (self.registry.traffic(), case.burst as u64);
        Ok(TurnSamples {
            uncompressed_bytes: taken.iter().find_map(|(_, bytes)| *bytes),
            samples: taken.into_iter().map(|(sample, _)| sample).collect(),
            requests: (after.requests - before.requests) / instances,
            bytes: (after.bytes - before.bytes) / instances,
        })
    }

    fn calibrate(&mut self) -> Result<Option<Calibration>, EngineError> {
        if !self.has_floor {
            return Ok(None);
        }
        let folder = self.work.fresh_apart("floor").map_err(io_error("making a folder"))?;
        let done = self.calibrate_in(&folder);
        work::remove_tree(&folder).map_err(io_error("removing a folder"))?;
        if self.interrupted() {
            return Err(EngineError::Interrupted);
        }
        done.map(Some)
    }

    fn notes(&self) -> Vec<String> {
        let Some(network) = &self.settings.network else { return Vec::new() };
        let mut note = format!("instances had a {network}; `create` includes it");
        // the network was replaced by another kind during the run
        if let used @ [_, _, ..] = network.used().as_slice() {
            let counts = used.iter().map(|(by, count)| format!("{count} by {by}"));
            let counts = counts.collect::<Vec<_>>().join(", ");
            note = format!("{note}; of the instances, warm-ups included, were connected {counts}");
        }
        vec![note]
    }
}

impl Embedded {
    /// A cold start of the floor image over loopback.
    fn calibrate_in(&self, folder: &Path) -> Result<Calibration, EngineError> {
        let fail = |what: &str, why: String| {
            EngineError::Other(format!("the floor image cannot be {what}: {why}"))
        };
        let (blobs, rootfs) = (folder.join("blobs"), folder.join("rootfs"));
        for made in [&blobs, &rootfs] {
            fs::create_dir(made).map_err(io_error("making a folder"))?;
        }
        let base = format!("http://{}", self.registry.address());
        let began_ns = clock::now_ns();
        let source = pull::Source { base, name: FLOOR.into(), reference: TAG.into() };
        let image = pull::pull(&source, &blobs).map_err(|e| fail("pulled", e.to_string()))?;
        let pulled_ns = clock::now_ns();
        sample::unpack_all(&image, &blobs, &rootfs)
            .map_err(|failure| fail("unpacked", failure.message))?;
        let unpacked_ns = clock::now_ns();
        let plan = self
            .plan(&image, &rootfs, floor::PORT, true, 1)
            .map_err(|failure| fail("started", failure.message))?;
        let pinned = self.cores.pin_harness();
        let mut sample = Sample::default();
        let Some(mut instance) = self.launch(&plan, &mut sample, true)? else {
            return Err(fail("started", sample.error.map_or_else(String::new, |e| e.message)));
        };
        let asked = self.ask(&mut instance, floor::PORT, true);
        drop(pinned);
        let exec_ns = instance.exec_ns();
        instance.end(self)?;
        let asked = asked
            .map_err(|e| EngineError::Other(format!("the floor program did not answer: {e}")))?;
        let exec_ns = exec_ns?.unwrap_or(asked.last_byte_ns);
        Ok(Calibration {
            pull_ns: Some(pulled_ns - began_ns),
            unpack_ns: Some(unpacked_ns - pulled_ns),
            create_ns: Some(exec_ns.saturating_sub(unpacked_ns)),
            start_ns: asked.last_byte_ns - exec_ns,
            connect_step_ns: (asked.refused > 0)
                .then(|| asked.refused_for_ns as f64 / f64::from(asked.refused)),
        })
    }
}

/// The sample of an instance for which this machine had no room.
fn no_room(error: &io::Error) -> (Sample, Option<u64>) {
    (Sample { error: Some(failure::no_room(error)), ..Sample::default() }, None)
}

/// Writes an image's layers as files, and gives the image that reads from them.
fn store_blobs(image: &Image, store: &Path) -> io::Result<Image> {
    for layer in image.layers() {
        let mut file = fs::File::create(path_of(store, layer.descriptor().digest))?;
        io::copy(&mut layer.open()?, &mut file)?;
    }
    let store = store.to_owned();
    Image::from_parts(image.manifest_bytes().to_vec(), image.config_bytes().to_vec(), |layer| {
        let path = path_of(&store, layer.digest);
        Blob::new(move || Ok(Box::new(fs::File::open(&path)?)))
    })
    .map_err(io::Error::other)
}

fn path_of(store: &Path, digest: Digest) -> PathBuf {
    store.join(digest.hex())
}

fn io_error(what: &str) -> impl FnOnce(io::Error) -> EngineError + use<> {
    let what = what.to_owned();
    move |source| EngineError::Io { what, source }
}
