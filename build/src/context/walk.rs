//! Opening a path below a folder part by part, on systems without a single call for it. Each part
//! is opened relative to the folder before it, and links are read and followed here. The result is
//! that of `openat2(RESOLVE_BENEATH)`.

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

/// Flags for a folder on the way.
pub(super) const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);
/// Largest number of links that are followed: Linux's limit (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Opens `path`. Links on the way are followed as long as they stay below `root`.
///
/// # Errors
/// `XDEV` for a path that leads out; otherwise the system's error.
pub(super) fn open(root: &OwnedFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut folders: Vec<OwnedFd> = Vec::new(); // the open folders from the root down
    let mut left = parts(path)?;
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part == ".." {
            folders.pop().ok_or(Errno::XDEV)?;
            continue;
        }
        let at = here(root, &folders);
        let stat = rustix::fs::statat(at, &part, AtFlags::SYMLINK_NOFOLLOW)?;
        let is_followed = !left.is_empty() || !flags.contains(OFlags::NOFOLLOW);
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink && is_followed {
            links += 1;
            if links > MAX_LINKS {
                return Err(Errno::LOOP);
            }
            let target = rustix::fs::readlinkat(at, &part, Vec::new())?;
            left.extend(parts(target.to_str().map_err(|_| Errno::ILSEQ)?)?);
            continue;
        }
        // If this part has become a link since it was read, it is not followed.
        let of_last = if left.is_empty() { flags } else { FOLDER };
        let all = of_last | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(at, &part, all, Mode::empty())?;
        if left.is_empty() {
            return Ok(opened);
        }
        folders.push(opened);
    }
    // The path ends at a folder that is open already, or at the root.
    rustix::fs::openat(here(root, &folders), ".", flags | OFlags::CLOEXEC, Mode::empty())
}

fn here<'a>(root: &'a OwnedFd, folders: &'a [OwnedFd]) -> BorrowedFd<'a> {
    folders.last().unwrap_or(root).as_fd()
}

/// The parts of a relative path, the last one first.
fn parts(path: &str) -> Result<Vec<String>, Errno> {
    if path.starts_with('/') {
        return Err(Errno::XDEV);
    }
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    Ok(parts.rev().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    /// The kernel's openat2 is the oracle.
    #[cfg(target_os = "linux")]
    #[test]
    fn opens_and_refuses_what_openat2_does() {
        let home = tempfile::tempdir().expect("a folder");
        let root = home.path().join("root");
        fs::create_dir_all(root.join("a/b")).expect("folders");
        for (path, text) in [("a/b/f", "f"), ("top", "top"), ("../outside", "outside")] {
            fs::write(root.join(path), text).expect("a file");
        }
        for (path, target) in [
            ("up", ".."),
            ("a/to-top", "../top"),
            ("a/b/up2", "../.."),
            ("a/b/up3", "../../.."),
            ("abs", "/etc"),
            ("loop", "loop"),
            ("nowhere", "nothing"),
            ("link", "a/b"),
            ("l2", "link"),
            ("a/out", "../../outside"),
            ("dot", "."),
        ] {
            symlink(target, root.join(path)).expect("a link");
        }
        let root = rustix::fs::open(&root, FOLDER, Mode::empty()).expect("the root");
        for path in [
            ".",
            "top",
            "a/b/f",
            "a/../top",
            "a/../../outside",
            "../outside",
            "..",
            "up",
            "up/outside",
            "a/to-top",
            "a/b/up2/top",
            "a/b/up2",
            "a/b/up3/outside",
            "abs/passwd",
            "loop",
            "nowhere",
            "link/f",
            "l2/f",
            "l2/../b/f",
            "a/out",
            "dot/dot/top",
            "nothing",
            "top/x",
            "a//b/./f",
            "a/b/",
        ] {
            for flags in [OFlags::RDONLY, OFlags::RDONLY | OFlags::NOFOLLOW, FOLDER] {
                let read = |opened: Result<OwnedFd, Errno>| {
                    opened.map(|fd| {
                        let stat = rustix::fs::fstat(&fd).expect("open");
                        let mut text = String::new();
                        let _ = fs::File::from(fd).read_to_string(&mut text);
                        (stat.st_ino, text)
                    })
                };
                let theirs = read(super::super::beneath::open(&root, path, flags));
                assert_eq!(read(open(&root, path, flags)), theirs, "{path} {flags:?}");
            }
        }
    }
}
