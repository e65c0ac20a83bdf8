//! What an engine is: something that can take one sample of one case. The runner knows no more than
//! this, so that it is tested with a mock that neither sleeps nor starts anything.

pub mod containerd;
mod distribution;
pub mod docker;
pub mod embedded;
mod enclosure;
pub mod node;
mod schedule;
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
    /// The port it listens on.
    pub port: u16,
}

/// One set of circumstances; `variant` is an index into the run's targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// An index into the run's targets.
    pub variant: usize,
    /// The modelled network.
    pub link: Link,
    /// What is here when the sample begins.
    pub scenario: Scenario,
    /// What of the files is in memory.
    pub page_cache: PageCache,
    /// Instances started at once.
    pub burst: usize,
}

impl Case {
    /// For a person, of the variant called so: `echo, cold, loopback`. Without the burst.
    pub fn name(&self, variant: &str) -> String {
        format!("{variant}, {}", name_of(self.scenario, self.link.name(), self.page_cache, 1))
    }
}

/// What one turn of a case gave: as many samples as its burst has instances.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TurnSamples {
    /// `order` and `outlier` are the runner's to fill in; `intended_start_ns` is CLOCK_MONOTONIC.
    pub samples: Vec<Sample>,
    /// Requests and bytes at the registry, for one sample; for all of a burst whose instances share
    /// one pull (docker).
    pub requests: u64,
    /// Bytes of bodies that left the registry, counted as `requests` are.
    pub bytes: u64,
    /// Size of the layers' tars, where this turn has seen it.
    pub uncompressed_bytes: Option<u64>,
}

/// One cold start of the floor image, over loopback.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// `None` where the engine has the image already; so the next two.
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

/// The engine itself cannot work: no sample can be taken at all.
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
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

/// Takes samples.
pub trait Engine {
    /// Which one this is.
    fn kind(&self) -> EngineKind;

    /// Takes one sample (a burst: its samples) of a case. A failure of the measured thing is part
    /// of the sample.
    ///
    /// # Errors
    /// [`EngineError`] when nothing could be measured.
    fn take(&mut self, case: &Case) -> Result<TurnSamples, EngineError>;

    /// Starts the floor image once; `None` when there is none.
    ///
    /// # Errors
    /// [`EngineError`] when nothing could be measured.
    fn calibrate(&mut self) -> Result<Option<Calibration>, EngineError>;

    /// What a reader must know and only the samples so far have shown.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}
