//! Import: reads cold starts from a platform's own log file, in the schema of every other run.
//! Pure: text in, results out. Nothing is invented: what a platform's lines do not have is null,
//! and a note states it. Such a run has no total, because only a client's clock has that.

mod fc;
mod lambda;
mod scf;

use crate::results::{
    EngineKind, Overhead, PageCache, PlatformRun, PlatformTimes, ReadFrom, Results, Run, SCHEMA,
    Sample, Scenario, Variant,
};
use bench_kit::host::Host;
use bench_kit::stats::Summary;

/// Platform of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Platform {
    /// AWS Lambda: `REPORT` lines, or `platform.report` records as JSON
    Lambda,
    /// Alibaba Cloud Function Compute: instance events as JSON
    Fc,
    /// Tencent Cloud SCF: `Init Report` lines, as text or as exported by CLS
    Scf,
}

/// Contents of a file.
#[derive(Debug, Default)]
struct Found {
    /// One sample per start, in the file's order.
    samples: Vec<Sample>,
    /// The memory setting, if all lines that have one agree.
    memory_mib: Option<u64>,
    /// Starts for which no request waited.
    ahead_ns: Vec<u64>,
    /// Notes for the reader, besides those that apply to every file of this platform.
    notes: Vec<String>,
}

/// The log has no start.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log has no {what}{hint}; {next}")]
pub struct NothingFound {
    what: &'static str,
    hint: String,
    next: &'static str,
}

/// Reads the text of a file; `name` becomes the variant's.
///
/// # Errors
/// [`NothingFound`] if the text has no start.
pub fn import(
    platform: Platform,
    name: &str,
    text: &str,
    host: Host,
) -> Result<Results, NothingFound> {
    let found = match platform {
        Platform::Lambda => lambda::read(text)?,
        Platform::Fc => fc::read(text)?,
        Platform::Scf => scf::read(text)?,
    };
    let (engine, left_out) = match platform {
        Platform::Lambda => (EngineKind::Lambda, lambda::LEFT_OUT),
        Platform::Fc => (EngineKind::Fc, fc::LEFT_OUT),
        Platform::Scf => (EngineKind::Scf, scf::LEFT_OUT),
    };
    let mut notes = vec![
        "imported from a log: nothing ran on this machine, and a log has no client's clock, so \
         there is no total, no round trip and no residual"
            .to_owned(),
    ];
    notes.extend(left_out.iter().map(|note| (*note).to_owned()));
    notes.extend(found.notes);
    let mut samples = found.samples;
    for (order, sample) in samples.iter_mut().enumerate() {
        sample.order = order;
        if let Some(of) = &mut sample.on_platform {
            of.read_from = Some(ReadFrom::File);
        }
    }
    let mut run = Run {
        link: "imported".into(),
        scenario: Scenario::Cold,
        page_cache: PageCache::Warm,
        burst: 1,
        requests: 0,
        bytes: 0,
        samples,
        summary: Summary::default(),
        on_platform: Some(PlatformRun {
            memory_mib: found.memory_mib,
            ahead_ns: found.ahead_ns,
            ..PlatformRun::default()
        }),
    };
    run.summarise();
    let variant = Variant {
        name: name.to_owned(),
        reference: name.to_owned(),
        compressed_bytes: None,
        uncompressed_bytes: None,
        layers: 0,
        runs: vec![run],
    };
    Ok(Results {
        schema: SCHEMA,
        engine,
        host: Host {
            kernel: "-".into(),
            cpu_model: "unknown: read from a log".into(),
            cores: 0,
            memory_bytes: 0,
            os: "-".into(),
            ..host
        },
        overhead: Overhead::default(),
        variants: vec![variant],
        guidance: Vec::new(),
        notes,
    })
}

/// A sample of one request or instance, without numbers yet.
fn sample(request_id: &str) -> Sample {
    let of = PlatformTimes { request_id: request_id.to_owned(), ..PlatformTimes::default() };
    Sample { on_platform: Some(of), ..Sample::default() }
}

/// The value that all have in common; `None` if they differ or there is none.
fn the_same(values: impl IntoIterator<Item = u64>) -> Option<u64> {
    let mut values = values.into_iter();
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}
