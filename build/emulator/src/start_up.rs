//! What a cold start consists of, in the platform's words. It starts nothing. Platform page "Log
//! structure", Init Report.

use std::time::Duration;

/// What starting an instance took: a cold start's parts in the platform's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartUp {
    /// The image's bytes put into place: PullCode.
    pub pull: Duration,
    /// From the decision to the program: InitRuntime.
    pub runtime: Duration,
    /// From the program's start to its listening: InitFunction.
    pub function: Duration,
}

impl StartUp {
    /// The whole of it.
    pub fn total(&self) -> Duration {
        self.pull + self.runtime + self.function
    }
}

/// A duration as people read it here, in milliseconds.
pub fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}
