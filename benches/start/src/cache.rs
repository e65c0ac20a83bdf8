//! Page cache of one file: reading the file in, evicting it, and counting the cached pages.
//! Evicting asks the kernel (posix_fadvise(2)) and then checks the result (mincore(2)).

use crate::process::PAGE_BYTES;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

/// Number of tries: for a moment the kernel may keep pages that another core has just used.
const ATTEMPTS: usize = 20;

/// Brings the whole file into the page cache.
///
/// # Errors
/// If it cannot be read, or does not stay in the page cache.
pub fn warm(path: &Path) -> io::Result<()> {
    let bytes = fs::read(path)?.len() as u64;
    match resident_bytes(path)? {
        resident if resident >= bytes => Ok(()),
        resident => Err(io::Error::other(format!(
            "only {resident} of {bytes} bytes stay in the page cache; free memory"
        ))),
    }
}

/// Evicts the whole file from the page cache. It must be written to the disk, and no process may
/// run it.
///
/// # Errors
/// If a part of it stays, as on a file system in memory.
pub fn evict(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    for _ in 0..ATTEMPTS {
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        if resident_bytes(path)? == 0 {
            return Ok(());
        }
    }
    Err(io::Error::other(
        "its pages stay in the page cache; use a file system on a disk, or `--page-cache \
         warm`",
    ))
}

/// Size of the file's part in the page cache, in bytes (whole pages).
///
/// # Errors
/// If the kernel refuses.
pub fn resident_bytes(path: &Path) -> io::Result<u64> {
    let file = File::open(path)?;
    let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let mut pages = vec![0u8; length.div_ceil(PAGE_BYTES as usize)];
    // JUSTIFICATION: there is no safe interface to mincore.
    // SAFETY: a new mapping of `length` bytes is created, passed to mincore, never read, and
    // removed; `pages` has a byte for each of its pages. An empty file fails in mmap.
    let answer = unsafe {
        let mapping = libc::mmap(
            std::ptr::null_mut(),
            length,
            libc::PROT_READ,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        );
        if mapping == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let answer = libc::mincore(mapping, length, pages.as_mut_ptr());
        libc::munmap(mapping, length);
        answer
    };
    match answer {
        0 => Ok(pages.iter().filter(|page| **page & 1 == 1).count() as u64 * PAGE_BYTES),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_cached_after_reading_and_not_after_eviction() {
        let path = std::env::current_exe()
            .expect("a path")
            .with_file_name(format!("cache-test-{}", std::process::id()));
        fs::write(&path, vec![7; 100_000]).expect("write");
        File::open(&path).and_then(|file| file.sync_all()).expect("sync");
        warm(&path).expect("warm");
        assert_eq!(resident_bytes(&path).expect("mincore"), 102_400);
        let evicted = evict(&path);
        let resident = resident_bytes(&path).expect("mincore");
        fs::remove_file(&path).expect("remove");
        match evicted {
            Ok(()) => assert_eq!(resident, 0),
            Err(error) => assert!(resident > 0 && error.to_string().contains("stay"), "{error}"),
        }
    }
}
