//! End of a process, on systems other than Linux; its memory is not measured. waitid(2).

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::io;
use std::os::fd::OwnedFd;
use std::thread;

/// A descriptor that becomes readable when the process, a child of this one, has ended.
pub(super) fn end_of(process: Pid) -> Result<OwnedFd, Errno> {
    let failed = |error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let (reader, writer) = io::pipe().map_err(failed)?;
    let wait = move || {
        // NOWAIT leaves the child to its owner. An error means that the child is gone.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(process), options), Err(Errno::INTR)) {}
        drop(writer);
    };
    thread::Builder::new().name("end".into()).spawn(wait).map_err(failed)?;
    Ok(reader.into())
}

/// 0, because memory is not measured on these systems.
pub(super) fn resident_bytes(_pid: u32) -> u64 {
    0
}
