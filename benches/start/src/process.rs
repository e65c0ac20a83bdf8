//! Values from /proc about a running process: faults, threads, memory, context switches (proc(5)).
//! Reading them does not disturb the process.

use nix::unistd::Pid;
use std::{fs, io};

/// Bytes of a page on x86-64.
pub const PAGE_BYTES: u64 = 4096;

/// The used fields of /proc/PID/stat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `t` …
    pub state: char,
    /// Faults without reading from a disk, of all threads, since the process was created.
    pub minor_faults: u64,
    /// Faults that read from a disk.
    pub major_faults: u64,
    /// Threads of the process.
    pub threads: u64,
}

/// /proc/PID/smaps_rollup, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Resident, all mappings.
    pub rss_bytes: u64,
    /// The part of it in private pages that were written to.
    pub private_dirty_bytes: u64,
}

/// Reads a process's (or a thread's) stat line.
///
/// # Errors
/// If the process no longer exists.
pub fn stat(pid: Pid) -> io::Result<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat"))?).ok_or_else(|| {
        io::Error::other(format!("/proc/{pid}/stat does not have the form of proc(5)"))
    })
}

/// Reads a process's memory.
///
/// # Errors
/// If the process no longer exists.
pub fn memory(pid: Pid) -> io::Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    Ok(Memory {
        rss_bytes: kibibytes(&text, "Rss:"),
        private_dirty_bytes: kibibytes(&text, "Private_Dirty:"),
    })
}

/// Bytes of `program`'s own pages that are mapped into the process: those that it used, rounded up
/// by the kernel's fault-around (16 pages at a time, if they are in the page cache).
///
/// # Errors
/// If the process no longer exists.
pub fn mapped_bytes(pid: Pid, program: &str) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps"))?;
    let mut of_program = false;
    let mut bytes = 0;
    for line in text.lines() {
        match line.split_once(' ') {
            Some((range, _)) if range.contains('-') => of_program = line.ends_with(program),
            Some(("Rss:", rest)) if of_program => bytes += kibibytes(rest, ""),
            _ => {}
        }
    }
    Ok(bytes)
}

/// Number of voluntary context switches of the process's threads: before each of them, an event had
/// woken the thread.
///
/// # Errors
/// If the process no longer exists.
pub fn sleeps(pid: Pid) -> io::Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(task?.path().join("status"))?;
        let count = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        sum += count.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum)
}

/// The state of each thread, as in [`Stat`].
///
/// # Errors
/// If the process no longer exists.
pub fn states(pid: Pid) -> io::Result<Vec<char>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))?;
    tasks
        .map(|task| {
            Ok(parse_stat(&fs::read_to_string(task?.path().join("stat"))?)
                .map_or('?', |stat| stat.state))
        })
        .collect()
}

fn parse_stat(text: &str) -> Option<Stat> {
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let numbers: Vec<u64> = fields.map(|field| field.parse().unwrap_or(0)).collect();
    // Field 4 of proc(5) is the first of `numbers`.
    Some(Stat {
        state,
        minor_faults: *numbers.get(6)?,
        major_faults: *numbers.get(8)?,
        threads: *numbers.get(16)?,
    })
}

/// The number after `key`, converted from the kernel's KiB to bytes.
fn kibibytes(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_a_stat_line_whose_name_contains_a_bracket() {
        let text = "42 (a) b) S 1 42 42 0 -1 4194560 123 0 7 0 1 2 0 0 20 0 3 0 100 4096 25 \
                    18446744073709551615";
        let expected = Stat { state: 'S', minor_faults: 123, major_faults: 7, threads: 3 };
        assert_eq!(parse_stat(text), Some(expected));
    }

    #[test]
    fn reads_its_own_threads_and_memory() {
        let me = Pid::this();
        assert!(stat(me).expect("a stat line").threads >= 1);
        assert!(memory(me).expect("a rollup").rss_bytes > PAGE_BYTES);
        let exe = std::env::current_exe().expect("a path");
        assert!(mapped_bytes(me, &exe.display().to_string()).expect("smaps") > PAGE_BYTES);
    }
}
