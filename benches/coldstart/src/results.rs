//! Results of a run and their file, results.json, which measuring writes and drawing reads. The
//! file is written completely or not at all: a temporary file, then a rename. docs/CONTRACTS.md,
//! section 5, has the schema.

mod platform;

pub use self::platform::{Aside, ColdBy, PlatformRun, PlatformTimes, ReadFrom};
use crate::phase::Phase;
use bench_kit::host::Host;
use bench_kit::stats::{self, Summary};
use microimage::stage;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The schema's number; a reader refuses any other.
pub const SCHEMA: u32 = 1;

/// A whole run of the bench.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Always 1; a reader refuses any other.
    pub schema: u32,
    /// Engine that pulled, unpacked, created and started.
    pub engine: EngineKind,
    /// The machine.
    pub host: Host,
    /// Times of the floor and of the tool.
    pub overhead: Overhead,
    /// What was compared.
    pub variants: Vec<Variant>,
    /// Gain that the platform's advice would bring.
    pub guidance: Vec<Guidance>,
    /// Notes for judging the numbers: how links are modelled, what was not limited.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// What pulls, unpacks, creates and starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// In-process registry, own unpack, own sandbox; no daemon.
    Embedded,
    /// Docker Engine through its API, with a registry of its own.
    Docker,
    /// Podman, started by the bench, through the API that it shares with Docker Engine.
    Podman,
    /// Containerd, started by the bench, through `ctr`; it has no network of its own.
    Containerd,
    /// Tencent Cloud SCF itself, with the user's own credentials; or its log lines, imported.
    Scf,
    /// AWS Lambda's log lines, imported.
    #[value(skip)]
    Lambda,
    /// Alibaba Cloud Function Compute's instance events, imported.
    #[value(skip)]
    Fc,
}

impl EngineKind {
    /// Whether the numbers are a cloud platform's: phases by its log, totals by the client's clock.
    pub fn is_platform(self) -> bool {
        match self {
            Self::Embedded | Self::Docker | Self::Podman | Self::Containerd => false,
            Self::Scf | Self::Lambda | Self::Fc => true,
        }
    }
}

impl std::fmt::Display for EngineKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Embedded => "embedded",
            Self::Docker => "docker",
            Self::Scf => "scf",
            Self::Lambda => "lambda",
            Self::Fc => "fc",
            Self::Podman => "podman",
            Self::Containerd => "containerd",
        })
    }
}

/// Cost of a start of a program with almost no work: the floor image, measured in the same rounds.
/// `None` if it could not be built.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Overhead {
    /// The floor's start, exec to reply.
    pub start_ns_median: Option<f64>,
    /// Number of samples of the floor.
    pub n: usize,
    /// One turn of the connect loop: the largest delay in noticing an instance's first accept.
    #[serde(default)]
    pub connect_step_ns_median: Option<f64>,
    /// The floor image's other phases, pulled over loopback; `None` where the engine never pulls
    /// it.
    #[serde(default)]
    pub pull_ns_median: Option<f64>,
    /// Median time to unpack the floor's image.
    #[serde(default)]
    pub unpack_ns_median: Option<f64>,
    /// Median time to create its instance.
    #[serde(default)]
    pub create_ns_median: Option<f64>,
}

/// The tool's own share of the smallest start of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OwnShare<'a> {
    /// One turn of the connect loop, median.
    pub step_ns: f64,
    /// The smallest median start.
    pub start_ns: f64,
    /// The variant with that start.
    pub variant: &'a str,
    /// `step_ns` as a share of `start_ns`.
    pub share: f64,
}

/// One thing compared: an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// Its name in the results.
    pub name: String,
    /// Name and tag, or the digest of its manifest.
    pub reference: String,
    /// Size of configuration and layers as sent; `None` if no registry was asked (an imported log,
    /// an image whose manifest this machine may not read).
    pub compressed_bytes: Option<u64>,
    /// The layers' tars; `None` until one sample has unpacked them.
    pub uncompressed_bytes: Option<u64>,
    /// Number of layers; 0 if `compressed_bytes` is `None`.
    pub layers: usize,
    /// Its runs, in the order they were measured.
    pub runs: Vec<Run>,
}

/// The samples of one variant under one set of conditions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The link's name.
    pub link: String,
    /// What is already present when the sample begins.
    pub scenario: Scenario,
    /// Which files are in memory.
    pub page_cache: PageCache,
    /// Instances started at once.
    pub burst: usize,
    /// Requests that reached the registry for one sample.
    pub requests: u64,
    /// Bytes of bodies that left the registry for one sample.
    pub bytes: u64,
    /// The samples, in the order they were taken.
    pub samples: Vec<Sample>,
    /// Statistics of the samples.
    pub summary: Summary,
    /// Data of a run on a cloud's platform; absent for the other engines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_platform: Option<PlatformRun>,
}

/// What is already present when a sample begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Scenario {
    /// Nothing: pull, unpack, create, start.
    Cold,
    /// The image's bytes: unpack, create, start.
    Accelerated,
    /// An instance is listening: one request.
    Provisioned,
}

impl Scenario {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Accelerated => "accelerated",
            Self::Provisioned => "provisioned",
        }
    }
}

/// The conditions of a run as text: `cold, cross-region, files evicted from memory, 8 at once`. A
/// link only if something is pulled.
pub fn name_of(scenario: Scenario, link: &str, page_cache: PageCache, burst: usize) -> String {
    let mut name = scenario.name().to_owned();
    if scenario == Scenario::Cold {
        name.push_str(&format!(", {link}"));
    }
    if page_cache == PageCache::Evicted {
        name.push_str(", files evicted from memory");
    }
    if burst > 1 {
        name.push_str(&format!(", {burst} at once"));
    }
    name
}

/// Which files are in memory when an instance starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum PageCache {
    /// As unpacking leaves it: what was just written is in memory.
    Warm,
    /// The rootfs was dropped from the page cache before the start; where the blobs were here
    /// already (accelerated), they were before they were unpacked. Blobs that a cold start has just
    /// pulled are warm.
    Evicted,
}

/// One measurement. A phase that the scenario or the engine does not have is `None`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Sample {
    /// Position in the whole run's random order.
    pub order: usize,
    /// Intended start of the sample, from the run's beginning. In a burst the total counts from
    /// this time.
    pub intended_start_ns: u64,
    /// From connecting to the registry to the last verified blob.
    pub pull_ns: Option<u64>,
    /// From the verified blobs to the complete root file system.
    pub unpack_ns: Option<u64>,
    /// From the complete root file system to the call of exec.
    pub create_ns: Option<u64>,
    /// From exec to the first accepted connection.
    pub listen_ns: Option<u64>,
    /// From exec to the reply's first byte.
    pub first_byte_ns: Option<u64>,
    /// From exec to the last byte of the first correct reply.
    pub start_ns: Option<u64>,
    /// From the sample's beginning to the same last byte, with its own time stamps.
    pub total_ns: Option<u64>,
    /// Peak resident memory of the instance's first process until its reply (proc(5), VmHWM, which
    /// includes shared and file pages).
    #[serde(default)]
    pub peak_resident_bytes: Option<u64>,
    /// Whether it is far from the median; it still counts.
    pub outlier: bool,
    /// What went wrong; `None` for a good sample.
    pub error: Option<Failure>,
    /// The platform's own numbers; absent for the other engines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_platform: Option<PlatformTimes>,
}

/// A sample's failure: a result like any other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Where it went wrong.
    pub phase: Phase,
    /// What happened, the program's last output, and the platform's status.
    pub message: String,
}

/// Value of one piece of the platform's advice for one variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guidance {
    /// The advice, as a short name.
    pub id: String,
    /// The name of the image.
    pub variant: String,
    /// The link's name.
    pub link: Option<String>,
    /// What the platform advises.
    pub advice: String,
    /// The page that has the advice.
    pub source: String,
    /// Whether the number rests on a model (a link, a price) rather than on this machine alone.
    pub modelled: bool,
    /// What was measured, as text.
    pub measured: String,
    /// 95 % bootstrap interval of what was measured, in `unit`.
    pub ci95: Option<[f64; 2]>,
    /// The unit of `ci95`.
    #[serde(default)]
    pub unit: Option<Unit>,
    /// The share of the cold start that the advice can remove at most, 0 to 1.
    pub max_share: Option<f64>,
    /// The finding and the advice, as text of one line.
    pub verdict: String,
    /// Assumptions and further numbers behind the verdict, as text; only the report shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
}

/// The unit of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Nanoseconds.
    Ns,
    /// A factor: how many times as fast.
    Times,
    /// Bytes.
    Bytes,
}

impl Sample {
    /// Duration of a phase; `None` if the scenario or the engine does not have it.
    pub fn phase_ns(&self, phase: Phase) -> Option<u64> {
        match phase {
            Phase::Pull => self.pull_ns,
            Phase::Unpack => self.unpack_ns,
            Phase::Create => self.create_ns,
            Phase::Start => self.start_ns,
        }
    }
}

impl Overhead {
    /// The floor image's median of a phase; `None` where it was not measured.
    pub fn phase_ns(&self, phase: Phase) -> Option<f64> {
        match phase {
            Phase::Pull => self.pull_ns_median,
            Phase::Unpack => self.unpack_ns_median,
            Phase::Create => self.create_ns_median,
            Phase::Start => self.start_ns_median,
        }
    }

    /// Time that the floor's image takes before its program starts: every phase except the start,
    /// in nanoseconds. `None` unless all of them were measured.
    pub fn before_start_ns(&self) -> Option<Vec<(Phase, f64)>> {
        let before = Phase::all().iter().filter(|&&phase| phase != Phase::Start);
        before.map(|&phase| Some((phase, self.phase_ns(phase)?))).collect()
    }
}

impl Run {
    /// See [`name_of`].
    pub fn name(&self) -> String {
        name_of(self.scenario, &self.link, self.page_cache, self.burst)
    }

    /// The totals of the samples without error, in nanoseconds, in the order they were taken.
    pub fn totals_ns(&self) -> Vec<f64> {
        let mut done: Vec<_> = self
            .samples
            .iter()
            .filter_map(|s| s.total_ns.filter(|_| s.counts()).map(|t| (s.order, t)))
            .collect();
        done.sort_unstable();
        done.into_iter().map(|(_, total)| total as f64).collect()
    }

    /// One phase of the samples without error, in nanoseconds.
    pub fn phase_ns(&self, phase: Phase) -> Vec<f64> {
        self.times_ns(|sample| sample.phase_ns(phase))
    }

    /// Every phase with its median over the samples without error, in nanoseconds; `None` for a
    /// phase that the scenario or the engine does not have.
    pub fn phase_medians_ns(&self) -> Vec<(Phase, Option<f64>)> {
        Phase::all().iter().map(|&phase| (phase, stats::median(&self.phase_ns(phase)))).collect()
    }

    /// Any time of the samples without error, in nanoseconds.
    pub fn times_ns(&self, time_ns: impl Fn(&Sample) -> Option<u64>) -> Vec<f64> {
        self.samples
            .iter()
            .filter(|s| s.counts())
            .filter_map(|s| time_ns(s).map(|ns| ns as f64))
            .collect()
    }

    /// The same totals, grouped by burst. Without bursts each group has one.
    pub fn rounds_ns(&self) -> Vec<Vec<f64>> {
        let of = |round: &[Sample]| -> Vec<f64> {
            round
                .iter()
                .filter(|s| s.counts())
                .filter_map(|s| s.total_ns)
                .map(|ns| ns as f64)
                .collect()
        };
        self.samples.chunks(self.burst.max(1)).map(of).filter(|round| !round.is_empty()).collect()
    }

    /// Independent values among the totals, in nanoseconds: the median of each round.
    pub fn independent_ns(&self) -> Vec<f64> {
        self.rounds_ns().iter().filter_map(|round| stats::median(round)).collect()
    }

    /// Number of samples that are kept and not counted, for a reason of the platform.
    pub fn aside(&self) -> usize {
        self.samples.iter().filter(|sample| sample.aside().is_some()).count()
    }

    /// Why the run is not reliable; `None` if there is no sign of that.
    pub fn noise(&self) -> Option<String> {
        let why = stats::noise(&self.independent_ns())?;
        Some(if self.burst > 1 { format!("burst by burst: {why}") } else { why })
    }

    /// Recomputes summary and outlier marks from the samples.
    pub fn summarise(&mut self) {
        let good: Vec<usize> = (0..self.samples.len())
            .filter(|&i| self.samples[i].counts() && self.samples[i].total_ns.is_some())
            .collect();
        let totals: Vec<f64> =
            good.iter().filter_map(|&i| self.samples[i].total_ns).map(|ns| ns as f64).collect();
        for (&i, outlier) in good.iter().zip(stats::outliers(&totals)) {
            self.samples[i].outlier = outlier;
        }
        self.summary = Summary::of_rounds(&self.rounds_ns());
        if let Some(platform) = &mut self.on_platform {
            platform.count(&self.samples);
        }
    }
}

/// Why results could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be written.
    #[error("cannot write `{path}`: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
    /// It cannot be read.
    #[error("cannot read `{path}`: {source}; results are written by a run of the bench")]
    Read {
        /// The file.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
    /// It does not have results of this schema.
    #[error("`{path}` has no results of schema {SCHEMA}: {reason}")]
    Schema {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Results {
    /// The tool's own share of a start: a listener is noticed at most one turn of the connect loop
    /// late, on average half a turn. `None` if the loop was not calibrated or nothing was started.
    pub fn own_share(&self) -> Option<OwnShare<'_>> {
        let step_ns = self.overhead.connect_step_ns_median?;
        let runs = self.variants.iter().flat_map(|v| v.runs.iter().map(move |r| (v, r)));
        // Provisioned instances listen already, and those of a burst are not watched by a loop with
        // a core of its own.
        let alone = runs.filter(|(_, r)| r.burst == 1 && r.scenario != Scenario::Provisioned);
        let starts =
            alone.filter_map(|(v, r)| Some((v, stats::median(&r.phase_ns(Phase::Start))?)));
        let (variant, start_ns) = starts.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
        Some(OwnShare { step_ns, start_ns, variant: &variant.name, share: step_ns / start_ns })
    }

    /// Writes the results to `path`, completely or not at all.
    ///
    /// # Errors
    /// [`Error::Write`]; the previous file is then untouched.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|e| Error::Write { path: path.into(), source: e.into() })?;
        text.push('\n');
        write(path, text.as_bytes())
    }

    /// Writes the results into `folder` under their day, engine and machine; returns the path. A
    /// record is never replaced: another run of the same day gets a number, and the same run gets
    /// its old path.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn keep(&self, folder: &Path, name: Option<&str>) -> Result<PathBuf, Error> {
        let day = self.host.date.get(..10).unwrap_or("undated");
        let name = name.map_or_else(String::new, |name| format!("-{name}"));
        let stem = format!("coldstart-{day}{name}-{}-{}-cores", self.engine, self.host.cores);
        let text = serde_json::to_vec(self)
            .map_err(|e| Error::Write { path: folder.into(), source: e.into() })?;
        let mut path = folder.join(format!("{stem}.json"));
        let mut number = 2;
        // Not looked for first: another run may keep its own at the same time.
        loop {
            match stage::write_new_file(&path, &text) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(Error::Write { path, source }),
            }
            if fs::read(&path).is_ok_and(|kept| kept == text) {
                return Ok(path);
            }
            path = folder.join(format!("{stem}-{number}.json"));
            number += 1;
        }
    }

    /// Reads results that [`Results::save`] has written.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Schema`].
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text =
            fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })?;
        let schema = |reason: String| Error::Schema { path: path.into(), reason };
        let results: Self = serde_json::from_str(&text).map_err(|e| schema(e.to_string()))?;
        match results.schema {
            SCHEMA => Ok(results),
            other => Err(schema(format!("its schema is `{other}`"))),
        }
    }
}

/// Writes a file completely or not at all; the error names the file.
///
/// # Errors
/// [`Error::Write`]; the previous file then still exists.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    stage::write_file(path, bytes).map_err(|source| Error::Write { path: path.into(), source })
}
