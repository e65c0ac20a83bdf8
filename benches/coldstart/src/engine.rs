//! Engine: takes one sample of one case. The runner uses only this interface, so that it can be
//! tested with a mock that neither sleeps nor starts anything.

#[cfg(target_os = "linux")]
pub mod containerd;
#[cfg(target_os = "linux")]
mod distribution;
#[cfg(target_os = "linux")]
pub mod docker;
#[cfg(target_os = "linux")]
pub mod embedded;
#[cfg(target_os = "linux")]
mod enclosure;
#[cfg(target_os = "linux")]
pub mod node;
#[cfg(target_os = "linux")]
mod schedule;
#[cfg(target_os = "linux")]
mod seal;

use crate::link::Link;
use crate::results::{EngineKind, PageCache, Sample, Scenario, name_of};
use microimage::image::Image;

/// An image under test.
#[derive(Debug, Clone)]
pub struct Target {
    /// Short and unique within a run.
    pub name: String,
    /// The image.
    pub image: Image,
    /// The port on which it listens.
    pub port: u16,
}

/// Conditions of a measurement; `variant` is an index into the run's targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// An index into the run's targets.
    pub variant: usize,
    /// The modelled network.
    pub link: Link,
    /// What is already present when the sample begins.
    pub scenario: Scenario,
    /// Which files are in memory.
    pub page_cache: PageCache,
    /// Instances started at once.
    pub burst: usize,
}

impl Case {
    /// The case as text, with the variant's name: `echo, cold, loopback`. Without the burst.
    pub fn name(&self, variant: &str) -> String {
        format!("{variant}, {}", name_of(self.scenario, self.link.name(), self.page_cache, 1))
    }
}

/// Result of one turn of a case: as many samples as its burst has instances.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TurnSamples {
    /// The samples. The runner fills in `order` and `outlier`; `intended_start_ns` is
    /// CLOCK_MONOTONIC.
    pub samples: Vec<Sample>,
    /// Requests at the registry, for one sample; for all of a burst if its instances share one pull
    /// (docker).
    pub requests: u64,
    /// Bytes of bodies that left the registry, counted as `requests` are.
    pub bytes: u64,
    /// Size of the layers' tars, if this turn has read them.
    pub uncompressed_bytes: Option<u64>,
}

/// One cold start of the floor image, over loopback.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// `None` if the engine has the image already.
    pub pull_ns: Option<u64>,
    /// Time to unpack; `None` where the engine has the image already.
    pub unpack_ns: Option<u64>,
    /// Time to create the instance; `None` where the engine has the image already.
    pub create_ns: Option<u64>,
    /// From exec to the last byte of the reply.
    pub start_ns: u64,
    /// Time of one refused connect, if any was refused.
    pub connect_step_ns: Option<f64>,
}

/// Why the engine cannot work: no sample can be taken at all.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The sandbox cannot work here.
    #[error("{0}; `--engine docker` needs no namespaces of ours")]
    Sandbox(#[from] microimage::sandbox::Error),
    /// A system call or a file failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The underlying error.
        source: std::io::Error,
    },
    /// The user ended the run.
    #[error("interrupted")]
    Interrupted,
    /// Another reason, as text.
    #[error("{0}")]
    Other(String),
}

/// Takes samples.
pub trait Engine {
    /// Its kind.
    fn kind(&self) -> EngineKind;

    /// Takes one sample of a case (for a burst: its samples). A failure of the measured image is
    /// part of the sample.
    ///
    /// # Errors
    /// [`EngineError`] if nothing could be measured.
    fn take(&mut self, case: &Case) -> Result<TurnSamples, EngineError>;

    /// Starts the floor image once; `None` if there is none.
    ///
    /// # Errors
    /// [`EngineError`] if nothing could be measured.
    fn calibrate(&mut self) -> Result<Option<Calibration>, EngineError>;

    /// Notes for the reader that depend on the samples taken so far.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}
