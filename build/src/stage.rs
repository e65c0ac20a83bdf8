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
        let replaced_folder =
            self.path.is_dir() && fs::symlink_metadata(target).is_ok_and(|m| m.is_dir());
        if replaced_folder {
            match rustix::fs::renameat_with(CWD, &self.path, CWD, target, RenameFlags::EXCHANGE) {
                // `target` existed at every moment; the old one now has the temporary name, and is
                // removed on drop.
                Ok(()) => return Ok(()),
                Err(Errno::INVAL | Errno::NOSYS) => {} // the file system cannot exchange
                Err(error) => return Err(error.into()),
            }
            // A rename cannot replace a folder that is not empty: move the old one aside, and back
            // if the new one cannot be moved.
            let aside = self.path.with_extension("old");
            fs::rename(target, &aside)?;
            if let Err(error) = fs::rename(&self.path, target) {
                fs::rename(&aside, target)?;
                return Err(error);
            }
            self.path = aside;
            return Ok(());
        }
        fs::rename(&self.path, target)?;
        self.kept = true;
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
