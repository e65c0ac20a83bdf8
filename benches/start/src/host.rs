//! Machine of a run, how its disk reads ahead, and its load before and after.

use bench_kit::host::{self, Host};
use serde::Serialize;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The machine, and its state around the run.
#[derive(Debug, Serialize)]
pub struct HostState {
    /// What it is.
    #[serde(flatten)]
    pub machine: Host,
    /// How much the disk under the project reads for a page that is asked for, in KiB: 128 by the
    /// kernel's default. What is larger than a program reads all of it at its first fault.
    pub read_ahead_kib: Option<u64>,
    /// /proc/loadavg before the run; other work on the machine shows here.
    pub load_before: String,
    /// And after it.
    pub load_after: String,
}

impl HostState {
    /// Describes this machine, now. Call it before the thread is pinned.
    pub fn describe() -> Self {
        Self {
            machine: host::describe(),
            read_ahead_kib: read_ahead_kib(Path::new(".")),
            load_before: host::load(),
            load_after: String::new(),
        }
    }

    /// Notes how busy the machine was at the end.
    pub fn finish(&mut self) {
        self.load_after = host::load();
    }

    /// The first number of the load before the run: runnable processes, averaged over a minute.
    pub fn load(&self) -> f64 {
        self.load_before.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0.0)
    }
}

/// Of the disk that the file lies on (Linux, Documentation/ABI/testing/sysfs-class-bdi).
fn read_ahead_kib(path: &Path) -> Option<u64> {
    let device = fs::metadata(path).ok()?.dev();
    let (major, minor) = (libc::major(device), libc::minor(device));
    fs::read_to_string(format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb"))
        .ok()?
        .trim()
        .parse()
        .ok()
}
