//! The files of an image, flattened: every layer read in order, whiteouts applied, nothing written to disk. It is what
//! `inspect`, `diff` and `check` look at. OCI image-spec 1.1, layer.md, "Applying changesets".

use crate::digest::{DiffId, Digest, HashingReader};
use crate::entry::{Entry, EntryError, Kind, Limits, read_entries};
use crate::image::{Compression, Image};
use crate::layer::decompress;
use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// An image's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// By path without leading slash; the root itself is not listed.
    pub files: BTreeMap<PathBuf, Found>,
    /// What each layer held, lowest first.
    pub layers: Vec<LayerContents>,
}

/// One file, folder or link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub what: What,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
}

/// What a path is.
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
        /// Whether it begins as an ELF file does.
        elf: bool,
    },
    /// A symbolic link.
    Symlink {
        /// As written.
        target: PathBuf,
    },
}

/// What one layer held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerContents {
    /// Entries of its tar.
    pub entries: u64,
    /// Size of its tar, in bytes.
    pub uncompressed_bytes: u64,
    /// DiffID as found, which may differ from the promised one.
    pub diff_id: DiffId,
}

/// Why an image's files could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    /// An entry or the layer's stream is broken or hostile.
    #[error("layer `{layer}`: {source}")]
    Layer {
        /// Digest of the compressed layer.
        layer: Digest,
        /// What is wrong.
        source: EntryError,
    },
    /// A media type that is no layer.
    #[error("layer `{layer}` has the media type `{media_type}`, which this program does not read")]
    MediaType {
        /// Digest of the compressed layer.
        layer: Digest,
        /// As the manifest says.
        media_type: String,
    },
}

/// Reads every layer of `image`, verifying each blob's digest.
///
/// # Errors
/// [`ContentsError`] with the layer and the entry.
pub fn read(image: &Image, limits: &Limits) -> Result<Contents, ContentsError> {
    let mut files = BTreeMap::new();
    let mut layers = Vec::new();
    for layer in image.layers() {
        let descriptor = layer.descriptor();
        let at = |source| ContentsError::Layer { layer: descriptor.digest, source };
        let compression = Compression::of_media_type(&descriptor.media_type).ok_or_else(|| {
            ContentsError::MediaType { layer: descriptor.digest, media_type: descriptor.media_type.clone() }
        })?;
        let mut blob = layer.open().map_err(|e| at(e.into()))?;
        let mut tar = HashingReader::new(decompress(&mut blob, compression).map_err(|e| at(e.into()))?);
        let mut made = HashSet::new();
        let totals =
            read_entries(&mut tar, limits, |entry, bytes| apply(&mut files, &mut made, entry, bytes)).map_err(at)?;
        let (diff_id, uncompressed_bytes) = tar.finish();
        io::copy(&mut blob, &mut io::sink()).map_err(|e| at(e.into()))?;
        layers.push(LayerContents { entries: totals.entries, uncompressed_bytes, diff_id: DiffId(diff_id) });
    }
    Ok(Contents { files, layers })
}

/// The content of the regular file `path` (clean, without leading slash), if the topmost layer that has it is not hidden;
/// at most `limit_bytes` are read.
///
/// # Errors
/// [`ContentsError`], a larger file among them.
pub fn read_file(
    image: &Image,
    path: &Path,
    limit_bytes: u64,
    limits: &Limits,
) -> Result<Option<Vec<u8>>, ContentsError> {
    for layer in image.layers().iter().rev() {
        let descriptor = layer.descriptor();
        let at = |source| ContentsError::Layer { layer: descriptor.digest, source };
        let Some(compression) = Compression::of_media_type(&descriptor.media_type) else { continue };
        let blob = layer.open().map_err(|e| at(e.into()))?;
        let tar = decompress(blob, compression).map_err(|e| at(e.into()))?;
        let mut found = None;
        read_entries(tar, limits, |entry, bytes| match entry.kind {
            Kind::File { size_bytes } if entry.path == path && size_bytes > limit_bytes => Err(EntryError::Limit(
                format!("`/{}` has {size_bytes} bytes, at most {limit_bytes} are read", path.display()),
            )),
            Kind::File { .. } if entry.path == path => {
                let mut content = Vec::new();
                bytes.read_to_end(&mut content)?;
                found = Some(content);
                Ok(())
            }
            _ => Ok(()),
        })
        .map_err(at)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn apply(
    files: &mut BTreeMap<PathBuf, Found>,
    made: &mut HashSet<PathBuf>,
    entry: &Entry,
    bytes: &mut dyn Read,
) -> Result<(), EntryError> {
    let (Some(name), Some(folder)) = (entry.path.file_name(), entry.path.parent()) else { return Ok(()) };
    if let Some(hidden) = name.as_bytes().strip_prefix(b".wh.") {
        if hidden == b".wh..opq" {
            files.retain(|path, _| !path.starts_with(folder) || path == folder || made.contains(path));
        } else {
            let hidden = folder.join(std::ffi::OsStr::from_bytes(hidden));
            files.retain(|path, _| !path.starts_with(&hidden));
        }
        return Ok(());
    }
    for parent in folder.ancestors().filter(|p| !p.as_os_str().is_empty()) {
        // A folder that no layer lists is made as runtimes make it.
        files.entry(parent.to_owned()).or_insert(Found { what: What::Folder, mode: 0o755, uid: 0, gid: 0 });
        made.insert(parent.to_owned());
    }
    let what = match &entry.kind {
        Kind::Directory => What::Folder,
        Kind::Symlink { target } => What::Symlink { target: target.clone() },
        Kind::Hardlink { target } => {
            let original = files.get(target).cloned();
            let original = original.ok_or_else(|| EntryError::Name {
                path: entry.path.display().to_string(),
                why: "a hard link to nothing",
            })?;
            files.insert(entry.path.clone(), original);
            made.insert(entry.path.clone());
            return Ok(());
        }
        Kind::File { size_bytes } => {
            let mut reader = HashingReader::new(bytes);
            let mut magic = Vec::new();
            (&mut reader).take(4).read_to_end(&mut magic)?;
            io::copy(&mut reader, &mut io::sink())?;
            let (digest, read_bytes) = reader.finish();
            if read_bytes != *size_bytes {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("`{}` ends early", entry.path.display()),
                )
                .into());
            }
            What::File { size_bytes: *size_bytes, digest, elf: magic == b"\x7fELF" }
        }
    };
    if what != What::Folder {
        files.retain(|path, _| !path.starts_with(&entry.path)); // what a folder held goes with it
    }
    files.insert(entry.path.clone(), Found { what, mode: entry.mode, uid: entry.uid, gid: entry.gid });
    made.insert(entry.path.clone());
    Ok(())
}
