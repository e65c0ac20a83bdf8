//! Files of an image, flattened: every layer read in order, whiteouts applied, nothing written to
//! disk. `inspect`, `diff` and `check` use it. OCI image-spec 1.1, layer.md, "Applying changesets".

use crate::digest::{DiffId, Digest, HashingReader};
use crate::entry::{
    Budget, Capability, Entry, EntryError, Kind, LayerLimits, Whiteout, read_entries, shown,
};
use crate::image::{Compression, Image};
use crate::layer::decompress;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// Largest number of links that are followed on the way to one folder: Linux's limit
/// (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// An image's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// By path without leading slash; the root itself is not listed.
    pub files: BTreeMap<PathBuf, Found>,
    /// Content of each layer, lowest first.
    pub layers: Vec<LayerContents>,
    /// Devices, by path as in [`Contents::files`], with their kind. They are not unpacked.
    pub left_out: BTreeMap<PathBuf, &'static str>,
    /// The layer and the entry with the bytes of each file.
    origins: BTreeMap<PathBuf, Origin>,
}

/// Indexes of the layer and of its entry with a file's bytes, each counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Origin {
    layer: usize,
    entry: u64,
}

/// One file, folder or link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The kind of entry.
    pub what: What,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Capabilities that executing it grants (capabilities(7)).
    pub capability: Option<Capability>,
}

/// Kind of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A folder.
    Folder,
    /// A file, by size in bytes and digest.
    File {
        /// Size in bytes.
        size_bytes: u64,
        /// Digest of the content.
        digest: Digest,
        /// Whether it begins like an ELF file.
        elf: bool,
    },
    /// A symbolic link.
    Symlink {
        /// The target as written.
        target: PathBuf,
    },
    /// A FIFO (fifo(7)).
    Fifo,
}

/// Content of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerContents {
    /// Number of entries of its tar.
    pub entries: u64,
    /// Size of its tar, in bytes.
    pub uncompressed_bytes: u64,
    /// DiffID of the tar, which may differ from the configuration's.
    pub diff_id: DiffId,
}

/// Why an image's files could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    /// An entry or the layer's stream is malformed or hostile.
    #[error("layer `{layer}`: {source}")]
    Layer {
        /// Digest of the compressed layer.
        layer: Digest,
        /// What is wrong.
        source: EntryError,
    },
    /// A media type that is not a layer's.
    #[error("layer `{layer}` has the media type `{media_type}`, which is not supported")]
    MediaType {
        /// Digest of the compressed layer.
        layer: Digest,
        /// The media type in the manifest.
        media_type: String,
    },
}

/// Reads every layer of `image` and verifies each blob's digest. It refuses everything that
/// [`unpack`](crate::unpack) refuses.
///
/// # Errors
/// [`ContentsError`] with the layer and the entry.
pub fn read(image: &Image, limits: &LayerLimits) -> Result<Contents, ContentsError> {
    let budget = Budget::new(limits);
    let mut flat = Flat {
        nodes: BTreeMap::new(),
        left_out: BTreeMap::new(),
        layer: 0,
        entry: 0,
        budget: &budget,
    };
    let mut layers = Vec::new();
    for (number, layer) in image.layers().iter().enumerate() {
        let descriptor = layer.descriptor();
        let at = |source| ContentsError::Layer { layer: descriptor.digest, source };
        let compression = Compression::of_media_type(&descriptor.media_type).ok_or_else(|| {
            ContentsError::MediaType {
                layer: descriptor.digest,
                media_type: descriptor.media_type.clone(),
            }
        })?;
        let mut blob = layer.open().map_err(|e| at(e.into()))?;
        let mut tar =
            HashingReader::new(decompress(&mut blob, compression).map_err(|e| at(e.into()))?);
        (flat.layer, flat.entry) = (number, 0);
        let totals =
            read_entries(&mut tar, &budget, |entry, bytes| flat.apply(entry, bytes)).map_err(at)?;
        let (diff_id, uncompressed_bytes) = tar.finish();
        io::copy(&mut blob, &mut io::sink()).map_err(|e| at(e.into()))?;
        layers.push(LayerContents {
            entries: totals.entries,
            uncompressed_bytes,
            diff_id: DiffId(diff_id),
        });
    }
    let (mut files, mut origins) = (BTreeMap::new(), BTreeMap::new());
    for (path, node) in flat.nodes {
        if let What::File { .. } = node.found.what {
            origins.insert(path.clone(), node.origin);
        }
        files.insert(path, node.found);
    }
    Ok(Contents { files, layers, left_out: flat.left_out, origins })
}

impl Contents {
    /// Indexes of the layer and the entry of each file, each counted from 0.
    pub(crate) fn origins(&self) -> impl Iterator<Item = (usize, u64)> {
        self.origins.values().map(|origin| (origin.layer, origin.entry))
    }

    /// The bytes of the regular file `path` (normalised, without leading slash) of `image`, whose
    /// contents these are; at most `limit_bytes` are read. `None` if there is no such file.
    ///
    /// # Errors
    /// [`ContentsError`], also for a larger file.
    pub fn read_file(
        &self,
        image: &Image,
        path: &Path,
        limit_bytes: u64,
        limits: &LayerLimits,
    ) -> Result<Option<Vec<u8>>, ContentsError> {
        let Some(origin) = self.origins.get(path) else { return Ok(None) };
        let Some(layer) = image.layers().get(origin.layer) else { return Ok(None) };
        let descriptor = layer.descriptor();
        let at = |source| ContentsError::Layer { layer: descriptor.digest, source };
        let Some(compression) = Compression::of_media_type(&descriptor.media_type) else {
            return Ok(None);
        };
        let blob = layer.open().map_err(|e| at(e.into()))?;
        let tar = decompress(blob, compression).map_err(|e| at(e.into()))?;
        let (mut found, mut number) = (None, 0);
        read_entries(tar, &Budget::new(limits), |entry, bytes| {
            number += 1;
            match entry.kind {
                Kind::File { size_bytes } if number - 1 == origin.entry => {
                    if size_bytes > limit_bytes {
                        let shown = shown(path);
                        return Err(EntryError::Limit(format!(
                            "`/{shown}` has {size_bytes} bytes, over the limit of {limit_bytes}"
                        )));
                    }
                    let mut content = Vec::new();
                    bytes.read_to_end(&mut content)?;
                    found = Some(content);
                    Ok(())
                }
                _ => Ok(()),
            }
        })
        .map_err(at)?;
        Ok(found)
    }
}

/// The files after the layers read so far, by a path in which no folder is a link.
struct Flat<'a> {
    nodes: BTreeMap<PathBuf, Node>,
    left_out: BTreeMap<PathBuf, &'static str>,
    /// The layer being read.
    layer: usize,
    /// The entry being read.
    entry: u64,
    budget: &'a Budget,
}

struct Node {
    found: Found,
    /// The layer that contains it: an opaque whiteout hides only lower layers, wherever in its own
    /// layer it is.
    layer: usize,
    origin: Origin,
}

impl Flat<'_> {
    fn apply(&mut self, entry: &Entry, bytes: &mut dyn Read) -> Result<(), EntryError> {
        let origin = Origin { layer: self.layer, entry: self.entry };
        self.entry += 1;
        let (Some(name), Some(folder)) = (entry.path.file_name(), entry.path.parent()) else {
            return Ok(());
        };
        if entry.is_bookkeeping() {
            return Ok(());
        }
        if let Some(whiteout) = entry.whiteout()? {
            // A missing folder has no content to hide.
            if let Some(folder) = self.folder(folder, false).map_err(|why| why.of(entry))? {
                self.white_out(&folder, whiteout);
            }
            return Ok(());
        }
        let folder = self.folder(folder, true).map_err(|why| why.of(entry))?.unwrap_or_default();
        let path = folder.join(name);
        if !(entry.kind == Kind::Directory
            && self.nodes.get(&path).is_some_and(|n| n.found.what == What::Folder))
        {
            self.remove(&path); // including the content of a folder
        }
        let (mode, uid, gid) = (entry.mode, entry.uid, entry.gid);
        let what = match &entry.kind {
            Kind::Directory => What::Folder,
            Kind::Symlink { target } => {
                self.budget.path(target)?;
                What::Symlink { target: target.clone() }
            }
            Kind::File { size_bytes } => read_content(entry, *size_bytes, bytes)?,
            Kind::Fifo => What::Fifo,
            Kind::Hardlink { target } => {
                let (Some(name), Some(folder)) = (target.file_name(), target.parent()) else {
                    return Err(entry.refused("a link to the root"));
                };
                let folder = self.folder(folder, false).map_err(|why| why.of(entry))?;
                let target = folder.map(|folder| folder.join(name)).unwrap_or_default();
                if let Some(what) = self.left_out.get(&target).copied() {
                    return self.leave_out(path, what);
                }
                let (found, origin) = match self.nodes.get(&target) {
                    None => return Err(entry.refused("a hard link to a missing file")),
                    Some(node) if node.found.what == What::Folder => {
                        return Err(entry.refused("a hard link to a folder"));
                    }
                    Some(node) => (node.found.clone(), node.origin),
                };
                if let What::Symlink { target } = &found.what {
                    self.budget.path(target)?;
                }
                return self.put(path, found, origin);
            }
            Kind::Special { what } => return self.leave_out(path, what),
        };
        let capability = entry.capability();
        self.put(path, Found { what, mode, uid, gid, capability }, origin)
    }

    fn leave_out(&mut self, path: PathBuf, what: &'static str) -> Result<(), EntryError> {
        self.budget.path(&path)?;
        self.left_out.insert(path, what);
        Ok(())
    }

    fn put(&mut self, path: PathBuf, found: Found, origin: Origin) -> Result<(), EntryError> {
        self.budget.path(&path)?;
        self.nodes.insert(path, Node { found, layer: self.layer, origin });
        Ok(())
    }

    /// Removes `path` and everything below it.
    fn remove(&mut self, path: &Path) {
        for path in self.below(path) {
            self.nodes.remove(&path);
        }
        let from = (std::ops::Bound::Included(path), std::ops::Bound::Unbounded);
        let gone = self.left_out.range::<Path, _>(from).map(|(below, _)| below);
        let gone: Vec<_> = gone.take_while(|below| below.starts_with(path)).cloned().collect();
        for path in gone {
            self.left_out.remove(&path);
        }
    }

    /// `path` and everything below it. Paths are ordered part by part, so these are consecutive.
    fn below(&self, path: &Path) -> Vec<PathBuf> {
        let from = self
            .nodes
            .range::<Path, _>((std::ops::Bound::Included(path), std::ops::Bound::Unbounded));
        from.map(|(below, _)| below).take_while(|below| below.starts_with(path)).cloned().collect()
    }

    fn white_out(&mut self, folder: &Path, whiteout: Whiteout<'_>) {
        match whiteout {
            Whiteout::Name(name) => self.remove(&folder.join(name)),
            Whiteout::Opaque => {
                // In reverse order: a folder of a lower layer stays if it contains an entry of this
                // layer.
                let mut kept: Option<PathBuf> = None;
                for path in self.below(folder).into_iter().rev().filter(|path| path != folder) {
                    let is_of_this_layer =
                        self.nodes.get(&path).is_some_and(|node| node.layer == self.layer);
                    if is_of_this_layer || kept.as_ref().is_some_and(|kept| kept.starts_with(&path))
                    {
                        kept = Some(path);
                    } else {
                        self.nodes.remove(&path);
                    }
                }
            }
        }
    }

    /// The folder `path`, with every link on the way followed as if the root were `/`, as
    /// `openat2(RESOLVE_IN_ROOT)` does. With `make`, folders that no layer lists are created, as
    /// runtimes create them, but not at the target of a link.
    fn folder(&mut self, path: &Path, make: bool) -> Result<Option<PathBuf>, NoFolder> {
        let mut at = PathBuf::new();
        let mut links = 0;
        let mut left: Vec<(OsString, bool)> =
            path.iter().rev().map(|part| (part.to_owned(), false)).collect();
        while let Some((part, of_link)) = left.pop() {
            if part == ".." {
                at.pop();
                continue;
            }
            at.push(&part);
            match self.nodes.get(&at).map(|node| &node.found.what) {
                Some(What::Folder) => {}
                Some(What::File { .. } | What::Fifo) if !make => return Ok(None),
                Some(What::File { .. } | What::Fifo) => {
                    return Err(NoFolder::Refused("a part of its name is a file"));
                }
                Some(What::Symlink { target }) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(NoFolder::Refused("its name leads through too many links"));
                    }
                    at.pop();
                    if target.is_absolute() {
                        at = PathBuf::new();
                    }
                    left.extend(target.components().rev().filter_map(
                        |component| match component {
                            Component::Normal(part) => Some((part.to_owned(), true)),
                            Component::ParentDir => Some(("..".into(), true)),
                            _ => None,
                        },
                    ));
                }
                None if !make => return Ok(None),
                None if of_link => {
                    return Err(NoFolder::Refused("a link in its name has a missing target"));
                }
                None => {
                    self.budget.entry().map_err(NoFolder::Limit)?;
                    self.budget.path(&at).map_err(NoFolder::Limit)?;
                    let (what, mode, uid, gid) = (What::Folder, 0o755, 0, 0);
                    let found = Found { what, mode, uid, gid, capability: None };
                    let origin = Origin { layer: self.layer, entry: 0 };
                    self.nodes.insert(at.clone(), Node { found, layer: self.layer, origin });
                }
            }
        }
        Ok(Some(at))
    }
}

/// Why an entry has no folder.
enum NoFolder {
    Refused(&'static str),
    Limit(EntryError),
}

impl NoFolder {
    fn of(self, entry: &Entry) -> EntryError {
        match self {
            NoFolder::Refused(why) => entry.refused(why),
            NoFolder::Limit(error) => error,
        }
    }
}

/// Size, digest and kind of a file's bytes.
fn read_content(entry: &Entry, size_bytes: u64, bytes: &mut dyn Read) -> Result<What, EntryError> {
    let mut reader = HashingReader::new(bytes);
    let mut magic = Vec::new();
    (&mut reader).take(4).read_to_end(&mut magic)?;
    io::copy(&mut reader, &mut io::sink())?;
    let (digest, read_bytes) = reader.finish();
    if read_bytes != size_bytes {
        let early = io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("`{}` ends early", shown(&entry.path)),
        );
        return Err(early.into());
    }
    Ok(What::File { size_bytes, digest, elf: magic == b"\x7fELF" })
}
