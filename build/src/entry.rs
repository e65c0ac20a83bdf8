//! The entries of a layer's tar, read with limits: names that stay inside, sizes that are bounded,
//! links that lead nowhere else. It reads a stream and calls a visitor; it writes nothing and knows
//! no disk. POSIX.1-2017 pax interchange format, GNU long names; OCI image-spec, layer.md. What no
//! layer needs (devices, sparse files, sizes that contradict each other) is refused, not guessed.

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// The longest name or link target, in bytes: Linux's PATH_MAX.
pub(crate) const MAX_NAME_BYTES: usize = 4096;
/// The most parts of a name. PATH_MAX leaves room for 2,048, each a folder to make and to keep in
/// mind, while no program ships a tree of even 50.
pub const MAX_DEPTH: usize = 128;
/// The largest pax header or GNU long name, in bytes.
const MAX_EXTENSION_BYTES: u64 = 1024 * 1024;

/// How much an image may ask of its reader, all its layers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerLimits {
    /// Most entries, and folders that stand in a name only.
    pub max_entries: u64,
    /// Most bytes of the uncompressed tars.
    pub max_uncompressed_bytes: u64,
    /// Most bytes of all paths that are kept in memory.
    pub max_path_bytes: u64,
}

impl Default for LayerLimits {
    /// 500,000 entries, 12 GiB and 128 MiB of names: above any image that a function platform
    /// accepts.
    fn default() -> LayerLimits {
        LayerLimits {
            max_entries: 500_000,
            max_uncompressed_bytes: 12 << 30,
            max_path_bytes: 128 << 20,
        }
    }
}

/// What is left of an image's [`LayerLimits`]. One budget goes through all layers; many of them
/// get no more than one would.
#[derive(Debug)]
pub struct Budget {
    limits: LayerLimits,
    entries: Cell<u64>,
    uncompressed_bytes: Cell<u64>,
    path_bytes: Cell<u64>,
}

impl Budget {
    /// The whole of `limits`.
    pub fn new(limits: &LayerLimits) -> Budget {
        Budget {
            limits: *limits,
            entries: Cell::new(limits.max_entries),
            uncompressed_bytes: Cell::new(limits.max_uncompressed_bytes),
            path_bytes: Cell::new(limits.max_path_bytes),
        }
    }

    /// Pays for one entry, or one folder that no entry lists.
    ///
    /// # Errors
    /// [`EntryError::Limit`] when none is left.
    pub(crate) fn entry(&self) -> Result<(), EntryError> {
        pay(&self.entries, 1).ok_or_else(|| {
            EntryError::Limit(format!("more than {} entries", self.limits.max_entries))
        })
    }

    /// Pays for a path that is kept.
    ///
    /// # Errors
    /// [`EntryError::Limit`] when there is no room for it.
    pub(crate) fn path(&self, path: &Path) -> Result<(), EntryError> {
        pay(&self.path_bytes, path.as_os_str().len() as u64).ok_or_else(|| {
            EntryError::Limit(format!("names of more than {} bytes", self.limits.max_path_bytes))
        })
    }

    fn too_large(&self) -> String {
        format!(
            "more than {} bytes uncompressed, the limit of this reader",
            self.limits.max_uncompressed_bytes
        )
    }
}

fn pay(left: &Cell<u64>, price: u64) -> Option<()> {
    left.set(left.get().checked_sub(price)?);
    Some(())
}

/// One entry. Its path is relative, has no `.` or `..`, and is empty for the root itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where, relative to the root.
    pub path: PathBuf,
    /// What.
    pub kind: Kind,
    /// Permission bits (at most 0o7777).
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Seconds since 1970.
    pub mtime: u64,
    /// Extended attributes that the entry carries and this program does not keep.
    pub xattrs: usize,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file of this many bytes.
    File {
        /// Size of the file, in bytes.
        size_bytes: u64,
    },
    /// A symbolic link. The target is as written; a relative one never climbs above the root, an
    /// absolute one starts at the root.
    Symlink {
        /// What the link says.
        target: PathBuf,
    },
    /// Another name of an entry of this image.
    Hardlink {
        /// The path of that entry, as clean as [`Entry::path`].
        target: PathBuf,
    },
}

/// What a tar held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Entries seen.
    pub entries: u64,
    /// Bytes of regular files.
    pub file_bytes: u64,
}

/// Why a tar was refused.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// The stream ended early, is not a tar, or its source failed (a digest mismatch arrives here).
    #[error("the layer's tar cannot be read: {0}")]
    Read(#[from] io::Error),
    /// A name that leads outside or cannot exist.
    #[error("entry `{path}` is refused: {why}")]
    Name {
        /// The name as written, shortened.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A device, a FIFO, a sparse file, or a kind that no layer holds.
    #[error(
        "entry `{path}` is refused: it is {what}, and an image of a function holds files, \
         directories and links only"
    )]
    Unsupported {
        /// The name as written, shortened.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// A limit is exceeded.
    #[error("the layer exceeds a limit: {0}")]
    Limit(String),
}

/// What a file of this name hides of the lower layers (layer.md, "Whiteouts").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whiteout<'a> {
    /// `.wh.NAME`: NAME, and all below it.
    Name(&'a OsStr),
    /// `.wh..wh..opq`: whatever the folder held.
    Opaque,
}

impl Entry {
    /// The whiteout that this entry is, if it is one.
    ///
    /// # Errors
    /// [`EntryError::Name`] for one that names nothing, or is more than a file.
    pub(crate) fn whiteout(&self) -> Result<Option<Whiteout<'_>>, EntryError> {
        let Some(hidden) =
            self.path.file_name().and_then(|name| name.as_bytes().strip_prefix(b".wh."))
        else {
            return Ok(None);
        };
        if !matches!(self.kind, Kind::File { .. }) {
            return Err(self.refused("a whiteout is an empty file"));
        }
        match hidden {
            b".wh..opq" => Ok(Some(Whiteout::Opaque)),
            b"" | b"." | b".." => Err(self.refused("a whiteout that names nothing")),
            hidden if hidden.starts_with(b".wh.") => {
                Err(self.refused("a whiteout that names nothing"))
            }
            hidden => Ok(Some(Whiteout::Name(OsStr::from_bytes(hidden)))),
        }
    }

    /// This entry, refused.
    pub(crate) fn refused(&self, why: &'static str) -> EntryError {
        EntryError::Name { path: shorten(self.path.as_os_str().as_bytes()), why }
    }
}

/// Reads `tar` to its very end and calls `visit` with each entry and its bytes (which it need not
/// read). A file that is larger than what is left of the budget is refused before its first byte.
///
/// # Errors
/// [`EntryError`] for a refused entry, and whatever `visit` returns.
pub fn read_entries<E: From<EntryError>>(
    tar: impl Read,
    budget: &Budget,
    mut visit: impl FnMut(&Entry, &mut dyn Read) -> Result<(), E>,
) -> Result<Totals, E> {
    let mut archive = tar::Archive::new(Bounded { inner: tar, budget });
    let mut totals = Totals::default();
    let mut extensions = Extensions::default();
    // Raw: extension headers arrive as entries, so that their sizes can be bounded before they are
    // read into memory.
    for raw in archive.entries().map_err(EntryError::Read)?.raw(true) {
        let mut raw = raw.map_err(EntryError::Read)?;
        if extensions.absorb(&mut raw)? {
            continue;
        }
        totals.entries += 1;
        budget.entry()?;
        let Some(entry) = std::mem::take(&mut extensions).into_entry(&raw)? else { continue };
        if let Kind::File { size_bytes } = entry.kind {
            if size_bytes > budget.uncompressed_bytes.get() {
                return Err(EntryError::Limit(format!(
                    "{} with `{}`",
                    budget.too_large(),
                    shown(&entry.path)
                ))
                .into());
            }
            totals.file_bytes += size_bytes;
        }
        visit(&entry, &mut raw)?;
    }
    // Padding after the end marker belongs to the DiffID and to the blob's digest: read on until
    // the source says it is the end.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(EntryError::Read)?;
    Ok(totals)
}

/// What extension headers said about the entry that follows them.
#[derive(Default)]
pub(crate) struct Extensions {
    /// Its name.
    pub path: Option<Vec<u8>>,
    /// What it links to.
    pub link: Option<Vec<u8>>,
    /// Its size, in bytes.
    pub size_bytes: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    sparse: bool,
    xattrs: usize,
}

impl Extensions {
    /// Takes in `raw` if it is an extension header; `false` when it is an entry of its own.
    pub(crate) fn absorb(
        &mut self,
        raw: &mut tar::Entry<'_, impl Read>,
    ) -> Result<bool, EntryError> {
        let kind = raw.header().entry_type();
        if !(kind.is_gnu_longname()
            || kind.is_gnu_longlink()
            || kind.is_pax_local_extensions()
            || kind.is_pax_global_extensions())
        {
            return Ok(false);
        }
        let stated = raw.header().entry_size()?;
        if stated > MAX_EXTENSION_BYTES {
            return Err(EntryError::Limit(format!(
                "an extension header of {stated} bytes, at most {MAX_EXTENSION_BYTES} are read"
            )));
        }
        let mut bytes = Vec::new();
        raw.take(MAX_EXTENSION_BYTES).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != stated {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "an extension header ends early",
            )
            .into());
        }
        if kind.is_gnu_longname() || kind.is_gnu_longlink() {
            bytes.truncate(bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len()));
            *(if kind.is_gnu_longname() { &mut self.path } else { &mut self.link }) = Some(bytes);
        } else if kind.is_pax_local_extensions() {
            self.absorb_pax(&bytes)?;
            // a global header carries comments (git archive writes one) and defaults that no layer
            // relies on
        }
        Ok(true)
    }

    fn absorb_pax(&mut self, bytes: &[u8]) -> Result<(), EntryError> {
        for record in tar::PaxExtensions::new(bytes) {
            let record = record?;
            let number = || {
                let text = record.value().ok().and_then(|v| v.parse().ok());
                text.ok_or_else(|| {
                    io::Error::new(
                        io::ErrorKind::InvalidData,
                        "a pax header holds a number that is none",
                    )
                })
            };
            match record.key_bytes() {
                b"path" => self.path = Some(record.value_bytes().to_vec()),
                b"linkpath" => self.link = Some(record.value_bytes().to_vec()),
                b"size" => self.size_bytes = Some(number()?),
                b"uid" => self.uid = Some(number()?),
                b"gid" => self.gid = Some(number()?),
                key if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                key if key.starts_with(b"SCHILY.xattr.")
                    || key.starts_with(b"LIBARCHIVE.xattr.") =>
                {
                    self.xattrs += 1
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The entry that `raw` describes, with what was absorbed; `None` for a kind that carries
    /// nothing.
    fn into_entry(self, raw: &tar::Entry<'_, impl Read>) -> Result<Option<Entry>, EntryError> {
        let header = raw.header();
        let name = self.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let shown = shorten(&name);
        let unsupported = |what| Err(EntryError::Unsupported { path: shown.clone(), what });
        let path = clean(&name, &shown)?;
        let size_bytes = header.entry_size()?;
        if self.size_bytes.is_some_and(|said| said != size_bytes) {
            return Err(EntryError::Name {
                path: shown,
                why: "two sizes that contradict each other",
            });
        }
        let link = self.link.or_else(|| header.link_name_bytes().map(|l| l.into_owned()));
        let kind = match header.entry_type() {
            _ if self.sparse => return unsupported("a sparse file"),
            // Old archives mark a directory by a slash alone.
            tar::EntryType::Regular if name.ends_with(b"/") && size_bytes == 0 => Kind::Directory,
            tar::EntryType::Regular | tar::EntryType::Continuous => Kind::File { size_bytes },
            tar::EntryType::Directory => Kind::Directory,
            tar::EntryType::Symlink => {
                Kind::Symlink { target: symlink_target(&path, link.unwrap_or_default(), &shown)? }
            }
            tar::EntryType::Link => {
                Kind::Hardlink { target: clean(&link.unwrap_or_default(), &shown)? }
            }
            tar::EntryType::Char => return unsupported("a character device"),
            tar::EntryType::Block => return unsupported("a block device"),
            tar::EntryType::Fifo => return unsupported("a FIFO"),
            tar::EntryType::GNUSparse => return unsupported("a sparse file"),
            _ => return unsupported("of a kind that no layer holds"),
        };
        if path.as_os_str().is_empty() && kind != Kind::Directory {
            return Err(EntryError::Name { path: shown, why: "the root is a directory" });
        }
        let (uid, gid) = (
            self.uid.map_or_else(|| header.uid(), Ok)?,
            self.gid.map_or_else(|| header.gid(), Ok)?,
        );
        if uid.max(gid) >= u64::from(u32::MAX) {
            // The largest means "unchanged".
            return Err(EntryError::Name { path: shown, why: "an owner beyond 32 bits" });
        }
        Ok(Some(Entry {
            path,
            kind,
            mode: header.mode()? & 0o7777,
            uid,
            gid,
            mtime: header.mtime()?,
            xattrs: self.xattrs,
        }))
    }
}

/// A name as a clean relative path.
fn clean(name: &[u8], shown: &str) -> Result<PathBuf, EntryError> {
    let refuse = |why| Err(EntryError::Name { path: shown.to_owned(), why });
    if name.len() > MAX_NAME_BYTES {
        return refuse("its name is longer than 4096 bytes");
    }
    if name.contains(&0) {
        return refuse("its name holds a zero byte");
    }
    let (mut path, mut depth) = (PathBuf::new(), 0);
    for component in Path::new(&OsString::from_vec(name.to_vec())).components() {
        match component {
            Component::Normal(part) if part.len() > 255 => {
                return refuse("a part of its name is longer than 255 bytes");
            }
            Component::Normal(_) if depth == MAX_DEPTH => {
                return refuse("its name has more than 128 parts");
            }
            Component::Normal(part) => {
                path.push(part);
                depth += 1;
            }
            Component::CurDir => {}
            Component::ParentDir => return refuse("its name holds `..`"),
            Component::RootDir | Component::Prefix(_) => return refuse("its name is absolute"),
        }
    }
    Ok(path)
}

/// A symbolic link's target, if it stays inside the root when it is followed from the link's own
/// folder.
fn symlink_target(link: &Path, target: Vec<u8>, shown: &str) -> Result<PathBuf, EntryError> {
    let refuse = |why| Err(EntryError::Name { path: shown.to_owned(), why });
    if target.is_empty() || target.len() >= MAX_NAME_BYTES || target.contains(&0) {
        return refuse("its target is empty, too long or holds a zero byte");
    }
    let target = PathBuf::from(OsString::from_vec(target));
    let mut depth =
        if target.is_absolute() { 0 } else { link.components().count().saturating_sub(1) };
    for component in target.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::ParentDir if depth == 0 => {
                return refuse("its target leads out of the image");
            }
            Component::ParentDir => depth -= 1,
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    Ok(target)
}

fn shorten(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(&name[..name.len().min(200)]);
    text.escape_debug().collect()
}

/// A path in a message: a peer wrote it, so it is shortened, and no control character reaches a
/// terminal.
pub(crate) fn shown(path: &Path) -> String {
    shorten(path.as_os_str().as_bytes())
}

/// Stops with an error, instead of an end of file, once more bytes arrive than are left.
struct Bounded<'a, R> {
    inner: R,
    budget: &'a Budget,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        pay(&self.budget.uncompressed_bytes, n as u64)
            .ok_or_else(|| io::Error::new(io::ErrorKind::FileTooLarge, self.budget.too_large()))?;
        Ok(n)
    }
}
