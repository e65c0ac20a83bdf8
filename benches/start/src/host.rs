//! The machine a run was taken on, as far as it matters to the numbers, and how busy it was. What
//! cannot be found out is `unknown`, never guessed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use serde::Serialize;

const UNKNOWN: &str = "unknown";

/// The machine (docs/CONTRACTS.md, section 5, has the same fields), and the state of its cores.
#[derive(Debug, Serialize)]
pub struct Host {
    pub kernel: String,
    pub cpu_model: String,
    pub cores: usize,
    pub memory_bytes: u64,
    pub os: String,
    pub rustc: String,
    pub git_describe: String,
    pub date: String,
    /// How much the disk under the project reads for a page that is asked for, in KiB: 128 by the
    /// kernel's default. What is larger than a program reads all of it at its first fault.
    pub read_ahead_kib: Option<u64>,
    /// /proc/loadavg before the run; other work on the machine shows here.
    pub load_before: String,
    /// And after it.
    pub load_after: String,
}

impl Host {
    /// Describes this machine, now.
    pub fn describe() -> Self {
        Self {
            kernel: read("/proc/sys/kernel/osrelease"),
            cpu_model: field("/proc/cpuinfo", "model name").unwrap_or_else(|| UNKNOWN.into()),
            cores: cores(),
            memory_bytes: memory_bytes().unwrap_or(0),
            os: os_name().unwrap_or_else(|| UNKNOWN.into()),
            rustc: ask("rustc", &["--version"]),
            git_describe: ask("git", &["describe", "--always", "--dirty", "--tags"]),
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            read_ahead_kib: read_ahead_kib(Path::new(".")),
            load_before: read("/proc/loadavg"),
            load_after: String::new(),
        }
    }

    /// Notes how busy the machine was at the end.
    pub fn finish(&mut self) {
        self.load_after = read("/proc/loadavg");
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

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| UNKNOWN.into(), |text| text.trim().to_owned())
}

/// The value of a file's first line `name : value`.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.find_map(|(key, value)| (key.trim() == name).then(|| value.trim().to_owned()))
}

/// All of them, also where this process is kept to one.
fn cores() -> usize {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines().filter(|line| line.starts_with("processor")).count()
}

/// `24684092 kB`, where kB means KiB (proc(5)).
fn memory_bytes() -> Option<u64> {
    field("/proc/meminfo", "MemTotal")?.split(' ').next()?.parse::<u64>().ok()?.checked_mul(1024)
}

fn os_name() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    text.lines()
        .find_map(|line| Some(line.strip_prefix("PRETTY_NAME=")?.trim_matches('"').to_owned()))
}

fn ask(program: &str, arguments: &[&str]) -> String {
    let output =
        Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let text = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    text.map_or_else(|| UNKNOWN.into(), |text| String::from_utf8_lossy(&text).trim().to_owned())
}
