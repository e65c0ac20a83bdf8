//! Data of a sample on a cloud's own platform besides its phases: the platform's numbers, the
//! request's id, and why a sample does not count. Types only.

use super::Sample;
use serde::{Deserialize, Serialize};

/// How a new instance was forced (`--cold-by`). The three ways differ: only the last one has bytes
/// to pull that no node can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ColdBy {
    /// A version was published; image and settings are as they were.
    #[default]
    NewVersion,
    /// An environment variable was changed, then a version published.
    NewConfig,
    /// The image was pushed with one layer more, of a nonce, and the function set to it.
    NewLayer,
}

impl ColdBy {
    /// The name in flags and results.
    pub fn name(self) -> &'static str {
        match self {
            Self::NewVersion => "new-version",
            Self::NewConfig => "new-config",
            Self::NewLayer => "new-layer",
        }
    }
}

/// Why a sample is kept and not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aside {
    /// A cold start was expected, and the platform's log has none under this request.
    WarmInstead,
    /// A provisioned instance was expected, and the log has a cold start under this request.
    ColdInstead,
    /// No complete log of this request was found in time: nothing is known.
    LogsMissing,
    /// The log has two different cold starts under this request.
    LogsConflict,
    /// The platform refused the request because too many ran at once (429, 432).
    Throttled,
}

impl Aside {
    /// All reasons.
    pub const ALL: [Self; 5] = [
        Self::WarmInstead,
        Self::ColdInstead,
        Self::LogsMissing,
        Self::LogsConflict,
        Self::Throttled,
    ];

    /// The name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::WarmInstead => "warm_instead",
            Self::ColdInstead => "cold_instead",
            Self::LogsMissing => "logs_missing",
            Self::LogsConflict => "logs_conflict",
            Self::Throttled => "throttled",
        }
    }
}

/// Where the platform's line was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadFrom {
    /// The last 4 KB of log that the reply carried.
    Tail,
    /// The log service.
    Cls,
    /// A file that was imported.
    File,
}

/// One sample's numbers of the platform; `None` if the platform does not report the number.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlatformTimes {
    /// The platform's id of the request, or of the instance if it has only that.
    pub request_id: String,
    /// When the request was sent, by this machine's clock, UTC, RFC 3339; `None` when imported
    /// from a file without it.
    pub at: Option<String>,
    /// The platform's own sum of the start (SCF `Coldstart`, Lambda `Init Duration`, FC the time of
    /// `CreateSuccess`). Never comparable with a `total_ns`.
    pub platform_ns: Option<u64>,
    /// Duration of the handler, as the platform reports it.
    pub handler_ns: Option<u64>,
    /// `total_ns` less `platform_ns`, `handler_ns` and `warm_round_trip_ns`: scheduling and
    /// gateway, which no log shows. It may be negative, because the platform rounds to whole
    /// milliseconds.
    pub residual_ns: Option<i64>,
    /// A request to a warm instance on the same connection just before, less its handler's time.
    pub warm_round_trip_ns: Option<u64>,
    /// Whether the line has no time for a pull: the image was cached, or there was nothing to pull.
    pub cached: Option<bool>,
    /// The source of the line.
    pub read_from: Option<ReadFrom>,
    /// Why the sample is not counted; `None` if it is counted.
    pub aside: Option<Aside>,
}

/// Values that the samples of a run on a platform have in common.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlatformRun {
    /// The region; `None` when imported.
    pub region: Option<String>,
    /// The function's memory setting, in MiB.
    pub memory_mib: Option<u64>,
    /// How new instances were forced; `None` for provisioned ones and for imports.
    pub cold_by: Option<ColdBy>,
    /// Samples that were expected to be cold and were not.
    pub warm_instead: u64,
    /// Samples that were expected to meet a provisioned instance and did not.
    pub cold_instead: u64,
    /// Samples of which no complete log was found in time.
    pub logs_missing: u64,
    /// Samples with two different cold starts in the log.
    pub logs_conflict: u64,
    /// Requests that the platform refused because too many ran at once.
    pub throttled: u64,
    /// Identical lines that the log had more than once; each was counted once.
    pub lines_twice: u64,
    /// Starts of provisioned instances, as the platform's lines report them.
    #[serde(default)]
    pub ahead_ns: Vec<u64>,
}

impl PlatformRun {
    /// Recounts the samples that are aside.
    pub fn count(&mut self, samples: &[Sample]) {
        let of = |aside: Aside| samples.iter().filter(|s| s.aside() == Some(aside)).count() as u64;
        self.warm_instead = of(Aside::WarmInstead);
        self.cold_instead = of(Aside::ColdInstead);
        self.logs_missing = of(Aside::LogsMissing);
        self.logs_conflict = of(Aside::LogsConflict);
        self.throttled = of(Aside::Throttled);
    }
}

impl Sample {
    /// Why the sample is kept and not counted.
    pub fn aside(&self) -> Option<Aside> {
        self.on_platform.as_ref()?.aside
    }

    /// Whether it counts in medians and intervals: it has not failed, and the log confirms its
    /// kind.
    pub fn counts(&self) -> bool {
        self.error.is_none() && self.aside().is_none()
    }
}
