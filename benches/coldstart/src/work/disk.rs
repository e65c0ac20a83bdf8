//! Page cache and placement of files, on Linux: posix_fadvise(2), preadv2(2), chattr(1).

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use rustix::fs::IFlags;
use rustix::io::ReadWriteFlags;
use std::fs::File;
use std::io;
use std::path::Path;

/// File systems without a disk: tmpfs and ramfs (linux/magic.h).
pub(super) const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// Whether no part of a small evicted file is in memory.
pub(super) fn has_left_memory(file: &File) -> io::Result<bool> {
    let kind = rustix::fs::fstatfs(file)?.f_type as u64;
    // A read with RWF_NOWAIT fails if the file has to be read from a disk. Not every file system
    // supports it.
    let mut byte = [0];
    let read =
        rustix::io::preadv2(file, &mut [io::IoSliceMut::new(&mut byte)], 0, ReadWriteFlags::NOWAIT);
    Ok(!IN_MEMORY.contains(&kind) && !matches!(read, Ok(1..)))
}

/// Drops a written-back file from the page cache.
pub(super) fn drop_pages(file: &File) -> io::Result<()> {
    Ok(posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?)
}

/// Asks the file system to put each folder made in `path` far from its siblings (chattr(1), `T`).
/// When ext4 without a journal creates an inode, it skips inodes that were freed within the last
/// minutes, one at a time. A rootfs that is unpacked near one that was just removed then takes
/// several times as long. The bench causes that, and it is not part of a cold start. File systems
/// without this flag return an error; they have no such search either.
pub(super) fn spread(path: &Path) -> io::Result<()> {
    let folder = File::open(path)?;
    let flags = rustix::fs::ioctl_getflags(&folder)?;
    Ok(rustix::fs::ioctl_setflags(&folder, flags | IFlags::TOPDIR)?)
}
