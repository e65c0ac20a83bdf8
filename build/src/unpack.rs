//! Unpacker of layers into a folder on disk, with the result that a runtime would see: it applies
//! whiteouts, resolves links inside the folder, and writes nothing outside it. It runs nothing. OCI
//! image-spec 1.1, layer.md. It opens every path with `openat2(RESOLVE_IN_ROOT)`, so that a link of
//! a hostile layer never leads out of the folder (Linux 5.6 or newer).

#[cfg_attr(not(target_os = "linux"), path = "unpack/elsewhere.rs")]
mod tree;

use self::tree::Tree;
use crate::digest::{DiffId, Digest, HashingReader};
use crate::entry::{Budget, EntryError, LayerLimits, read_entries};
use crate::image::{Compression, Image};
pub use crate::layer::decompress;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Result of unpacking one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Digest of the uncompressed tar; compare it with the configuration's.
    pub diff_id: DiffId,
    /// Number of applied entries, including whiteouts.
    pub entries: u64,
    /// Bytes of regular files written.
    pub file_bytes: u64,
    /// Bytes of the uncompressed tar.
    pub uncompressed_bytes: u64,
    /// Number of extended attributes that were left out: namespaces other than `user` and
    /// `security.capability`, and attributes that the file system or the user's rights refused.
    pub ignored_xattrs: u64,
    /// Number of files that lost their capabilities this way.
    pub lost_capabilities: u64,
    /// Number of devices, which the unpacker does not create.
    pub left_out: u64,
}

/// Why a layer or an image was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The layer's tar is broken, hostile or too large.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The media type is not that of a layer.
    #[error("media type `{0}` is not a layer that can be unpacked; use tar, tar+gzip or tar+zstd")]
    MediaType(String),
    /// This system cannot unpack images, because it is not Linux.
    #[error("unpacking an image needs Linux (openat2); this machine has another system")]
    Elsewhere,
    /// A file or folder could not be created.
    #[error("`{path}` cannot be {what}: {source}")]
    Disk {
        /// Path inside the destination.
        path: PathBuf,
        /// The failed step.
        what: &'static str,
        /// The underlying I/O error.
        source: io::Error,
    },
    /// The uncompressed tar does not match the configuration's DiffID.
    #[error(
        "layer `{layer}` unpacks to `{found}`, the image states `{promised}`; nothing was kept"
    )]
    DiffId {
        /// Digest of the compressed layer.
        layer: Digest,
        /// DiffID of the unpacked tar.
        found: DiffId,
        /// DiffID in the configuration.
        promised: DiffId,
    },
    /// The destination exists.
    #[error("`{0}` already exists; name a folder that does not, or remove it first")]
    Exists(PathBuf),
}

/// Unpacks `image` into a new folder `dest`. It first unpacks into a temporary sibling; it renames
/// this if every digest is right, and removes it otherwise.
///
/// # Errors
/// [`UnpackError`]; then `dest` does not exist.
pub fn unpack_image(
    image: &Image,
    dest: &Path,
    limits: &LayerLimits,
) -> Result<Vec<Unpacked>, UnpackError> {
    if dest.symlink_metadata().is_ok() {
        return Err(UnpackError::Exists(dest.to_owned()));
    }
    // The folder is closed to other users until it is complete. Otherwise they could use a
    // world-writable folder of an image that root unpacks.
    let staging =
        crate::stage::Staging::private_folder(dest).map_err(|source| disk(dest, "made", source))?;
    let budget = Budget::new(limits);
    let mut tree = Tree::open(staging.path(), &budget)?;
    tree.set_root(0o755, None);
    let mut done = Vec::new();
    for layer in image.layers() {
        let descriptor = layer.descriptor();
        let blob = layer.open().map_err(EntryError::Read)?;
        let unpacked = apply(blob, &descriptor.media_type, &mut tree, &budget)?;
        if unpacked.diff_id != layer.diff_id() {
            return Err(UnpackError::DiffId {
                layer: descriptor.digest,
                found: unpacked.diff_id,
                promised: layer.diff_id(),
            });
        }
        done.push(unpacked);
    }
    tree.finish()?;
    staging.keep(dest).map_err(|source| disk(dest, "put into place", source))?;
    Ok(done)
}

/// Applies one layer to the folder `dest`, which exists and may hold lower layers. It reads `layer`
/// to its end, so a [`VerifyingReader`](crate::digest::VerifyingReader) has verified its digest
/// when this returns; compare [`Unpacked::diff_id`] yourself. It keeps owners if the process is
/// root; `limits` apply to this one layer.
///
/// # Errors
/// [`UnpackError`]; `dest` then holds part of the layer, use [`unpack_image`] for all or nothing.
pub fn unpack_layer(
    layer: impl Read,
    media_type: &str,
    dest: &Path,
    limits: &LayerLimits,
) -> Result<Unpacked, UnpackError> {
    let budget = Budget::new(limits);
    let mut tree = Tree::open(dest, &budget)?;
    let unpacked = apply(layer, media_type, &mut tree, &budget)?;
    tree.finish()?;
    Ok(unpacked)
}

/// The parts of an image that unpacking left out, one line each.
pub fn left_out(done: &[Unpacked]) -> Vec<String> {
    let sum = |of: fn(&Unpacked) -> u64| done.iter().map(of).sum::<u64>();
    let (devices, capabilities) = (sum(|u| u.left_out), sum(|u| u.lost_capabilities));
    let others = sum(|u| u.ignored_xattrs) - capabilities;
    let mut lines = Vec::new();
    if devices > 0 {
        lines.push(format!("left out: {devices} devices, which the platform provides"));
    }
    if capabilities > 0 {
        lines.push(format!(
            "left out: the capabilities of {capabilities} files; unpack as root onto a file \
             system that supports them"
        ));
    }
    if others > 0 {
        lines.push(format!("left out: {others} extended attributes"));
    }
    lines
}

fn apply(
    mut layer: impl Read,
    media_type: &str,
    tree: &mut Tree<'_>,
    budget: &Budget,
) -> Result<Unpacked, UnpackError> {
    let compression = Compression::of_media_type(media_type)
        .ok_or_else(|| UnpackError::MediaType(media_type.chars().take(200).collect()))?;
    let mut tar =
        HashingReader::new(decompress(&mut layer, compression).map_err(EntryError::Read)?);
    tree.next_layer();
    let totals = read_entries(&mut tar, budget, |entry, bytes| tree.apply(entry, bytes))?;
    let (diff_id, uncompressed_bytes) = tar.finish();
    // Bytes after the compressed stream's end still belong to the blob: reach its end, where the
    // blob's digest is verified.
    io::copy(&mut layer, &mut io::sink()).map_err(EntryError::Read)?;
    Ok(Unpacked {
        diff_id: DiffId(diff_id),
        entries: totals.entries,
        file_bytes: totals.file_bytes,
        uncompressed_bytes,
        ignored_xattrs: tree.ignored_xattrs,
        lost_capabilities: tree.lost_capabilities,
        left_out: tree.left_out,
    })
}

fn disk(path: &Path, what: &'static str, source: io::Error) -> UnpackError {
    UnpackError::Disk { path: path.to_owned(), what, source }
}
