//! Build context: a folder on disk with its .dockerignore. It reads and never writes. A link inside
//! the context cannot make COPY read a file outside of it: on Linux by `openat2(RESOLVE_BENEATH)`
//! (context/beneath.rs), on other systems, and on a kernel without that call, by opening each part
//! separately (context/walk.rs).

#[cfg(target_os = "linux")]
mod beneath;
mod walk;

use crate::ignore::{Ignore, IgnoreError};
use crate::recipe::{BuildContext, ContextEntry};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
#[cfg(not(target_os = "linux"))]
use walk as beneath;

/// The largest file that COPY copies, in bytes.
const MAX_FILE_BYTES: u64 = crate::layer::MAX_LAYER_BYTES;

/// A folder that is the source of COPY.
#[derive(Debug)]
pub struct FolderContext {
    root: OwnedFd,
    ignore: Ignore,
}

/// Why a folder cannot be a build context.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// The folder or its .dockerignore cannot be read.
    #[error("the build context `{path}` cannot be read: {source}; name a folder with `--context`")]
    Read {
        /// The folder, or the file in it.
        path: PathBuf,
        /// The underlying I/O error.
        source: io::Error,
    },
    /// An invalid pattern in .dockerignore.
    #[error(transparent)]
    Ignore(#[from] IgnoreError),
}

impl FolderContext {
    /// Opens the folder `path` and reads its .dockerignore, if it has one.
    ///
    /// # Errors
    /// [`ContextError`].
    pub fn open(path: &Path) -> Result<FolderContext, ContextError> {
        let at = |path: PathBuf| move |source| ContextError::Read { path, source };
        let root = rustix::fs::open(path, beneath::FOLDER | OFlags::CLOEXEC, Mode::empty())
            .map_err(io::Error::from)
            .map_err(at(path.to_owned()))?;
        let ignore_file = path.join(".dockerignore");
        let ignore = match fs::read_to_string(&ignore_file) {
            Ok(text) => Ignore::parse(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ignore::default(),
            Err(error) => return Err(at(ignore_file)(error)),
        };
        Ok(FolderContext { root, ignore })
    }

    fn open_beneath(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.is_empty() { "." } else { path };
        beneath::open(&self.root, path, flags | OFlags::CLOEXEC).map_err(|error| match error {
            Errno::XDEV => io::Error::other("a link on its way leads out of the build context"),
            other => other.into(),
        })
    }

    /// Whether an entry below an excluded folder is kept, so that the folder exists too.
    fn keeps_something_below(&self, path: &str) -> io::Result<bool> {
        if !self.ignore.has_exceptions() {
            return Ok(false);
        }
        for name in self.all_names(path)? {
            let inner = format!("{path}/{name}");
            let is_folder = matches!(self.look(&inner)?, Some(ContextEntry::Folder));
            if !self.ignore.excludes(&inner) || (is_folder && self.keeps_something_below(&inner)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn look(&self, path: &str) -> io::Result<Option<ContextEntry>> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if name.is_empty() {
            return Ok(Some(ContextEntry::Folder));
        }
        let is_nothing = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        };
        let folder = match self.open_beneath(folder, beneath::FOLDER) {
            Ok(folder) => folder,
            Err(error) if is_nothing(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let stat = match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(error) if is_nothing(&error.into()) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Ok(Some(ContextEntry::Folder)),
            FileType::RegularFile => {
                Ok(Some(ContextEntry::File { executable: stat.st_mode & 0o111 != 0 }))
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&folder, name, Vec::new())?.into_string();
                let target =
                    target.map_err(|_| io::Error::other("the link's target is not UTF-8"))?;
                Ok(Some(ContextEntry::Symlink { target }))
            }
            _ => Err(io::Error::other(
                "it is neither a file nor a folder nor a link; leave it out with .dockerignore",
            )),
        }
    }

    fn all_names(&self, path: &str) -> io::Result<Vec<String>> {
        let folder = self.open_beneath(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(folder)? {
            let name = std::ffi::OsString::from_vec(entry?.file_name().to_bytes().to_vec());
            let name = name
                .into_string()
                .map_err(|name| io::Error::other(format!("the name {name:?} is not UTF-8")))?;
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }
}

impl BuildContext for FolderContext {
    fn entry(&self, path: &str) -> io::Result<Option<ContextEntry>> {
        if !self.ignore.excludes(path) {
            return self.look(path);
        }
        match self.look(path)? {
            Some(ContextEntry::Folder) if self.keeps_something_below(path)? => {
                Ok(Some(ContextEntry::Folder))
            }
            _ => Ok(None),
        }
    }

    fn names(&self, path: &str) -> io::Result<Vec<String>> {
        self.all_names(path)
    }

    fn read(&self, path: &str) -> io::Result<Arc<[u8]>> {
        let file = File::from(self.open_beneath(path, OFlags::RDONLY)?);
        let size_bytes = file.metadata()?.len();
        if size_bytes > MAX_FILE_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("{size_bytes} bytes are larger than the limit of a layer"),
            ));
        }
        let mut content = Vec::with_capacity(usize::try_from(size_bytes).unwrap_or(0));
        file.take(MAX_FILE_BYTES).read_to_end(&mut content)?;
        Ok(content.into())
    }
}
