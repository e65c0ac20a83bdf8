//! Folder to which the entries of layers are applied. Each path is opened relative to the folder
//! with `openat2(RESOLVE_IN_ROOT)`, so no link leads out of it. OCI image-spec 1.1, layer.md,
//! "Applying changesets".

use super::{UnpackError, disk};
use crate::entry::{Budget, CAPABILITY_XATTR, Entry, EntryError, Kind, Whiteout, shown};
use crate::stage::{names, remove_tree};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, XattrFlags,
};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Size of the copy buffer, in bytes: one system call writes a file of usual size.
const BUFFER_BYTES: usize = 128 * 1024;
/// Largest depth to which an opaque whiteout descends: each level holds a descriptor. Names have
/// fewer parts, but links can place folders deeper.
const MAX_OPAQUE_DEPTH: usize = 256;

/// A destination folder, and what the layers have created there.
pub(super) struct Tree<'a> {
    root: OwnedFd,
    is_root_user: bool,
    budget: &'a Budget,
    /// Entries of the current layer, by folder and name. An opaque whiteout hides only lower
    /// layers, wherever in the layer it is.
    made: HashSet<(FileId, OsString)>,
    /// Folders whose time and mode are set at the end: adding an entry changes a folder's time, and
    /// a user other than root may lack the permission to fill it.
    folders: HashMap<FileId, FolderAttributes>,
    /// The folder of the previous entry. Entries are sorted, so most have the same folder.
    parent: Option<(PathBuf, Rc<Folder>)>,
    /// Copy buffer for all files.
    buffer: Vec<u8>,
    /// Number of extended attributes of this layer that were left out.
    pub ignored_xattrs: u64,
    /// Number of files of this layer whose capabilities could not be set.
    pub lost_capabilities: u64,
    /// Number of devices of this layer, which are not created.
    pub left_out: u64,
    /// Places of the devices of all layers, by folder and name.
    special: HashSet<(FileId, OsString)>,
}

/// Device and inode, which identify a file under all its names.
type FileId = (u64, u64);

struct Folder {
    fd: OwnedFd,
    id: FileId,
}

/// Attributes of a folder that are set once its content is complete.
struct FolderAttributes {
    path: PathBuf,
    mode: u32,
    mtime: Option<u64>,
}

impl<'a> Tree<'a> {
    pub fn open(dest: &Path, budget: &'a Budget) -> Result<Tree<'a>, UnpackError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(dest, flags, Mode::empty())
            .map_err(|e| disk(dest, "opened", e.into()))?;
        Ok(Tree {
            root,
            is_root_user: rustix::process::geteuid().is_root(),
            budget,
            made: HashSet::new(),
            folders: HashMap::new(),
            parent: None,
            buffer: vec![0; BUFFER_BYTES],
            ignored_xattrs: 0,
            lost_capabilities: 0,
            left_out: 0,
            special: HashSet::new(),
        })
    }

    /// Begins the next layer.
    pub fn next_layer(&mut self) {
        self.made.clear();
        (self.ignored_xattrs, self.lost_capabilities, self.left_out) = (0, 0, 0);
    }

    pub fn apply(&mut self, entry: &Entry, bytes: &mut dyn Read) -> Result<(), UnpackError> {
        let (Some(name), Some(folder)) = (entry.path.file_name(), entry.path.parent()) else {
            self.set_root(entry.mode | 0o700, Some(entry.mtime));
            return Ok(());
        };
        if entry.is_bookkeeping() {
            return Ok(());
        }
        if let Some(whiteout) = entry.whiteout()? {
            return self.white_out(folder, whiteout, entry);
        }
        self.budget.path(&entry.path)?;
        let parent = self.folder(folder)?;
        let at = |what| move |e: Errno| disk(&entry.path, what, e.into());
        self.make_room(&parent.fd, name, entry)?;
        let parent = &parent;
        match &entry.kind {
            Kind::Directory => {
                match rustix::fs::mkdirat(&parent.fd, name, Mode::from_raw_mode(0o700)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(e) => return Err(at("made")(e)),
                }
                self.set_owner(&parent.fd, name, entry)?;
                let stat = rustix::fs::statat(&parent.fd, name, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(at("looked at"))?;
                let attributes = FolderAttributes {
                    path: entry.path.clone(),
                    mode: entry.mode,
                    mtime: Some(entry.mtime),
                };
                self.folders.insert(id_of(&stat), attributes);
            }
            Kind::File { size_bytes } => {
                let flags = OFlags::WRONLY
                    | OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::NOFOLLOW
                    | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&parent.fd, name, flags, Mode::from_raw_mode(0o600))
                    .map_err(at("made"))?;
                let mut file = File::from(file);
                let written = copy(&mut bytes.take(*size_bytes), &mut file, &mut self.buffer)
                    .map_err(|e| disk(&entry.path, "written", e))?;
                if written != *size_bytes {
                    let early = io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        format!("`{}` ends early", shown(&entry.path)),
                    );
                    return Err(EntryError::Read(early).into());
                }
                self.set_owner(&parent.fd, name, entry)?;
                rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode))
                    .map_err(at("given its mode"))?;
                self.set_xattrs(&file, entry)?; // changing the owner would remove the attributes
                rustix::fs::futimens(&file, &times(entry.mtime)).map_err(at("given its time"))?;
            }
            Kind::Fifo => self.make_fifo(&parent.fd, name, entry)?,
            Kind::Symlink { target } => {
                rustix::fs::symlinkat(target, &parent.fd, name).map_err(at("linked"))?;
                self.set_owner(&parent.fd, name, entry)?;
                rustix::fs::utimensat(
                    &parent.fd,
                    name,
                    &times(entry.mtime),
                    AtFlags::SYMLINK_NOFOLLOW,
                )
                .map_err(at("given its time"))?;
            }
            Kind::Hardlink { target } => {
                let (Some(old), Some(old_folder)) = (target.file_name(), target.parent()) else {
                    return Err(entry.refused("a link to the root").into());
                };
                let old_parent = self.resolve(old_folder).map_err(at("linked"))?;
                match rustix::fs::linkat(&old_parent, old, &parent.fd, name, AtFlags::empty()) {
                    Err(Errno::NOENT) if self.is_special(&old_parent, old) => {
                        self.leave_out(parent, name, entry)?;
                    }
                    linked => linked.map_err(at("linked"))?,
                }
            }
            Kind::Special { .. } => self.leave_out(parent, name, entry)?,
        }
        self.made.insert((parent.id, name.to_owned()));
        Ok(())
    }

    /// Creates a FIFO with its attributes. This needs no privilege.
    fn make_fifo(
        &mut self,
        parent: &OwnedFd,
        name: &OsStr,
        entry: &Entry,
    ) -> Result<(), UnpackError> {
        let at = |what| move |e: Errno| disk(&entry.path, what, e.into());
        rustix::fs::mknodat(parent, name, FileType::Fifo, Mode::from_raw_mode(0o600), 0)
            .map_err(at("made"))?;
        // Opening a FIFO to read without blocking does not wait for a writer (fifo(7)).
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fifo = rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(at("opened"))?;
        self.set_owner(parent, name, entry)?;
        rustix::fs::fchmod(&fifo, Mode::from_raw_mode(entry.mode)).map_err(at("given its mode"))?;
        rustix::fs::futimens(&fifo, &times(entry.mtime)).map_err(at("given its time"))
    }

    /// Records a device instead of creating it.
    fn leave_out(
        &mut self,
        parent: &Folder,
        name: &OsStr,
        entry: &Entry,
    ) -> Result<(), UnpackError> {
        self.budget.path(&entry.path)?;
        self.left_out += 1;
        self.special.insert((parent.id, name.to_owned()));
        Ok(())
    }

    fn is_special(&self, folder: &OwnedFd, name: &OsStr) -> bool {
        let stat = rustix::fs::fstat(folder);
        stat.is_ok_and(|stat| self.special.contains(&(id_of(&stat), name.to_owned())))
    }

    /// Sets a file's capabilities and its `user` attributes. An attribute that the file system or
    /// the user's rights refuse is counted and left out, as in container runtimes.
    fn set_xattrs(&mut self, file: &File, entry: &Entry) -> Result<(), UnpackError> {
        for xattr in &entry.xattrs {
            let is_capability = xattr.name == CAPABILITY_XATTR;
            let is_kept = is_capability || xattr.name.as_encoded_bytes().starts_with(b"user.");
            let set = match is_kept {
                true => rustix::fs::fsetxattr(file, &xattr.name, &xattr.value, XattrFlags::empty()),
                false => Err(Errno::NOTSUP),
            };
            match set {
                Ok(()) => {}
                // No space in the inode, an invalid value, or a name that is too long.
                Err(
                    Errno::NOTSUP
                    | Errno::PERM
                    | Errno::ACCESS
                    | Errno::INVAL
                    | Errno::RANGE
                    | Errno::TOOBIG
                    | Errno::NODATA,
                ) => {
                    self.ignored_xattrs += 1;
                    self.lost_capabilities += u64::from(is_capability);
                }
                Err(e) => return Err(disk(&entry.path, "given its attributes", e.into())),
            }
        }
        Ok(())
    }

    /// Removes an existing entry at the place of `entry`, unless both are folders.
    fn make_room(
        &mut self,
        parent: &OwnedFd,
        name: &OsStr,
        entry: &Entry,
    ) -> Result<(), UnpackError> {
        match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(disk(&entry.path, "looked at", e.into())),
            Ok(stat)
                if FileType::from_raw_mode(stat.st_mode) == FileType::Directory
                    && entry.kind == Kind::Directory =>
            {
                Ok(())
            }
            Ok(_) => {
                self.parent = None; // the cached folder may be the one that is removed
                remove_tree(parent, name).map_err(|e| disk(&entry.path, "replaced", e.into()))
            }
        }
    }

    /// Sets the mode and the time that the root gets at the end.
    pub fn set_root(&mut self, mode: u32, mtime: Option<u64>) {
        if let Ok(stat) = rustix::fs::fstat(&self.root) {
            self.folders
                .insert(id_of(&stat), FolderAttributes { path: PathBuf::new(), mode, mtime });
        }
    }

    /// Removes the entries of lower layers that `whiteout` hides.
    fn white_out(
        &mut self,
        folder: &Path,
        whiteout: Whiteout<'_>,
        entry: &Entry,
    ) -> Result<(), UnpackError> {
        let at = |e: Errno| disk(&entry.path, "applied", e.into());
        let parent = match self.resolve(folder) {
            Ok(parent) => parent,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()), // there is nothing to hide
            Err(e) => return Err(at(e)),
        };
        self.parent = None;
        match whiteout {
            Whiteout::Opaque => self.clear_lower(&parent, MAX_OPAQUE_DEPTH).map_err(at),
            Whiteout::Name(name) => match remove_tree(parent, name) {
                Ok(()) | Err(Errno::NOENT) => Ok(()),
                Err(e) => Err(at(e)),
            },
        }
    }

    /// Removes entries that this layer did not create. A folder of a lower layer stays if it
    /// contains an entry of this layer.
    fn clear_lower(&self, folder: &OwnedFd, depth: usize) -> Result<(), Errno> {
        let left = depth.checked_sub(1).ok_or(Errno::NAMETOOLONG)?;
        let stat = rustix::fs::fstat(folder)?;
        for name in names(folder)? {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let inner = match rustix::fs::openat(folder, &name, flags, Mode::empty()) {
                Ok(inner) => Some(inner),
                Err(Errno::NOTDIR | Errno::LOOP) => None,
                Err(e) => return Err(e),
            };
            if let Some(inner) = &inner {
                self.clear_lower(inner, left)?;
            }
            if !self.made.contains(&(id_of(&stat), name.clone())) {
                let flags = if inner.is_some() { AtFlags::REMOVEDIR } else { AtFlags::empty() };
                match rustix::fs::unlinkat(folder, &name, flags) {
                    Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST) => {}
                    Err(e) => return Err(e),
                }
            }
        }
        Ok(())
    }

    /// Opens the folder `path` and creates missing folders, as `tar` and runtimes do.
    fn folder(&mut self, path: &Path) -> Result<Rc<Folder>, UnpackError> {
        let at = |e: Errno| disk(path, "opened", e.into());
        if let Some((known, folder)) = &self.parent
            && known == path
        {
            return Ok(Rc::clone(folder));
        }
        let fd = match self.resolve(path) {
            Err(Errno::NOENT) => {
                let (Some(name), Some(above)) = (path.file_name(), path.parent()) else {
                    return Err(at(Errno::NOENT));
                };
                let above = self.folder(above)?;
                match rustix::fs::mkdirat(&above.fd, name, Mode::from_raw_mode(0o755)) {
                    Ok(()) => self.budget.entry()?,
                    Err(Errno::EXIST) => {}
                    Err(e) => return Err(at(e)),
                }
                let fd = self.resolve(path).map_err(at)?;
                rustix::fs::chmodat(&fd, ".", Mode::from_raw_mode(0o755), AtFlags::empty())
                    .map_err(at)?; // independent of the umask
                let stat = rustix::fs::fstat(&fd).map_err(at)?;
                // an entry of a removed folder that had this inode
                self.folders.remove(&id_of(&stat));
                self.made.insert((above.id, name.to_owned()));
                fd
            }
            other => other.map_err(at)?,
        };
        let stat = rustix::fs::fstat(&fd).map_err(at)?;
        let id = id_of(&stat);
        if !self.is_root_user && stat.st_mode & 0o700 != 0o700 {
            // Another unpacking left it closed. Its mode and time are restored.
            let mtime = u64::try_from(stat.st_mtime).ok();
            self.folders.insert(
                id,
                FolderAttributes { path: path.to_owned(), mode: stat.st_mode & 0o7777, mtime },
            );
            let open = Mode::from_raw_mode(stat.st_mode & 0o7777 | 0o700);
            rustix::fs::chmodat(&fd, ".", open, AtFlags::empty()).map_err(at)?;
        }
        let folder = Rc::new(Folder { fd, id });
        self.parent = Some((path.to_owned(), Rc::clone(&folder)));
        Ok(folder)
    }

    /// Opens a folder inside the destination; links are resolved as if the destination were `/`.
    fn resolve(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat2(
            &self.root,
            path,
            flags,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        )
    }

    fn set_owner(&self, parent: &OwnedFd, name: &OsStr, entry: &Entry) -> Result<(), UnpackError> {
        if !self.is_root_user || (entry.uid == 0 && entry.gid == 0) {
            return Ok(()); // root has created it, so root owns it already
        }
        let (Ok(uid), Ok(gid)) = (u32::try_from(entry.uid), u32::try_from(entry.gid)) else {
            return Err(entry.refused("an owner beyond 32 bits").into());
        };
        let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
        rustix::fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| disk(&entry.path, "given its owner", e.into()))
    }

    /// Sets times and modes of the folders.
    pub fn finish(self) -> Result<(), UnpackError> {
        let mut attributes: Vec<_> = self.folders.iter().collect();
        // Inner folders first: the outer folder's mode may deny access afterwards.
        attributes.sort_unstable_by(|(_, a), (_, b)| b.path.cmp(&a.path));
        for (id, FolderAttributes { path, mode, mtime }) in attributes {
            let fd = match self.resolve(path) {
                Ok(fd) => fd,
                Err(Errno::NOENT | Errno::NOTDIR) => continue, // replaced by a later entry
                Err(e) => return Err(disk(path, "given its time", e.into())),
            };
            let stat = rustix::fs::fstat(&fd).map_err(|e| disk(path, "looked at", e.into()))?;
            if id_of(&stat) != *id {
                continue; // a link or another folder has replaced it
            }
            // By the path of the folder itself: `O_PATH` handles do not support futimens and
            // fchmod.
            if let Some(mtime) = mtime {
                rustix::fs::utimensat(&fd, ".", &times(*mtime), AtFlags::empty())
                    .map_err(|e| disk(path, "given its time", e.into()))?;
            }
            rustix::fs::chmodat(&fd, ".", Mode::from_raw_mode(*mode), AtFlags::empty())
                .map_err(|e| disk(path, "given its mode", e.into()))?;
        }
        Ok(())
    }
}

fn id_of(stat: &Stat) -> FileId {
    (stat.st_dev, stat.st_ino)
}

/// `io::copy` with a larger buffer: with the 8 KiB of `io::copy`, a layer of 139 MiB took 23
/// thousand writes.
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

fn times(mtime: u64) -> Timestamps {
    let time = Timespec { tv_sec: i64::try_from(mtime).unwrap_or(0), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}
