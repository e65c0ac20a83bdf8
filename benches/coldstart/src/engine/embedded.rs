//! The engine that needs no daemon: registry in this process, links shaped by a relay, verified
//! pull, own unpack, own sandbox. What each phase means is docs/CONTRACTS.md, section 5.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use microimage::digest::Digest;
use microimage::entry;
use microimage::image::{Blob, Image};
use microimage::sandbox::{self, Instance, Launcher, Limits, Plan};
use microimage::unpack;

use super::{Calibration, Case, Engine, EngineError, Outcome, Target};
use crate::clock;
use crate::cores::Cores;
use crate::failure::{self, Phase};
use crate::link::Link;
use crate::probe::{Asked, Probe};
use crate::pull;
use crate::registry::Registry;
use crate::relay::Relay;
use crate::request::{Ask, Expected};
use crate::results::{EngineKind, Failure, PageCache, Sample, Scenario};
use crate::work::{self, Work};

/// Instances are asked at this address: one bound to 127.0.0.1 only, which a platform could not
/// reach, does not answer here, one bound to 0.0.0.0 does.
const INSTANCE_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const TAG: &str = "latest";

/// What does not change from sample to sample.
pub struct Settings {
    pub ask: Ask,
    /// From exec until the correct reply.
    pub deadline: Duration,
    pub limits: Limits,
    /// Set by Ctrl-C.
    pub stop: Arc<AtomicBool>,
    /// The executable that becomes the sandbox's helper.
    pub helper: PathBuf,
    /// The floor program, static, if there is one.
    pub floor: Option<PathBuf>,
}

/// See the module.
pub struct Embedded {
    settings: Settings,
    targets: Vec<Prepared>,
    floor: Option<PathBuf>,
    registry: Registry,
    relays: HashMap<String, Relay>,
    cores: Cores,
    launcher: Launcher, // before `work`: instances end before their folders go
    work: Work,
}

struct Prepared {
    target: Target,
    /// The image again, read from files: what `accelerated` unpacks.
    stored: Image,
    store: PathBuf,
    /// An unpacked copy for instances that are started ahead.
    rootfs: Option<PathBuf>,
    expected: Expected,
}

impl Embedded {
    /// Starts registry and helper, and stores every image's blobs.
    ///
    /// # Errors
    /// [`EngineError`]: what the machine lacks.
    pub fn start(targets: Vec<Target>, settings: Settings, mut work: Work) -> Result<Self, EngineError> {
        let launcher = Launcher::start(&settings.helper)?;
        let registry = Registry::start().map_err(io_error("starting the registry"))?;
        let mut prepared = Vec::new();
        for target in targets {
            registry.serve(&target.name, TAG, &target.image).map_err(io_error("reading the image"))?;
            let store = work.fresh("store").map_err(io_error("making a folder"))?;
            let stored = store_blobs(&target.image, &store).map_err(io_error("storing the image"))?;
            prepared.push(Prepared { target, stored, store, rootfs: None, expected: Expected::default() });
        }
        let floor = match &settings.floor {
            Some(program) => {
                let rootfs = work.fresh("floor").map_err(io_error("making a folder"))?;
                fs::copy(program, rootfs.join("app")).map_err(io_error("copying the floor program"))?;
                Some(rootfs)
            }
            None => None,
        };
        let cores = Cores::choose();
        Ok(Self { settings, targets: prepared, floor, registry, relays: HashMap::new(), cores, launcher, work })
    }

    /// Replaces what counts as the correct answer of every variant.
    pub fn expect(&mut self, body: &[u8]) {
        for prepared in &mut self.targets {
            prepared.expected = Expected::Body(body.to_vec());
        }
    }

    /// Where a puller at the far end of the link finds the registry.
    fn registry_at(&mut self, link: &Link) -> io::Result<String> {
        let address = if link.is_shaped() {
            if !self.relays.contains_key(link.name()) {
                self.relays.insert(link.name().to_owned(), Relay::start(link, self.registry.address())?);
            }
            self.relays[link.name()].address()
        } else {
            self.registry.address()
        };
        Ok(format!("http://{address}"))
    }

    fn plan(&self, image: &Image, rootfs: &Path, port: u16, sockets: usize) -> Result<Plan, EngineError> {
        let (uid, gid) = sandbox::user_of(rootfs, image.user()).map_err(|e| EngineError::Other(e.to_string()))?;
        Ok(Plan {
            rootfs: rootfs.to_owned(),
            argv: image.argv(),
            env: image.env().to_vec(),
            cwd: image.working_dir().to_owned(),
            uid,
            gid,
            limits: self.settings.limits.clone(),
            core: self.cores.instance,
            sockets,
            low_ports: port < 1024,
        })
    }

    /// From a complete rootfs to the first correct reply; the instance is ended before this returns.
    fn create_and_start(
        &mut self,
        variant: usize,
        rootfs: &Path,
        sample: &mut Sample,
    ) -> Result<Option<u64>, EngineError> {
        let prepared = &self.targets[variant];
        let port = prepared.target.port;
        let plan = self.plan(&prepared.target.image, rootfs, port, 1)?;
        let pinned = self.cores.pin_harness();
        let began_ns = clock::now_ns();
        let mut instance = match self.launcher.launch(&plan) {
            Ok(instance) => instance,
            Err(error) => return failed_launch(error, sample).map(|()| None),
        };
        let result = self.ask(&mut instance, port);
        drop(pinned);
        let exec_ns = instance.exec_ns();
        let outcome = match (exec_ns, result) {
            (Err(error), _) => {
                sample.error = Some(failure::launch(&error));
                None
            }
            (Ok(exec_ns), Ok(asked)) => {
                let exec_ns = exec_ns.unwrap_or(began_ns);
                sample.create_ns = Some(exec_ns.saturating_sub(began_ns));
                fill_start(sample, exec_ns, &asked);
                match self.targets[variant].expected.check(&asked.answer) {
                    Ok(()) => Some(asked.last_byte_ns),
                    Err(message) => {
                        sample.error = Some(failure::wrong_answer(message));
                        None
                    }
                }
            }
            (Ok(exec_ns), Err(error)) => {
                sample.create_ns = exec_ns.map(|ns| ns.saturating_sub(began_ns));
                sample.error = Some(failure::probe(&error, &mut instance));
                None
            }
        };
        self.end(instance, sample)?;
        Ok(outcome)
    }

    /// Waits for the instance as a platform would, and asks it.
    fn ask(&self, instance: &mut Instance, port: u16) -> Result<Asked, crate::probe::ProbeError> {
        let target = SocketAddrV4::new(INSTANCE_ADDRESS, port);
        let request = self.settings.ask.to_bytes(&target.to_string());
        let Some(socket) = instance.take_sockets().pop() else {
            return Err(crate::probe::ProbeError::Ended("no socket came out of the sandbox".into()));
        };
        self.probe(target, &request).ask(&socket, || self.ended(instance))
    }

    fn probe<'a>(&self, target: SocketAddrV4, request: &'a [u8]) -> Probe<'a> {
        let deadline_ns = clock::now_ns() + u64::try_from(self.settings.deadline.as_nanos()).unwrap_or(u64::MAX / 2);
        Probe { target, request, deadline_ns, spins: self.cores.harness.is_some() }
    }

    fn ended(&self, instance: &mut Instance) -> Option<String> {
        let _ = instance.output_tail(); // keeps the pipe empty
        if self.settings.stop.load(Ordering::Relaxed) {
            return Some("interrupted".into());
        }
        instance.has_ended().then(|| "the program ended before it answered".into())
    }

    /// Ends an instance; if it ended by itself, says how in the sample's failure.
    fn end(&mut self, instance: Instance, sample: &mut Sample) -> Result<(), EngineError> {
        let ended_itself = instance.has_ended();
        let exit = self.launcher.end(instance)?;
        if let Some(error) = sample.error.as_mut().filter(|_| ended_itself) {
            failure::add_exit(error, &exit);
        }
        if self.settings.stop.load(Ordering::Relaxed) { Err(EngineError::Interrupted) } else { Ok(()) }
    }

    /// cold and accelerated: the phases one after the other.
    fn begin_to_end(&mut self, case: &Case) -> Result<Outcome, EngineError> {
        let base = self.registry_at(&case.link).map_err(io_error("starting the link"))?;
        let folder = self.work.fresh("sample").map_err(io_error("making a folder"))?;
        let mut outcome = Outcome::default();
        let done = self.phases(case, &base, &folder, &mut outcome);
        work::remove_tree(&folder).map_err(io_error("removing a sample's folder"))?;
        done?;
        Ok(outcome)
    }

    fn phases(&mut self, case: &Case, base: &str, folder: &Path, outcome: &mut Outcome) -> Result<(), EngineError> {
        let blobs = folder.join("blobs");
        let rootfs = folder.join("rootfs");
        for made in [&blobs, &rootfs] {
            fs::create_dir(made).map_err(io_error("making a folder"))?;
        }
        let before = self.registry.traffic();
        let evicted = case.page_cache == PageCache::Evicted;
        let prepared = &self.targets[case.variant];
        if evicted && case.scenario == Scenario::Accelerated {
            work::evict(&prepared.store).map_err(io_error("evicting the stored image"))?;
        }
        let began_ns = clock::now_ns();
        let mut sample = Sample { intended_start_ns: began_ns, ..Sample::default() };
        let image = match case.scenario {
            Scenario::Accelerated => Ok(prepared.stored.clone()),
            _ => {
                let source =
                    pull::Source { base: base.into(), name: prepared.target.name.clone(), reference: TAG.into() };
                pull::pull(&source, &blobs)
            }
        };
        let pulled_ns = clock::now_ns();
        if case.scenario == Scenario::Cold {
            sample.pull_ns = Some(pulled_ns - began_ns);
            let after = self.registry.traffic();
            (outcome.requests, outcome.bytes) = (after.requests - before.requests, after.bytes - before.bytes);
        }
        let blobs = if case.scenario == Scenario::Accelerated { &prepared.store } else { &blobs };
        let unpacked =
            image.map_err(|e| failure::of(Phase::Pull, &e)).and_then(|image| unpack_all(&image, blobs, &rootfs));
        let end_ns = match unpacked {
            Err(failure) => {
                sample.error = Some(failure);
                None
            }
            Ok(uncompressed_bytes) => {
                outcome.uncompressed_bytes = Some(uncompressed_bytes);
                let unpacked_ns = clock::now_ns();
                sample.unpack_ns = Some(unpacked_ns - pulled_ns);
                if evicted {
                    work::evict(&rootfs).map_err(io_error("evicting the rootfs"))?;
                }
                let paused_ns = if evicted { clock::since_ns(unpacked_ns) } else { 0 };
                self.create_and_start(case.variant, &rootfs, &mut sample)?.map(|ns| ns - paused_ns)
            }
        };
        sample.total_ns = end_ns.map(|ns| ns - began_ns);
        outcome.samples.push(sample);
        Ok(())
    }

    /// provisioned: an instance is started ahead and has been seen listening; then one request.
    fn provisioned(&mut self, case: &Case) -> Result<Outcome, EngineError> {
        let mut sample = Sample::default();
        let rootfs = match self.ready_rootfs(case.variant)? {
            Ok(rootfs) => rootfs,
            Err(failure) => {
                sample.error = Some(failure);
                return Ok(Outcome { samples: vec![sample], ..Outcome::default() });
            }
        };
        let prepared = &self.targets[case.variant];
        let port = prepared.target.port;
        let plan = self.plan(&prepared.target.image, &rootfs, port, 2)?;
        let target = SocketAddrV4::new(INSTANCE_ADDRESS, port);
        let request = self.settings.ask.to_bytes(&target.to_string());
        let pinned = self.cores.pin_harness();
        let mut instance = match self.launcher.launch(&plan) {
            Ok(instance) => instance,
            Err(error) => {
                failed_launch(error, &mut sample)?;
                return Ok(Outcome { samples: vec![sample], ..Outcome::default() });
            }
        };
        let sockets = instance.take_sockets();
        let result = match &sockets[..] {
            [ahead, socket] => self
                .probe(target, &request)
                .wait_listening(ahead, || self.ended(&mut instance))
                .map(|()| settle(ahead))
                .and_then(|()| {
                    sample.intended_start_ns = clock::now_ns();
                    self.probe(target, &request).ask(socket, || self.ended(&mut instance))
                }),
            _ => Err(crate::probe::ProbeError::Ended("no sockets came out of the sandbox".into())),
        };
        drop(pinned);
        match result {
            Ok(asked) => {
                let began_ns = sample.intended_start_ns;
                sample.first_byte_ns = Some(asked.first_byte_ns - began_ns);
                sample.start_ns = Some(asked.last_byte_ns - began_ns);
                sample.total_ns = sample.start_ns;
                if let Err(message) = self.targets[case.variant].expected.check(&asked.answer) {
                    sample.error = Some(failure::wrong_answer(message));
                }
            }
            Err(error) => sample.error = Some(failure::probe(&error, &mut instance)),
        }
        self.end(instance, &mut sample)?;
        Ok(Outcome { samples: vec![sample], ..Outcome::default() })
    }

    /// An unpacked copy of the image, made when first needed.
    fn ready_rootfs(&mut self, variant: usize) -> Result<Result<PathBuf, Failure>, EngineError> {
        if let Some(rootfs) = &self.targets[variant].rootfs {
            return Ok(Ok(rootfs.clone()));
        }
        let rootfs = self.work.fresh("rootfs").map_err(io_error("making a folder"))?;
        let prepared = &self.targets[variant];
        Ok(unpack_all(&prepared.stored, &prepared.store, &rootfs).map(|_| {
            self.targets[variant].rootfs = Some(rootfs.clone());
            rootfs
        }))
    }
}

impl Engine for Embedded {
    fn kind(&self) -> EngineKind {
        EngineKind::Embedded
    }

    fn take(&mut self, case: &Case) -> Result<Outcome, EngineError> {
        match case.scenario {
            Scenario::Cold | Scenario::Accelerated => self.begin_to_end(case),
            Scenario::Provisioned => self.provisioned(case),
        }
    }

    fn calibrate(&mut self) -> Result<Option<Calibration>, EngineError> {
        let Some(rootfs) = self.floor.clone() else { return Ok(None) };
        let plan = Plan {
            rootfs,
            argv: vec!["/app".into()],
            env: Vec::new(),
            cwd: String::new(),
            uid: 0,
            gid: 0,
            limits: self.settings.limits.clone(),
            core: self.cores.instance,
            sockets: 1,
            low_ports: false,
        };
        let pinned = self.cores.pin_harness();
        let mut instance = self.launcher.launch(&plan)?;
        let asked = self.ask(&mut instance, 9000);
        drop(pinned);
        let exec_ns = instance.exec_ns()?;
        self.launcher.end(instance)?;
        let asked = asked.map_err(|e| EngineError::Other(format!("the floor program did not answer: {e}")))?;
        Ok(Some(Calibration {
            start_ns: asked.last_byte_ns - exec_ns.unwrap_or(asked.last_byte_ns),
            connect_step_ns: (asked.refused > 0).then(|| asked.refused_for_ns as f64 / f64::from(asked.refused)),
        }))
    }
}

/// Ends our side of the connection that showed the instance listening, and waits until the instance
/// has noticed, so that it is idle when the request comes. A program that never closes is given 50 ms.
fn settle(ahead: &std::os::fd::OwnedFd) {
    use std::os::fd::AsRawFd;
    let _ = nix::sys::socket::shutdown(ahead.as_raw_fd(), nix::sys::socket::Shutdown::Write);
    let patience = nix::sys::time::TimeVal::new(0, 50_000);
    let _ = nix::sys::socket::setsockopt(ahead, nix::sys::socket::sockopt::ReceiveTimeout, &patience);
    let _ = nix::sys::socket::recv(ahead.as_raw_fd(), &mut [0u8; 1], nix::sys::socket::MsgFlags::empty());
}

fn fill_start(sample: &mut Sample, exec_ns: u64, asked: &Asked) {
    sample.listen_ns = Some(asked.connected_ns.saturating_sub(exec_ns));
    sample.first_byte_ns = Some(asked.first_byte_ns.saturating_sub(exec_ns));
    sample.start_ns = Some(asked.last_byte_ns.saturating_sub(exec_ns));
}

/// An error of the image is the sample's; one of the machine ends the run.
fn failed_launch(error: sandbox::Error, sample: &mut Sample) -> Result<(), EngineError> {
    match error {
        sandbox::Error::Step { .. } => {
            sample.error = Some(failure::launch(&error));
            Ok(())
        }
        other => Err(other.into()),
    }
}

/// Applies the layers in order and holds each against the DiffID that the configuration promises.
fn unpack_all(image: &Image, blobs: &Path, rootfs: &Path) -> Result<u64, Failure> {
    let mut uncompressed_bytes = 0;
    for layer in image.layers() {
        let fail = |e: &dyn std::error::Error| failure::of(Phase::Unpack, e);
        // The pull has verified the blob's digest while it wrote the file.
        let blob = fs::File::open(path_of(blobs, layer.descriptor().digest)).map_err(|e| fail(&e))?;
        let done = unpack::unpack_layer(blob, &layer.descriptor().media_type, rootfs, &entry::Limits::default())
            .map_err(|e| fail(&e))?;
        if done.diff_id != layer.diff_id() {
            let found =
                format!("a layer's DiffID is `{}`, the configuration promises `{}`", done.diff_id, layer.diff_id());
            return Err(Failure { phase: Phase::Unpack.to_string(), message: found });
        }
        uncompressed_bytes += done.uncompressed_bytes;
    }
    Ok(uncompressed_bytes)
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
