//! Opening a path below a folder with one call: Linux's `openat2(RESOLVE_BENEATH)`.

use super::walk;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// Flags for a folder on the way.
pub(super) const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY);

/// Opens `path`. Links on the way are followed as long as they stay below `root`.
///
/// # Errors
/// `XDEV` for a path that leads out; otherwise the system's error.
pub(super) fn open(root: &OwnedFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
        // Linux before 5.6, a container's filter, or an emulator (qemu-user 7.2).
        Err(Errno::NOSYS) => walk::open(root, path, flags),
        opened => opened,
    }
}
