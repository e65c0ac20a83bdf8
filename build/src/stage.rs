//! Staging of files and folders that appear complete or not at all. They are written under a
//! temporary name beside their final place, then renamed. rename(2) replaces a file in one step;
//! renameat2(2) with `RENAME_EXCHANGE` replaces a folder.

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A file or folder under a temporary name. It is removed if it is dropped before
/// [`keep`](Staging::keep).
pub struct Staging {
    path: PathBuf,
    kept: bool,
}

impl Staging {
    /// A new empty folder beside `target`; missing parents are created.
    ///
    /// # Errors
    /// The underlying I/O error if a folder cannot be created.
    pub fn folder(target: &Path) -> io::Result<Staging> {
        Staging::unused(target, |path| fs::create_dir(path))
    }

    /// A new empty folder beside `target` that other users cannot enter, because content from
    /// outside may be written into it.
    ///
    /// # Errors
    /// The underlying I/O error if a folder cannot be created.
    pub fn private_folder(target: &Path) -> io::Result<Staging> {
        Staging::unused(target, |path| fs::DirBuilder::new().mode(0o700).create(path))
    }

    /// A new empty file beside `target`; missing parents are created.
    ///
    /// # Errors
    /// The underlying I/O error if it cannot be created.
    pub fn file(target: &Path) -> io::Result<Staging> {
        Staging::unused(target, |path| fs::File::create_new(path).map(drop))
    }

    /// The temporary path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves the content to `target`, and replaces what is there.
    ///
    /// # Errors
    /// The underlying I/O error; `target` is then unchanged.
    pub fn keep(mut self, target: &Path) -> io::Result<()> {
        if !self.path.is_dir() {
            fs::rename(&self.path, target)?;
            self.kept = true;
            return Ok(());
        }
        // Another process may put its folder there, or take it away, between two of these steps.
        let mut attempts = 0..100;
        loop {
            let last = attempts.next().is_none();
            match self.keep_folder(target) {
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOENT) if !last => {}
                other => return Ok(other?),
            }
        }
    }

    /// Puts a file at `target`, where nothing is.
    ///
    /// # Errors
    /// The underlying I/O error; [`io::ErrorKind::AlreadyExists`] if there is something.
    pub fn keep_new(mut self, target: &Path) -> io::Result<()> {
        match rustix::fs::renameat_with(CWD, &self.path, CWD, target, RenameFlags::NOREPLACE) {
            // A file system that cannot: the temporary name is removed on drop.
            Err(Errno::INVAL | Errno::NOSYS) => fs::hard_link(&self.path, target),
            other => {
                self.kept = other.is_ok();
                Ok(other?)
            }
        }
    }

    /// One attempt to put a folder at `target`.
    fn keep_folder(&mut self, target: &Path) -> Result<(), Errno> {
        if !fs::symlink_metadata(target).is_ok_and(|m| m.is_dir()) {
            rustix::fs::renameat(CWD, &self.path, CWD, target)?;
            self.kept = true;
            return Ok(());
        }
        match rustix::fs::renameat_with(CWD, &self.path, CWD, target, RenameFlags::EXCHANGE) {
            // `target` existed at every moment; the old one now has the temporary name, and is
            // removed on drop.
            Err(Errno::INVAL | Errno::NOSYS) => {} // the file system cannot exchange
            other => return other,
        }
        // A rename cannot replace a folder that is not empty: move the old one aside, and back if
        // the new one cannot be moved.
        let aside = self.path.with_extension("old");
        rustix::fs::renameat(CWD, target, CWD, &aside)?;
        if let Err(error) = rustix::fs::renameat(CWD, &self.path, CWD, target) {
            match rustix::fs::renameat(CWD, &aside, CWD, target) {
                // Another process has taken the place: the old one is replaced all the same.
                Err(Errno::EXIST | Errno::NOTEMPTY) => {
                    let _ = remove_tree(CWD, aside.as_os_str());
                }
                back => back?,
            }
            return Err(error);
        }
        self.path = aside;
        Ok(())
    }

    fn unused(target: &Path, make: impl Fn(&Path) -> io::Result<()>) -> io::Result<Staging> {
        let name = target
            .file_name()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent)?;
        for attempt in 0..1000 {
            let path = parent.join(format!(
                ".{}.{}-{attempt}.tmp",
                name.to_string_lossy(),
                std::process::id()
            ));
            match make(&path) {
                Ok(()) => return Ok(Staging { path, kept: false }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a thousand temporary names are in use; remove old `.tmp` entries",
        ))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.kept {
            // Report the error that caused the drop, not an error of the removal.
            let _ = remove_tree(CWD, self.path.as_os_str());
        }
    }
}

/// Removes `name` and everything below it, without following links. A hostile layer can make a tree
/// of any depth, so folders are moved up into `name` before they are emptied: three descriptors
/// suffice for any depth. (`fs::remove_dir_all` needs one per level.)
pub(crate) fn remove_tree(parent: impl AsFd, name: &OsStr) -> Result<(), Errno> {
    match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        other => return other,
    }
    let base = open_folder(&parent, name)?;
    let mut waiting = Vec::new();
    for child in names(&base)? {
        if !unlinked(&base, &child)? {
            waiting.push(child);
        }
    }
    let mut number = 0_u64;
    while let Some(name) = waiting.pop() {
        let folder = open_folder(&base, &name)?;
        for child in names(&folder)? {
            if !unlinked(&folder, &child)? {
                waiting.push(move_up(&folder, &child, &base, &mut number)?);
            }
        }
        rustix::fs::unlinkat(&base, &name, AtFlags::REMOVEDIR)?;
    }
    rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR)
}

/// Opens a folder for reading, even if its owner is not root and has no permission yet.
fn open_folder(parent: impl AsFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(&parent, name, flags, Mode::empty());
    let owner = Mode::from_raw_mode(0o700);
    match opened {
        Err(Errno::ACCESS) => {
            rustix::fs::chmodat(&parent, name, owner, AtFlags::empty())?;
            rustix::fs::openat(&parent, name, flags, Mode::empty())
        }
        Ok(folder) if !rustix::process::geteuid().is_root() => {
            rustix::fs::fchmod(&folder, owner)?;
            Ok(folder)
        }
        other => other,
    }
}

/// Removes a file or an empty folder; `false` if the folder must be emptied first.
fn unlinked(folder: &OwnedFd, name: &OsStr) -> Result<bool, Errno> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) => return Ok(true),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error),
    }
    match rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR) {
        Ok(()) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Moves the folder `name` into `base`, under an unused name.
fn move_up(
    folder: &OwnedFd,
    name: &OsStr,
    base: &OwnedFd,
    number: &mut u64,
) -> Result<OsString, Errno> {
    if !rustix::process::geteuid().is_root() {
        drop(open_folder(folder, name)?); // moving a folder writes its `..`
    }
    loop {
        *number += 1;
        let free = OsString::from(format!(".{number}"));
        match rustix::fs::renameat_with(folder, name, base, &free, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(free),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The names in a folder, without `.` and `..`.
pub(crate) fn names(folder: impl AsFd) -> Result<Vec<OsString>, Errno> {
    let readable = rustix::fs::openat(
        folder,
        ".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::new(readable)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Writes `bytes` as the file `target`, completely or not at all.
///
/// # Errors
/// The underlying I/O error; `target` is then unchanged.
pub fn write_file(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let staging = Staging::file(target)?;
    fs::write(staging.path(), bytes)?;
    staging.keep(target)
}

/// Writes `bytes` as the new file `target`, whole or not at all.
///
/// # Errors
/// The underlying I/O error; [`io::ErrorKind::AlreadyExists`] if there is something at `target`.
pub fn write_new_file(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let staging = Staging::file(target)?;
    fs::write(staging.path(), bytes)?;
    staging.keep_new(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const TOGETHER: usize = 2;

    /// Regression: two builds that began together, where no image was before: each saw no folder,
    /// and the second one's rename failed with "Directory not empty".
    #[test]
    fn folders_that_are_kept_together_all_arrive() {
        let home = tempfile::tempdir().unwrap();
        for round in 0..300 {
            let target = home.path().join(round.to_string());
            let ready = AtomicUsize::new(0);
            let keep = || {
                let staging = Staging::folder(&target).unwrap();
                fs::write(staging.path().join("whole"), "x").unwrap();
                ready.fetch_add(1, Ordering::SeqCst);
                while ready.load(Ordering::SeqCst) < TOGETHER {
                    std::hint::spin_loop();
                }
                staging.keep(&target)
            };
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..TOGETHER).map(|_| scope.spawn(keep)).collect();
                threads.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
            });
            assert!(target.join("whole").is_file(), "round {round}");
        }
        let left = names(rustix::fs::open(home.path(), OFlags::RDONLY, Mode::empty()).unwrap());
        assert!(left.unwrap().iter().all(|name| !name.as_bytes().starts_with(b".")));
    }

    #[test]
    fn a_new_file_replaces_nothing() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("file");
        write_new_file(&target, b"first").unwrap();
        let refused = write_new_file(&target, b"second").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&target).unwrap(), b"first");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing else stays");
    }
}
