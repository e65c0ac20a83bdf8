//! End and memory of a process, on Linux. pidfd_open(2), proc(5).

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs;
use std::os::fd::OwnedFd;

/// A descriptor that becomes readable when the process has ended.
pub(super) fn end_of(process: Pid) -> Result<OwnedFd, Errno> {
    pidfd_open(process, PidfdFlags::empty())
}

/// Resident memory of a process, in bytes; 0 when it has ended.
pub(super) fn resident_bytes(pid: u32) -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * PAGE_BYTES
}
