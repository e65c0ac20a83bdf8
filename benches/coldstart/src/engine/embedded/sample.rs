//! Sample of the embedded engine: takes one instance through the phases, with a time stamp at the
//! end of each. It uses only `&self`, because a burst takes many samples at once.

use super::oci;
use super::running::{BREAKS_OFF, Running};
use super::{Embedded, INSTANCE_ADDRESS, TAG, io_error, path_of};
use crate::engine::schedule::Place;
use crate::engine::{Case, EngineError};
use crate::failure::{self, Ended};
use crate::phase::Phase;
use crate::probe::{self, Exchange, Gone, Probe, ProbeError};
use crate::pull;
use crate::results::{Failure, PageCache, Sample, Scenario};
use crate::work;
use bench_kit::clock;
use microimage::entry;
use microimage::image::Image;
use microimage::listeners::listeners;
use microimage::sandbox::{self, Plan};
use microimage::unpack;
use std::fs;
use std::net::SocketAddrV4;
use std::path::Path;

impl Embedded {
    /// Takes one sample; with a `place`, as one of a burst. The number is the size of the layers'
    /// tars.
    pub(super) fn one(
        &self,
        case: &Case,
        base: &str,
        rootfs: Option<&Path>,
        place: Option<&Place<'_>>,
    ) -> Result<(Sample, Option<u64>), EngineError> {
        if let Some(rootfs) = rootfs {
            return Ok((self.provisioned(case, rootfs, place)?, None));
        }
        // Instances of a burst do not wait for each other's folders, because their time is running.
        let folder = if place.is_none() {
            self.work.fresh_apart("sample")
        } else {
            self.work.fresh("sample")
        };
        let folder = folder.map_err(io_error("making a folder"))?;
        let done = self.phases(case, base, &folder, place);
        place.inspect(|place| place.finish()); // if a phase before the start has failed
        work::remove_tree(&folder).map_err(io_error("removing a sample's folder"))?;
        done
    }

    /// cold and accelerated: the phases one after the other.
    fn phases(
        &self,
        case: &Case,
        base: &str,
        folder: &Path,
        place: Option<&Place<'_>>,
    ) -> Result<(Sample, Option<u64>), EngineError> {
        let (blobs, rootfs) = (folder.join("blobs"), folder.join("rootfs"));
        for made in [&blobs, &rootfs] {
            fs::create_dir(made).map_err(io_error("making a folder"))?;
        }
        let prepared = &self.targets[case.variant];
        let evicted = case.page_cache == PageCache::Evicted;
        if evicted && case.scenario == Scenario::Accelerated {
            work::evict(&prepared.store).map_err(io_error("evicting the stored image"))?;
        }
        let intended_ns = place.map(Place::intended_ns);
        let began_ns = clock::now_ns();
        let mut sample =
            Sample { intended_start_ns: intended_ns.unwrap_or(began_ns), ..Sample::default() };
        let (image, blobs) = match case.scenario {
            Scenario::Accelerated => (Ok(prepared.stored.clone()), &prepared.store),
            _ => {
                let name = prepared.target.name.clone();
                let source = pull::Source { base: base.into(), name, reference: TAG.into() };
                (pull::pull(&source, &blobs), &blobs)
            }
        };
        // By tag, as a platform that resolves one: the result must be the measured image.
        let known = prepared.target.image.manifest_digest();
        let image = image.and_then(|image| match image.manifest_digest() {
            found if found == known => Ok(image),
            found => Err(pull::PullError::Manifest { asked: known.to_string(), found }),
        });
        let pulled_ns = clock::now_ns();
        if case.scenario == Scenario::Cold {
            sample.pull_ns = Some(pulled_ns - began_ns);
        }
        let unpacked = image
            .map_err(|e| failure::of_pull(&e))
            .and_then(|image| unpack_all(&image, blobs, &rootfs));
        let uncompressed_bytes = match unpacked {
            Ok(bytes) => bytes,
            Err(failure) => {
                sample.error = Some(failure);
                return Ok((sample, None));
            }
        };
        let unpacked_ns = clock::now_ns();
        sample.unpack_ns = Some(unpacked_ns - pulled_ns);
        if evicted {
            work::evict(&rootfs).map_err(io_error("evicting the rootfs"))?;
        }
        let complete_ns = if evicted { clock::now_ns() } else { unpacked_ns };
        let paused_ns = complete_ns - unpacked_ns; // the total excludes the eviction of files
        if let Some(end_ns) =
            self.create_and_start(case, &rootfs, complete_ns, &mut sample, place)?
        {
            sample.total_ns = Some(end_ns - sample.intended_start_ns - paused_ns);
        }
        Ok((sample, Some(uncompressed_bytes)))
    }

    /// From a rootfs that was complete at `complete_ns` to the first correct reply. Returns the
    /// time of its last byte; the instance is ended before this returns.
    fn create_and_start(
        &self,
        case: &Case,
        rootfs: &Path,
        complete_ns: u64,
        sample: &mut Sample,
        place: Option<&Place<'_>>,
    ) -> Result<Option<u64>, EngineError> {
        let target = &self.targets[case.variant].target;
        let alone = case.burst == 1;
        let plan = match self.plan(&target.image, rootfs, target.port, alone, 1) {
            Ok(plan) => plan,
            Err(failure) => {
                sample.error = Some(failure);
                return Ok(None);
            }
        };
        let pinned = alone.then(|| self.cores.pin_harness());
        let Some(mut instance) = self.launch(&plan, sample, alone)? else { return Ok(None) };
        let result = self.ask(&mut instance, target.port, alone);
        drop(pinned);
        sample.peak_resident_bytes = sandbox::peak_resident_bytes(instance.pid());
        let mut failed_start = None;
        let end_ns = match (instance.exec_ns(), result) {
            (Err(error), _) => {
                sample.error = Some(failure::launch(&error));
                None
            }
            (Ok(exec_ns), Ok(asked)) => {
                let exec_ns = exec_ns.unwrap_or(complete_ns);
                sample.create_ns = Some(exec_ns.saturating_sub(complete_ns));
                fill_start(sample, exec_ns, &asked);
                self.check(case.variant, &asked, sample).then_some(asked.last_byte_ns)
            }
            (Ok(exec_ns), Err(error)) => {
                sample.create_ns = exec_ns.map(|ns| ns.saturating_sub(complete_ns));
                failed_start = Some(FailedStart::of(error, &mut instance));
                None
            }
        };
        place.inspect(|place| place.finish());
        let ended = instance.end(self)?;
        if let Some(failed_start) = failed_start {
            sample.error = Some(failed_start.explain(ended.as_ref()));
        }
        Ok(end_ns)
    }

    /// provisioned: an instance is started ahead and has been seen listening; then one request.
    fn provisioned(
        &self,
        case: &Case,
        rootfs: &Path,
        place: Option<&Place<'_>>,
    ) -> Result<Sample, EngineError> {
        let target = &self.targets[case.variant].target;
        let alone = case.burst == 1;
        let plan = match self.plan(&target.image, rootfs, target.port, alone, 2) {
            Ok(plan) => plan,
            Err(failure) => return Ok(Sample { error: Some(failure), ..Sample::default() }),
        };
        let pinned = alone.then(|| self.cores.pin_harness());
        let mut sample = Sample::default();
        let Some(mut instance) = self.launch(&plan, &mut sample, alone)? else { return Ok(sample) };
        let sockets = instance.take_sockets();
        let address = SocketAddrV4::new(INSTANCE_ADDRESS, target.port);
        let request = self.settings.ask.to_bytes(&address.to_string());
        let result = match (instance.go(), &sockets[..]) {
            (Err(failure), _) => Err(ProbeError::Engine(failure.message)),
            (Ok(()), [ahead, socket]) => self
                .probe(address, &request, alone)
                .wait_listening(ahead, || self.ended(&mut instance))
                .map(|()| probe::settle(ahead))
                .and_then(|()| {
                    sample.intended_start_ns = place.map_or_else(clock::now_ns, Place::intended_ns);
                    self.probe(address, &request, alone).ask(socket, || self.ended(&mut instance))
                }),
            _ => Err(ProbeError::Engine("no sockets came out of the sandbox".into())),
        };
        drop(pinned);
        sample.peak_resident_bytes = sandbox::peak_resident_bytes(instance.pid());
        let mut failed_start = None;
        match result {
            Ok(asked) => {
                let began_ns = sample.intended_start_ns;
                sample.first_byte_ns = Some(asked.first_byte_ns.saturating_sub(began_ns));
                sample.start_ns = Some(asked.last_byte_ns.saturating_sub(began_ns));
                if self.check(case.variant, &asked, &mut sample) {
                    sample.total_ns = sample.start_ns;
                }
            }
            Err(error) => failed_start = Some(FailedStart::of(error, &mut instance)),
        }
        place.inspect(|place| place.finish());
        let ended = instance.end(self)?;
        if let Some(failed_start) = failed_start {
            sample.error = Some(failed_start.explain(ended.as_ref()));
        }
        Ok(sample)
    }

    /// A failure of the image becomes the sample's, and in a burst a full machine does too; a
    /// failure of the machine ends the run.
    pub(super) fn launch(
        &self,
        plan: &Plan,
        sample: &mut Sample,
        alone: bool,
    ) -> Result<Option<Running>, EngineError> {
        if let Some(runtime) = &self.settings.runtime {
            let bundle = self.work.fresh("bundle").map_err(io_error("making a folder"))?;
            let created =
                oci::create(runtime, plan, &bundle).map_err(|failure| sample.error = Some(failure));
            return Ok(created.ok().map(Running::Contained));
        }
        // the lock is not held while the instance's sandbox is set up
        let begun = self.launcher().begin(plan);
        let error = match begun {
            Err(error) => error,
            Ok(mut instance) => match instance.wait_ready() {
                Ok(()) => return Ok(Some(Running::Sandboxed(instance))),
                Err(error) => {
                    self.launcher().end(instance)?;
                    error
                }
            },
        };
        sample.error = Some(match error {
            error @ sandbox::Error::Step { .. } => failure::launch(&error),
            error @ sandbox::Error::Full { .. } if !alone => failure::no_room(&error),
            other => return Err(other.into()),
        });
        Ok(None)
    }

    /// Executes the program, waits for the instance as a platform would, and sends the request.
    pub(super) fn ask(
        &self,
        instance: &mut Running,
        port: u16,
        alone: bool,
    ) -> Result<Exchange, ProbeError> {
        let address = SocketAddrV4::new(INSTANCE_ADDRESS, port);
        let request = self.settings.ask.to_bytes(&address.to_string());
        let Some(socket) = instance.take_sockets().pop() else {
            return Err(ProbeError::Engine("no socket came out of the sandbox".into()));
        };
        instance.go().map_err(|failure| ProbeError::Engine(failure.message))?;
        self.probe(address, &request, alone).ask(&socket, || self.ended(instance))
    }

    fn probe<'a>(&self, target: SocketAddrV4, request: &'a [u8], alone: bool) -> Probe<'a> {
        let patience_ns = u64::try_from(self.settings.deadline.as_nanos()).unwrap_or(u64::MAX / 2);
        let spins = alone && self.cores.harness.is_some();
        Probe { target, request, deadline_ns: clock::now_ns() + patience_ns, spins }
    }

    /// Compares an answer with the expected one; a wrong answer is the sample's failure.
    fn check(&self, variant: usize, asked: &Exchange, sample: &mut Sample) -> bool {
        let mut expected = self.targets[variant]
            .expected
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let wrong = expected.check(&asked.answer).err();
        sample.error = wrong.map(|message| failure::wrong_answer(asked.answer.status, &message));
        sample.error.is_none()
    }

    fn ended(&self, instance: &mut Running) -> Option<Gone> {
        let _ = instance.output_tail(); // keeps the pipe empty
        if self.interrupted() {
            return Some(Gone::Interrupted);
        }
        instance.has_ended().then_some(Gone::Ended)
    }
}

/// A failed start, with facts that were found while the instance existed.
struct FailedStart {
    error: ProbeError,
    printed: String,
    listeners: Vec<String>,
}

impl FailedStart {
    fn of(error: ProbeError, instance: &mut Running) -> Self {
        if matches!(error, ProbeError::Closed | ProbeError::Reply(_)) {
            // a program that crashes closes its connections before it ends
            instance.wait_end(BREAKS_OFF);
        }
        let listeners = match error {
            ProbeError::NeverListened { .. } => listeners(instance.pid()),
            _ => Vec::new(),
        };
        Self { error, printed: instance.output_tail(), listeners }
    }

    fn explain(&self, ended: Option<&Ended>) -> Failure {
        failure::of_start(&self.error, &self.printed, &self.listeners, ended)
    }
}

fn fill_start(sample: &mut Sample, exec_ns: u64, asked: &Exchange) {
    sample.listen_ns = Some(asked.connected_ns.saturating_sub(exec_ns));
    sample.first_byte_ns = Some(asked.first_byte_ns.saturating_sub(exec_ns));
    sample.start_ns = Some(asked.last_byte_ns.saturating_sub(exec_ns));
}

/// Applies the layers in order and compares each with the DiffID in the configuration. Returns the
/// size of their tars.
pub(super) fn unpack_all(image: &Image, blobs: &Path, rootfs: &Path) -> Result<u64, Failure> {
    let mut uncompressed_bytes = 0;
    for layer in image.layers() {
        let fail = |e: &(dyn std::error::Error + 'static)| failure::of(Phase::Unpack, e);
        // The pull has verified the blob's digest while it wrote the file.
        let blob =
            fs::File::open(path_of(blobs, layer.descriptor().digest)).map_err(|e| fail(&e))?;
        let done = unpack::unpack_layer(
            blob,
            &layer.descriptor().media_type,
            rootfs,
            &entry::LayerLimits::default(),
        )
        .map_err(|e| fail(&e))?;
        if done.diff_id != layer.diff_id() {
            let (found, promised) = (done.diff_id, layer.diff_id());
            let message =
                format!("a layer's DiffID is `{found}`, the configuration promises `{promised}`");
            return Err(Failure { phase: Phase::Unpack, message });
        }
        uncompressed_bytes += done.uncompressed_bytes;
    }
    Ok(uncompressed_bytes)
}
