//! Reader of the entries of a layer's tar, with limits: names stay inside the root and sizes are
//! bounded. It reads a stream and calls a visitor; it writes nothing and accesses no disk.
//! POSIX.1-2017 pax interchange format, GNU long names and sparse files; OCI image-spec, layer.md.
//! It interprets names as Docker Engine does, which unpacks in a chroot: an absolute name starts at
//! the image's root, and `..` leads no higher than that. It refuses contradictions and does not
//! guess.

mod blocks;
mod capability;
mod sparse;

pub use self::capability::Capability;

use self::blocks::{Blocks, GID, MODE, MTIME, TYPE, UID, number};
use self::sparse::{Expanded, PaxSparse, Piece, old_gnu_map};
use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// The longest name or link target, in bytes: Linux's PATH_MAX.
pub(crate) const MAX_NAME_BYTES: usize = 4096;
/// Largest number of parts of a name. PATH_MAX allows 2,048, and each is a folder to create and to
/// track; no program ships a tree with more than 50.
pub const MAX_DEPTH: usize = 128;
/// The largest pax header or GNU long name, in bytes.
const MAX_EXTENSION_BYTES: u64 = 1024 * 1024;

/// Limits on the resources that an image may use, for all its layers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerLimits {
    /// Largest number of entries, including folders that occur only in a name.
    pub max_entries: u64,
    /// Largest size of the uncompressed tars, in bytes.
    pub max_uncompressed_bytes: u64,
    /// Largest size of all paths in memory, in bytes.
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

/// The remaining part of an image's [`LayerLimits`]. All layers share one budget, so an image with
/// many layers gets no more than one with a single layer.
#[derive(Debug)]
pub struct Budget {
    limits: LayerLimits,
    entries: Cell<u64>,
    uncompressed_bytes: Cell<u64>,
    path_bytes: Cell<u64>,
}

impl Budget {
    /// The complete budget of `limits`.
    pub fn new(limits: &LayerLimits) -> Budget {
        Budget {
            limits: *limits,
            entries: Cell::new(limits.max_entries),
            uncompressed_bytes: Cell::new(limits.max_uncompressed_bytes),
            path_bytes: Cell::new(limits.max_path_bytes),
        }
    }

    /// Deducts one entry, or one folder that no entry lists.
    ///
    /// # Errors
    /// [`EntryError::Limit`] if none is left.
    pub(crate) fn entry(&self) -> Result<(), EntryError> {
        pay(&self.entries, 1).ok_or_else(|| {
            EntryError::Limit(format!("more than {} entries", self.limits.max_entries))
        })
    }

    /// Deducts a path that the caller stores.
    ///
    /// # Errors
    /// [`EntryError::Limit`] if there is no room for it.
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

/// One entry. Its path is relative, has no `.` or `..`, and is empty for the root folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path, relative to the root.
    pub path: PathBuf,
    /// Kind of the entry.
    pub kind: Kind,
    /// Permission bits (at most 0o7777).
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Seconds since 1970.
    pub mtime: u64,
    /// Extended attributes, by name.
    pub xattrs: Vec<Xattr>,
}

/// One extended attribute of an entry (xattr(7); `SCHILY.xattr.` in a pax header).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xattr {
    /// Name with its namespace, for example `security.capability`.
    pub name: OsString,
    /// Value; any bytes.
    pub value: Vec<u8>,
}

/// The attribute that holds a file's capabilities.
pub const CAPABILITY_XATTR: &str = "security.capability";

/// Kind of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file of this many bytes.
    File {
        /// Size of the file, in bytes.
        size_bytes: u64,
    },
    /// A symbolic link. The target is as written: an absolute one starts at the image's root, and
    /// one that climbs above the root resolves to the root.
    Symlink {
        /// The target as written.
        target: PathBuf,
    },
    /// A hard link to an entry of this image.
    Hardlink {
        /// The path of that entry, normalised like [`Entry::path`].
        target: PathBuf,
    },
    /// A FIFO (fifo(7)), which has a name and no content.
    Fifo,
    /// A device. It replaces an earlier entry and is left out: a function gets its devices from the
    /// platform, and creating one needs a privilege that the unpacker does not have.
    Special {
        /// `a character device` or `a block device`.
        what: &'static str,
    },
}

/// Totals of a tar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Entries seen.
    pub entries: u64,
    /// Bytes of regular files.
    pub file_bytes: u64,
}

/// Why the reader refused a tar.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// The stream ended early, is not a tar, or its source failed (a digest mismatch arrives here).
    #[error("the layer's tar cannot be read: {0}")]
    Read(#[from] io::Error),
    /// The name or the place of an entry is invalid.
    #[error("entry `{path}` is refused: {why}")]
    Name {
        /// The name as written, shortened.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A malformed sparse file, or an unsupported kind of entry.
    #[error(
        "entry `{path}` is refused: it is {what}; layers contain only files, directories, links \
         and devices"
    )]
    Unsupported {
        /// The name as written, shortened.
        path: String,
        /// Description of the problem.
        what: &'static str,
    },
    /// A limit is exceeded.
    #[error("the layer exceeds a limit: {0}")]
    Limit(String),
}

/// The entries of lower layers that a file with this name hides (layer.md, "Whiteouts").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whiteout<'a> {
    /// `.wh.NAME`: NAME and everything below it.
    Name(&'a OsStr),
    /// `.wh..wh..opq`: the folder's previous content.
    Opaque,
}

impl Entry {
    /// The whiteout that this entry represents, if any.
    ///
    /// # Errors
    /// [`EntryError::Name`] for a whiteout that names nothing or is not just a file.
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

    /// The capabilities that the entry gives its file, if any.
    pub(crate) fn capability(&self) -> Option<Capability> {
        let xattr = self.xattrs.iter().find(|xattr| xattr.name == CAPABILITY_XATTR)?;
        Some(Capability::parse(&xattr.value))
    }

    /// Whether the entry is bookkeeping of a storage driver that wrote into its layers (AUFS, up to
    /// Docker 1.9): runtimes skip it.
    pub(crate) fn is_bookkeeping(&self) -> bool {
        self.path.iter().next().is_some_and(|first| {
            first.as_bytes().starts_with(b".wh..wh.") && first.as_bytes() != b".wh..wh..opq"
        })
    }

    /// An error that refuses this entry.
    pub(crate) fn refused(&self, why: &'static str) -> EntryError {
        EntryError::Name { path: shorten(self.path.as_os_str().as_bytes()), why }
    }
}

/// Reads `tar` to its end and calls `visit` with each entry and its bytes; `visit` need not read
/// them. A file larger than the remaining budget is refused before its first byte.
///
/// # Errors
/// [`EntryError`] for a refused entry, and any error of `visit`.
pub fn read_entries<E: From<EntryError>>(
    tar: impl Read,
    budget: &Budget,
    mut visit: impl FnMut(&Entry, &mut dyn Read) -> Result<(), E>,
) -> Result<Totals, E> {
    let mut blocks = Blocks::new(Bounded { inner: tar, budget });
    let mut totals = Totals::default();
    let mut extensions = Extensions::default();
    while let Some(header) = blocks.next_header().map_err(EntryError::Read)? {
        if extensions.absorb(header.entry_type(), blocks.content_bytes(), &mut blocks)? {
            continue;
        }
        totals.entries += 1;
        budget.entry()?;
        let extensions = std::mem::take(&mut extensions);
        let (entry, pieces) = extensions.into_entry(&header, &mut blocks)?;
        if let Kind::File { size_bytes } = entry.kind {
            // The holes of a sparse file count too: a tar of 1 KiB may claim any size.
            let holes_bytes = match &pieces {
                Some(_) => size_bytes.saturating_sub(blocks.content_bytes()),
                None => 0,
            };
            if size_bytes > budget.uncompressed_bytes.get()
                || pay(&budget.uncompressed_bytes, holes_bytes).is_none()
            {
                return Err(EntryError::Limit(format!(
                    "{} with `{}`",
                    budget.too_large(),
                    shown(&entry.path)
                ))
                .into());
            }
            totals.file_bytes += size_bytes;
            if let Some(pieces) = pieces {
                visit(&entry, &mut Expanded::new(&mut blocks, pieces, size_bytes))?;
                continue;
            }
        }
        visit(&entry, &mut blocks)?;
    }
    // Padding after the end marker belongs to the DiffID and to the blob's digest: read on until
    // the source says it is the end.
    io::copy(&mut blocks.into_inner(), &mut io::sink()).map_err(EntryError::Read)?;
    Ok(totals)
}

/// Values of the extension headers for the next entry.
#[derive(Default)]
pub(crate) struct Extensions {
    /// Its name.
    pub path: Option<Vec<u8>>,
    /// Its link target.
    pub link: Option<Vec<u8>>,
    /// Its size, in bytes.
    pub size_bytes: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<u64>,
    sparse: PaxSparse,
    xattrs: Vec<Xattr>,
}

impl Extensions {
    /// Processes an extension header of this type and size, whose bytes `content` has; returns
    /// `false` for an ordinary entry.
    pub(crate) fn absorb(
        &mut self,
        kind: tar::EntryType,
        stated: u64,
        content: impl Read,
    ) -> Result<bool, EntryError> {
        if !(kind.is_gnu_longname()
            || kind.is_gnu_longlink()
            || kind.is_pax_local_extensions()
            || kind.is_pax_global_extensions())
        {
            return Ok(false);
        }
        if stated > MAX_EXTENSION_BYTES {
            return Err(EntryError::Limit(format!(
                "an extension header of {stated} bytes, over the limit of {MAX_EXTENSION_BYTES}"
            )));
        }
        let mut bytes = Vec::new();
        content.take(stated).read_to_end(&mut bytes)?;
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
            // A global header carries comments (git archive writes one) and defaults that no layer
            // relies on.
        }
        Ok(true)
    }

    fn absorb_pax(&mut self, mut bytes: &[u8]) -> Result<(), EntryError> {
        while !bytes.is_empty() {
            let (key, value, rest) =
                pax_record(bytes).ok_or_else(|| invalid("a pax header is malformed"))?;
            bytes = rest;
            let number = || {
                let text = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                text.ok_or_else(|| invalid("a pax header contains an invalid number"))
            };
            match key {
                // An empty value takes an earlier one back: the entry's own header counts.
                b"path" => self.path = some_unless_empty(value),
                b"linkpath" => self.link = some_unless_empty(value),
                b"size" if value.is_empty() => self.size_bytes = None,
                b"uid" if value.is_empty() => self.uid = None,
                b"gid" if value.is_empty() => self.gid = None,
                b"size" => self.size_bytes = Some(number()?),
                b"uid" => self.uid = Some(number()?),
                b"gid" => self.gid = Some(number()?),
                // Seconds with a fraction, or before 1970.
                b"mtime" => self.mtime = whole_seconds(value),
                key if key.starts_with(b"GNU.sparse.") => self
                    .sparse
                    .absorb(&key[b"GNU.sparse.".len()..], value)
                    .ok_or_else(|| invalid("a sparse file's map is malformed"))?,
                key => {
                    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                        let name = OsStr::from_bytes(name).to_owned();
                        self.xattrs.push(Xattr { name, value: value.to_vec() });
                    }
                }
            }
        }
        Ok(())
    }

    /// The entry of `header`, with the values of its extension headers; for a sparse file also the
    /// positions of its bytes. The map of a sparse file may precede its content, in `blocks`.
    fn into_entry(
        mut self,
        header: &tar::Header,
        blocks: &mut Blocks<impl Read>,
    ) -> Result<(Entry, Option<Vec<Piece>>), EntryError> {
        let sparse_name = self.sparse.name.take();
        let name = sparse_name.or(self.path).unwrap_or_else(|| header.path_bytes().into_owned());
        let shown = shorten(&name);
        let refuse = |why| Err(EntryError::Name { path: shown.clone(), why });
        let unsupported = |what| Err(EntryError::Unsupported { path: shown.clone(), what });
        let path = clean(&name, &shown)?;
        let stored_bytes = blocks.content_bytes();
        // A link or a folder has no content, whatever either size states.
        let kind = header.entry_type();
        let has_content = kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse();
        if has_content && self.size_bytes.is_some_and(|said| said != stored_bytes) {
            return refuse("two sizes that contradict each other");
        }
        let link = self.link.or_else(|| header.link_name_bytes().map(|l| l.into_owned()));
        let link = link.unwrap_or_default();
        let mut pieces = None;
        let kind = match header.entry_type() {
            kind if kind == tar::EntryType::GNUSparse || self.sparse.is_stated() => {
                let map = match kind {
                    tar::EntryType::GNUSparse => old_gnu_map(header, blocks),
                    tar::EntryType::Regular => self.sparse.map(blocks),
                    _ => None,
                };
                let Some((map, size_bytes)) = map else {
                    return unsupported("a sparse file whose map contradicts its size");
                };
                pieces = Some(map);
                Kind::File { size_bytes }
            }
            // Archives from before POSIX mark a directory by a slash alone.
            tar::EntryType::Regular
                if name.ends_with(b"/") && stored_bytes == 0 && header.as_bytes()[TYPE] == 0 =>
            {
                Kind::Directory
            }
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                Kind::File { size_bytes: stored_bytes }
            }
            tar::EntryType::Directory => Kind::Directory,
            tar::EntryType::Symlink => Kind::Symlink { target: symlink_target(link, &shown)? },
            tar::EntryType::Link => Kind::Hardlink { target: clean(&link, &shown)? },
            tar::EntryType::Char => Kind::Special { what: "a character device" },
            tar::EntryType::Block => Kind::Special { what: "a block device" },
            tar::EntryType::Fifo => Kind::Fifo,
            _ => return unsupported("of an unsupported kind"),
        };
        if path.as_os_str().is_empty() && kind != Kind::Directory {
            return refuse("the root is a directory");
        }
        let owner = |stated: Option<u64>, field: std::ops::Range<usize>| match stated {
            Some(id) => Some(id),
            None => number(&header.as_bytes()[field]).and_then(|id| u64::try_from(id).ok()),
        };
        let owners = owner(self.uid, UID).zip(owner(self.gid, GID));
        // The largest means "unchanged".
        let fits = |id: &u64| *id < u64::from(u32::MAX);
        let Some((uid, gid)) = owners.filter(|(uid, gid)| fits(uid) && fits(gid)) else {
            return refuse("an owner beyond 32 bits");
        };
        let field = |range| number(&header.as_bytes()[range]);
        let Some((mode, mtime)) = field(MODE).zip(field(MTIME)) else {
            return refuse("its header contains an invalid number");
        };
        let mtime = self.mtime.unwrap_or_else(|| u64::try_from(mtime).unwrap_or(0));
        let xattrs = self.xattrs;
        let mode = (mode & 0o7777) as u32;
        Ok((Entry { path, kind, mode, uid, gid, mtime, xattrs }, pieces))
    }
}

/// `LENGTH KEY=VALUE\n`, where LENGTH counts the whole record: key, value and what follows. A value
/// may hold any byte, a line feed among them (POSIX.1-2017, pax, "pax Extended Header").
fn pax_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = bytes.iter().position(|b| *b == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..blank]).ok()?.parse().ok()?;
    let record = bytes.get(blank + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|b| *b == b'=')?;
    Some((&record[..equals], &record[equals + 1..], &bytes[length..]))
}

/// The whole seconds of a decimal number; 0 for a time before 1970.
fn whole_seconds(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    let whole = text.split('.').next()?;
    if whole.starts_with('-') { Some(0) } else { whole.parse().ok() }
}

fn some_unless_empty(value: &[u8]) -> Option<Vec<u8>> {
    (!value.is_empty()).then(|| value.to_vec())
}

/// Converts a name to a normalised relative path. It resolves `..` as text, before any link is
/// followed, and never above the root, as in a chroot.
fn clean(name: &[u8], shown: &str) -> Result<PathBuf, EntryError> {
    let refuse = |why| Err(EntryError::Name { path: shown.to_owned(), why });
    if name.len() > MAX_NAME_BYTES {
        return refuse("its name is longer than 4096 bytes");
    }
    if name.contains(&0) {
        return refuse("its name contains a zero byte");
    }
    let (mut path, mut depth) = (PathBuf::new(), 0);
    let bytes = OsString::from_vec(name.to_vec());
    for component in Path::new(&bytes).components() {
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
            Component::ParentDir => {
                path.pop();
                depth = depth.saturating_sub(1);
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    Ok(path)
}

/// A symbolic link's target, as written. It may point to nothing; this crate follows it only inside
/// the root (`openat2(RESOLVE_IN_ROOT)`).
fn symlink_target(target: Vec<u8>, shown: &str) -> Result<PathBuf, EntryError> {
    if target.is_empty() || target.len() >= MAX_NAME_BYTES || target.contains(&0) {
        let why = "its target is empty, too long or contains a zero byte";
        return Err(EntryError::Name { path: shown.to_owned(), why });
    }
    Ok(PathBuf::from(OsString::from_vec(target)))
}

fn invalid(why: &'static str) -> EntryError {
    EntryError::Read(io::Error::new(io::ErrorKind::InvalidData, why))
}

fn shorten(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(&name[..name.len().min(200)]);
    text.escape_debug().collect()
}

/// A path for a message. The path comes from a peer, so it is shortened, and control characters,
/// which could change a terminal, are removed.
pub(crate) fn shown(path: &Path) -> String {
    shorten(path.as_os_str().as_bytes())
}

/// Reader that returns an error, instead of an end of file, if more bytes arrive than are left.
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
