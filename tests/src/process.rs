//! Values of the kernel about a process. proc(5).

use std::fs;

/// One field of /proc/PID/status in its own unit, for example `VmRSS` in KiB.
fn status_field(path: &str, field: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text
        .lines()
        .find(|line| line.strip_prefix(field).is_some_and(|rest| rest.starts_with(':')))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Resident memory, in KiB.
pub fn rss_kib(pid: u32) -> u64 {
    status_field(&format!("/proc/{pid}/status"), "VmRSS").expect("the process lives")
}

/// Resident anonymous memory, in KiB.
pub fn own_kib(pid: u32) -> u64 {
    status_field(&format!("/proc/{pid}/status"), "RssAnon").expect("the process lives")
}

/// Open descriptors.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("the process lives").count()
}

/// The number of the next descriptor, to which a limit on descriptors applies.
pub fn lowest_free_descriptor(pid: u32) -> u64 {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("the process lives");
    let number = |entry: std::io::Result<fs::DirEntry>| {
        entry.expect("proc lists them").file_name().to_str()?.parse().ok()
    };
    let taken: Vec<u64> = open.filter_map(number).collect();
    (0..).find(|number| !taken.contains(number)).expect("there are more numbers than descriptors")
}

/// Threads.
pub fn threads(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives").count()
}

/// Number of voluntary context switches of its threads since their start: each wake-up ends in one.
pub fn voluntary_switches(pid: u32) -> u64 {
    fs::read_dir(format!("/proc/{pid}/task"))
        .expect("the process lives")
        .map(|task| {
            let status = task.expect("proc lists tasks").path().join("status");
            status_field(status.to_str().expect("a number"), "voluntary_ctxt_switches").unwrap_or(0)
        })
        .sum()
}

/// The same number when the effects of the last request are over: two equal values, half a second
/// apart. A server with rare wake-ups may pass this, and the caller's later check finds it.
pub fn voluntary_switches_at_rest(pid: u32) -> u64 {
    let mut before = voluntary_switches(pid);
    for _ in 0..20 {
        std::thread::sleep(std::time::Duration::from_millis(500));
        let now = voluntary_switches(pid);
        if now == before {
            return now;
        }
        before = now;
    }
    panic!("process {pid} does not come to rest");
}

/// The living child processes of `pid`.
pub fn children(pid: u32) -> Vec<u32> {
    fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .unwrap_or_default()
        .split_ascii_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect()
}

/// User and system time, in clock ticks of 10 ms: fields 14 and 15 of /proc/PID/stat.
pub fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process lives");
    // The second field is a name in brackets, which may contain anything.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
    fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}
