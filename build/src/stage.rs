//! Files and folders that appear whole or not at all: written under a temporary name beside their place, then renamed. It
//! knows nothing of images. rename(2) replaces a file in one step; a folder that is replaced is moved aside first.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file or folder under a temporary name, removed when dropped before [`keep`](Staging::keep).
pub struct Staging {
    path: PathBuf,
    kept: bool,
}

impl Staging {
    /// A new empty folder beside `target`, whose own parents are made if need be.
    ///
    /// # Errors
    /// The system's word when folders cannot be made.
    pub fn folder(target: &Path) -> io::Result<Staging> {
        Staging::unused(target, |path| fs::create_dir(path))
    }

    /// A new empty file beside `target`, whose own parents are made if need be.
    ///
    /// # Errors
    /// The system's word when it cannot be made.
    pub fn file(target: &Path) -> io::Result<Staging> {
        Staging::unused(target, |path| fs::File::create_new(path).map(drop))
    }

    /// The temporary path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the content at `target`, replacing what is there.
    ///
    /// # Errors
    /// The system's word; then what was at `target` is still there.
    pub fn keep(mut self, target: &Path) -> io::Result<()> {
        let replaced_folder = self.path.is_dir() && fs::symlink_metadata(target).is_ok_and(|m| m.is_dir());
        if replaced_folder {
            // A folder that is not empty cannot be renamed over: move the old one aside, and back should the new one fail to follow.
            let aside = self.path.with_extension("old");
            fs::rename(target, &aside)?;
            if let Err(error) = fs::rename(&self.path, target) {
                fs::rename(&aside, target)?;
                return Err(error);
            }
            self.kept = true;
            return fs::remove_dir_all(&aside);
        }
        fs::rename(&self.path, target)?;
        self.kept = true;
        Ok(())
    }

    fn unused(target: &Path, make: impl Fn(&Path) -> io::Result<()>) -> io::Result<Staging> {
        let name =
            target.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent)?;
        for attempt in 0..1000 {
            let path = parent.join(format!(".{}.{}-{attempt}.tmp", name.to_string_lossy(), std::process::id()));
            match make(&path) {
                Ok(()) => return Ok(Staging { path, kept: false }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a thousand temporary names are taken; remove old `.tmp` entries",
        ))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.kept {
            // The error that brought us here is the one to report.
            let _ = if self.path.is_dir() { fs::remove_dir_all(&self.path) } else { fs::remove_file(&self.path) };
        }
    }
}

/// Writes `bytes` as the file `target`, whole or not at all.
///
/// # Errors
/// The system's word; then what was at `target` is still there.
pub fn write_file(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let staging = Staging::file(target)?;
    fs::write(staging.path(), bytes)?;
    staging.keep(target)
}
