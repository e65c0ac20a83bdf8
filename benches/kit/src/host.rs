//! Description of a run's machine, with all that affects the numbers. It reads /proc and asks git
//! and rustc for their versions. A value that cannot be determined is `unknown`.

use serde::{Deserialize, Serialize};
use std::fs;
use std::process::{Command, Stdio};
use std::time::SystemTime;

const UNKNOWN: &str = "unknown";

/// The machine and the tools, with all that affects the numbers (docs/CONTRACTS.md, section 5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// The kernel's release.
    pub kernel: String,
    /// The processor's name.
    pub cpu_model: String,
    /// Cores that this process could use before it pinned itself to one.
    pub cores: usize,
    /// Memory of the machine.
    pub memory_bytes: u64,
    /// The distribution's name and version.
    pub os: String,
    /// The compiler's version.
    pub rustc: String,
    /// The project's version, as git describes it.
    pub git_describe: String,
    /// Time at which the run began, RFC 3339 in UTC.
    pub date: String,
}

/// Describes this machine, now. Call it before the thread is pinned: it counts the cores that the
/// thread may use.
pub fn describe() -> Host {
    Host {
        kernel: read("/proc/sys/kernel/osrelease"),
        cpu_model: field("/proc/cpuinfo", "model name").unwrap_or_else(|| UNKNOWN.into()),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: field("/proc/meminfo", "MemTotal")
            .and_then(|kib| kibibytes(&kib))
            .unwrap_or(0),
        os: os_name(),
        rustc: ask("rustc", &["--version"]),
        git_describe: ask("git", &["describe", "--always", "--dirty", "--tags"]),
        date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
    }
}

/// The load averages, as the kernel prints them.
pub fn load() -> String {
    read("/proc/loadavg")
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| UNKNOWN.into(), |text| text.trim().to_owned())
}

/// The first `name : value` line of a file.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

/// `24684092 kB`, where kB means KiB (proc(5)).
fn kibibytes(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

fn os_name() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| UNKNOWN.into(), |name| name.trim_matches('"').to_owned())
}

fn ask(program: &str, arguments: &[&str]) -> String {
    let output =
        Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let text = output
        .ok()
        .filter(|o| o.status.success())
        .map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| UNKNOWN.into())
}
