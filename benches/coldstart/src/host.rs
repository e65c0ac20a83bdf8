//! The machine a run was taken on, as far as it matters to the numbers. Reads /proc and asks git
//! and rustc for their versions; what cannot be found out is `unknown`, never guessed.

use std::fs;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use crate::results::Host;

const UNKNOWN: &str = "unknown";

/// Describes this machine, now.
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
