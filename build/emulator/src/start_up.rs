//! Parts of a cold start, with the platform's names. Platform page "Log structure", Init Report.

use std::time::Duration;

/// Times of an instance's start: the parts of a cold start with the platform's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartUp {
    /// Providing the image's files: PullCode.
    pub pull: Duration,
    /// From the decision to start until the program runs: InitRuntime.
    pub runtime: Duration,
    /// From the program's start until it listens: InitFunction.
    pub function: Duration,
}

impl StartUp {
    /// The sum of the parts.
    pub fn total(&self) -> Duration {
        self.pull + self.runtime + self.function
    }
}

/// A duration in milliseconds, as text.
pub fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}
