//! Machine of a run: its description, its disk's read-ahead, and its load before and after.

use bench_kit::host::{self, Host};
use serde::Serialize;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The machine, and its state around the run.
#[derive(Debug, Serialize)]
pub struct HostState {
    /// Its description.
    #[serde(flatten)]
    pub machine: Host,
    /// Read-ahead of the disk under the project, in KiB: 128 by the kernel's default. If it is
    /// larger than a program, the first fault reads the whole program.
    pub read_ahead_kib: Option<u64>,
    /// /proc/loadavg before the run; it shows other work on the machine.
    pub load_before: String,
    /// /proc/loadavg after the run.
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

    /// Records the load at the end.
    pub fn finish(&mut self) {
        self.load_after = host::load();
    }

    /// The first number of the load before the run: runnable processes, averaged over a minute.
    pub fn load(&self) -> f64 {
        self.load_before.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0.0)
    }
}

/// Read-ahead of the disk that contains the file (Linux,
/// Documentation/ABI/testing/sysfs-class-bdi).
fn read_ahead_kib(path: &Path) -> Option<u64> {
    let device = fs::metadata(path).ok()?.dev();
    let (major, minor) = (libc::major(device), libc::minor(device));
    fs::read_to_string(format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb"))
        .ok()?
        .trim()
        .parse()
        .ok()
}
