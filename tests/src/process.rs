//! Values from the kernel about a process. proc(5).

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

/// Resident memory that is no file's, in KiB.
pub fn own_kib(pid: u32) -> u64 {
    status_field(&format!("/proc/{pid}/status"), "RssAnon").expect("the process lives")
}

/// Open descriptors.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("the process lives").count()
}

/// The number that the next descriptor gets: what a limit on descriptors is about.
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

/// How often its threads went to sleep of their own accord since they began: each wake-up ends in
/// one more.
pub fn voluntary_switches(pid: u32) -> u64 {
    fs::read_dir(format!("/proc/{pid}/task"))
        .expect("the process lives")
        .map(|task| {
            let status = task.expect("proc lists tasks").path().join("status");
            status_field(status.to_str().expect("a number"), "voluntary_ctxt_switches").unwrap_or(0)
        })
        .sum()
}

/// The same once what a last request has set in motion is over: twice the same, half a second
/// apart. A server that wakes up by itself now and then passes sooner or later, and is found out
/// afterwards.
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
    panic!("process {pid} never came to rest");
}

/// The processes that `pid` has started and that live.
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
    // The second field is a name in brackets, which may hold anything.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
    fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}
