//! One layer's entries, applied to a folder. Each path is opened relative to the folder with `openat2(RESOLVE_IN_ROOT)`, so no link
//! is followed out of it. OCI image-spec 1.1, layer.md, "Applying changesets".

use super::{UnpackError, disk};
use crate::entry::{Entry, EntryError, Kind};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps};
use rustix::io::Errno;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A usual file is written by one system call.
const BUFFER_BYTES: usize = 128 * 1024;

/// A destination folder and what this layer has put there.
pub(super) struct Tree {
    root: OwnedFd,
    is_root_user: bool,
    /// Paths that this layer made: an opaque whiteout hides lower layers only, wherever in the layer it stands.
    made: HashSet<PathBuf>,
    /// Folders whose modification time is set last, since filling them changes it.
    folders: Vec<(PathBuf, u64)>,
    /// The folder of the previous entry: entries come sorted, so most share it.
    parent: Option<(PathBuf, Rc<OwnedFd>)>,
    /// What a file's bytes pass through, for all files.
    buffer: Vec<u8>,
    /// Extended attributes that were left out.
    pub ignored_xattrs: u64,
}

impl Tree {
    pub fn open(dest: &Path) -> Result<Tree, UnpackError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(dest, flags, Mode::empty()).map_err(|e| disk(dest, "opened", e.into()))?;
        let is_root_user = rustix::process::geteuid().is_root();
        let (made, folders, buffer) = (HashSet::new(), Vec::new(), vec![0; BUFFER_BYTES]);
        Ok(Tree { root, is_root_user, made, folders, parent: None, buffer, ignored_xattrs: 0 })
    }

    pub fn apply(&mut self, entry: &Entry, bytes: &mut dyn Read) -> Result<(), UnpackError> {
        self.ignored_xattrs += entry.xattrs as u64;
        let (Some(name), Some(folder)) = (entry.path.file_name(), entry.path.parent()) else {
            return self.set_root(entry);
        };
        if let Some(hidden) = name.as_bytes().strip_prefix(b".wh.") {
            return self.white_out(folder, OsStr::from_bytes(hidden), entry);
        }
        let parent = self.folder(folder)?;
        let at = |what| move |e: Errno| disk(&entry.path, what, e.into());
        self.make_room(&parent, name, entry)?;
        match &entry.kind {
            Kind::Directory => {
                match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o700)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(e) => return Err(at("made")(e)),
                }
                self.set_owner(&parent, name, entry)?;
                rustix::fs::chmodat(&parent, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())
                    .map_err(at("given its mode"))?;
                self.folders.push((entry.path.clone(), entry.mtime));
            }
            Kind::File { size_bytes } => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o600)).map_err(at("made"))?;
                let mut file = File::from(file);
                let written = copy(&mut bytes.take(*size_bytes), &mut file, &mut self.buffer)
                    .map_err(|e| disk(&entry.path, "written", e))?;
                if written != *size_bytes {
                    let early =
                        io::Error::new(io::ErrorKind::UnexpectedEof, format!("`{}` ends early", entry.path.display()));
                    return Err(EntryError::Read(early).into());
                }
                self.set_owner(&parent, name, entry)?;
                rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode)).map_err(at("given its mode"))?;
                rustix::fs::futimens(&file, &times(entry.mtime)).map_err(at("given its time"))?;
            }
            Kind::Symlink { target } => {
                rustix::fs::symlinkat(target, &parent, name).map_err(at("linked"))?;
                self.set_owner(&parent, name, entry)?;
                rustix::fs::utimensat(&parent, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(at("given its time"))?;
            }
            Kind::Hardlink { target } => {
                let (Some(old), Some(old_folder)) = (target.file_name(), target.parent()) else {
                    return Err(
                        EntryError::Name { path: entry.path.display().to_string(), why: "a link to the root" }.into()
                    );
                };
                let old_parent = self.resolve(old_folder).map_err(at("linked"))?;
                rustix::fs::linkat(&old_parent, old, &parent, name, AtFlags::empty()).map_err(at("linked"))?;
            }
        }
        self.made.insert(entry.path.clone());
        Ok(())
    }

    /// Removes what stands where `entry` goes, unless both are folders.
    fn make_room(&mut self, parent: &OwnedFd, name: &OsStr, entry: &Entry) -> Result<(), UnpackError> {
        match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(disk(&entry.path, "looked at", e.into())),
            Ok(stat)
                if FileType::from_raw_mode(stat.st_mode) == FileType::Directory && entry.kind == Kind::Directory =>
            {
                Ok(())
            }
            Ok(_) => {
                self.parent = None; // the remembered folder may be the one that goes
                remove_tree(parent, name).map_err(|e| disk(&entry.path, "replaced", e.into()))
            }
        }
    }

    /// The root's own entry.
    fn set_root(&mut self, entry: &Entry) -> Result<(), UnpackError> {
        let at = |e: Errno| disk(Path::new("/"), "given its mode", e.into());
        rustix::fs::chmodat(&self.root, ".", Mode::from_raw_mode(entry.mode | 0o700), AtFlags::empty()).map_err(at)?;
        self.folders.push((PathBuf::new(), entry.mtime));
        Ok(())
    }

    /// `.wh.NAME` removes NAME of the lower layers, `.wh..wh..opq` all of a folder's lower content (layer.md, "Whiteouts").
    fn white_out(&mut self, folder: &Path, hidden: &OsStr, entry: &Entry) -> Result<(), UnpackError> {
        if !matches!(entry.kind, Kind::File { .. }) {
            return Err(EntryError::Name {
                path: entry.path.display().to_string(),
                why: "a whiteout is an empty file",
            }
            .into());
        }
        if hidden.is_empty()
            || hidden == "."
            || hidden == ".."
            || (hidden.as_bytes().starts_with(b".wh.") && hidden != ".wh..opq")
        {
            return Err(EntryError::Name {
                path: entry.path.display().to_string(),
                why: "a whiteout that names nothing",
            }
            .into());
        }
        let at = |e: Errno| disk(&entry.path, "applied", e.into());
        let parent = match self.resolve(folder) {
            Ok(parent) => parent,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()), // nothing there to hide
            Err(e) => return Err(at(e)),
        };
        self.parent = None;
        if hidden.as_bytes() == b".wh..opq" {
            for name in names(&parent).map_err(at)? {
                if !self.made.contains(&folder.join(&name)) {
                    remove_tree(&parent, &name).map_err(at)?;
                }
            }
            return Ok(());
        }
        match remove_tree(&parent, hidden) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(at(e)),
        }
    }

    /// Opens the folder `path`, making what is missing, as `tar` and runtimes do.
    fn folder(&mut self, path: &Path) -> Result<Rc<OwnedFd>, UnpackError> {
        let at = |e: Errno| disk(path, "opened", e.into());
        if let Some((known, fd)) = &self.parent
            && known == path
        {
            return Ok(Rc::clone(fd));
        }
        let fd = Rc::new(match self.resolve(path) {
            Err(Errno::NOENT) => {
                let (Some(name), Some(above)) = (path.file_name(), path.parent()) else { return Err(at(Errno::NOENT)) };
                let above = self.folder(above)?;
                match rustix::fs::mkdirat(&above, name, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(e) => return Err(at(e)),
                }
                rustix::fs::chmodat(&above, name, Mode::from_raw_mode(0o755), AtFlags::empty()).map_err(at)?; // whatever the umask
                self.made.insert(path.to_owned());
                self.resolve(path).map_err(at)?
            }
            other => other.map_err(at)?,
        });
        self.parent = Some((path.to_owned(), Rc::clone(&fd)));
        Ok(fd)
    }

    /// A folder inside the destination; links are followed as if the destination were `/`.
    fn resolve(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat2(&self.root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
    }

    fn set_owner(&self, parent: &OwnedFd, name: &OsStr, entry: &Entry) -> Result<(), UnpackError> {
        if !self.is_root_user || (entry.uid == 0 && entry.gid == 0) {
            return Ok(()); // root made it, so it is root's already
        }
        let (Ok(uid), Ok(gid)) = (u32::try_from(entry.uid), u32::try_from(entry.gid)) else {
            return Err(
                EntryError::Name { path: entry.path.display().to_string(), why: "an owner beyond 32 bits" }.into()
            );
        };
        let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
        rustix::fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| disk(&entry.path, "given its owner", e.into()))
    }

    pub fn date_folders(&self) -> Result<(), UnpackError> {
        for (path, mtime) in self.folders.iter().rev() {
            match self.resolve(path) {
                // Of the folder itself: `O_PATH` handles take no futimens.
                Ok(fd) => rustix::fs::utimensat(&fd, ".", &times(*mtime), AtFlags::empty())
                    .map_err(|e| disk(path, "given its time", e.into()))?,
                Err(Errno::NOENT | Errno::NOTDIR) => {} // replaced by a later entry
                Err(e) => return Err(disk(path, "given its time", e.into())),
            }
        }
        Ok(())
    }
}

/// `io::copy` with a larger buffer: that one's 8 KiB were 23 thousand writes for a layer of 139 MiB.
fn copy(from: &mut impl Read, to: &mut File, buffer: &mut [u8]) -> io::Result<u64> {
    let mut copied_bytes = 0;
    loop {
        match from.read(buffer) {
            Ok(0) => return Ok(copied_bytes),
            Ok(n) => {
                to.write_all(&buffer[..n])?;
                copied_bytes += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Removes `name` and all below it, following no link.
fn remove_tree(parent: impl AsFd, name: &OsStr) -> Result<(), Errno> {
    match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        other => return other,
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(&parent, name, flags, Mode::empty())?;
    for child in names(&folder)? {
        remove_tree(&folder, &child)?;
    }
    rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR)
}

/// The names in a folder, without `.` and `..`.
fn names(folder: impl AsFd) -> Result<Vec<OsString>, Errno> {
    let readable =
        rustix::fs::openat(folder, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
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

fn times(mtime: u64) -> Timestamps {
    let time = Timespec { tv_sec: i64::try_from(mtime).unwrap_or(0), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}
