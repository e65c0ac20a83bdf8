//! What is asked of a system about a process where it is not Linux: its end. Its memory is not
//! watched. waitid(2).

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::io;
use std::os::fd::OwnedFd;
use std::thread;

/// A descriptor that can be read from once the process, a child of this one, has ended.
pub(super) fn end_of(process: Pid) -> Result<OwnedFd, Errno> {
    let failed = |error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let (reader, writer) = io::pipe().map_err(failed)?;
    let wait = move || {
        // The child is left to be waited for by its owner; whatever comes of it is its end.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(process), options), Err(Errno::INTR)) {}
        drop(writer);
    };
    thread::Builder::new().name("end".into()).spawn(wait).map_err(failed)?;
    Ok(reader.into())
}

/// 0: nobody looks.
pub(super) fn resident_bytes(_pid: u32) -> u64 {
    0
}
