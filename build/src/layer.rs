//! Layer: packs a file tree as a tar with sorted entries and without data of this machine, and
//! compresses it; decompresses the layers of any image. It takes a value and returns bytes.
//! POSIX.1-2017 ustar (GNU names for paths that are too long for it); RFC 1952; OCI image-spec,
//! layer.md.

use crate::digest::{DiffId, Digest};
use crate::image::{Compression, Descriptor, media_type};
use crate::rootfs::{Node, Rootfs};
use std::io::{self, Read};

/// Largest uncompressed layer that is built, in bytes; the smallest of the platforms' limits is 1
/// GiB compressed.
pub const MAX_LAYER_BYTES: u64 = 4 << 30;

/// Kind of manifest and of media types.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// OCI image-spec 1.1.
    Oci,
    /// Docker's manifest version 2, schema 2.
    Docker,
}

/// A packed layer.
#[derive(Clone, Debug)]
pub struct PackedLayer {
    /// Media type, digest and size of the compressed bytes.
    pub descriptor: Descriptor,
    /// Digest of the tar.
    pub diff_id: DiffId,
    /// Size of the tar, in bytes.
    pub uncompressed_bytes: u64,
    /// The compressed bytes.
    pub bytes: Vec<u8>,
}

/// Why a file tree cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// A name that a tar cannot contain.
    #[error("`/{path}` cannot be packed: {source}")]
    Name {
        /// Path in the image.
        path: String,
        /// The tar writer's error.
        source: io::Error,
    },
    /// Larger than [`MAX_LAYER_BYTES`].
    #[error(
        "the image's files have {0} bytes, more than the limit of {MAX_LAYER_BYTES}; leave out \
         files that the function does not need"
    )]
    TooLarge(u64),
    /// zstd with Docker's media types, which include none for it.
    #[error("zstd layers exist in OCI images only; use `--format oci`, or `--compression gzip`")]
    ZstdInDocker,
    /// The compressor failed.
    #[error("the layer cannot be compressed: {0}")]
    Compress(io::Error),
}

/// The media type of a layer.
///
/// # Errors
/// [`LayerError::ZstdInDocker`] for the only pair without a media type.
pub fn layer_media_type(
    format: Format,
    compression: Compression,
) -> Result<&'static str, LayerError> {
    match (format, compression) {
        (Format::Oci, Compression::None) => Ok(media_type::OCI_LAYER),
        (Format::Oci, Compression::Gzip) => Ok(media_type::OCI_LAYER_GZIP),
        (Format::Oci, Compression::Zstd) => Ok(media_type::OCI_LAYER_ZSTD),
        (Format::Docker, Compression::None) => Ok(media_type::DOCKER_LAYER),
        (Format::Docker, Compression::Gzip) => Ok(media_type::DOCKER_LAYER_GZIP),
        (Format::Docker, Compression::Zstd) => Err(LayerError::ZstdInDocker),
    }
}

/// Packs `rootfs` with `mtime` (seconds since 1970) on every entry.
///
/// # Errors
/// [`LayerError`]; the same input gives the same bytes.
pub fn pack(
    rootfs: &Rootfs,
    mtime: u64,
    format: Format,
    compression: Compression,
) -> Result<PackedLayer, LayerError> {
    let media_type = layer_media_type(format, compression)?;
    let tar = tar_of(rootfs, mtime)?;
    let (diff_id, uncompressed_bytes) = (DiffId::of(&tar), tar.len() as u64);
    let bytes = compress(tar, compression)?;
    let descriptor = Descriptor {
        media_type: media_type.to_owned(),
        digest: Digest::of(&bytes),
        size_bytes: bytes.len() as u64,
    };
    Ok(PackedLayer { descriptor, diff_id, uncompressed_bytes, bytes })
}

/// The tar of `rootfs`: numeric owners, the same time for all entries.
fn tar_of(rootfs: &Rootfs, mtime: u64) -> Result<Vec<u8>, LayerError> {
    let content_bytes: u64 = rootfs
        .entries()
        .map(
            |(_, node)| {
                if let Node::File { content, .. } = node { content.len() as u64 } else { 0 }
            },
        )
        .sum();
    if content_bytes > MAX_LAYER_BYTES {
        return Err(LayerError::TooLarge(content_bytes));
    }
    let entries = rootfs.entries().count();
    // Reserved at once, because growing by doubling would hold the content twice.
    let mut tar =
        tar::Builder::new(Vec::with_capacity(content_bytes as usize + entries * 1536 + 1024));
    for (path, node) in rootfs.entries() {
        let mut header = tar::Header::new_ustar();
        header.set_mtime(mtime);
        let attributes = rootfs.attributes(path);
        header.set_uid(attributes.uid.into());
        header.set_gid(attributes.gid.into());
        header.set_mode(attributes.mode.unwrap_or(node.mode()));
        header.set_size(0);
        let result = match node {
            Node::Folder { .. } => {
                header.set_entry_type(tar::EntryType::Directory);
                tar.append_data(&mut header, format!("{path}/"), io::empty())
            }
            Node::File { content, .. } => {
                header.set_entry_type(tar::EntryType::Regular);
                header.set_size(content.len() as u64);
                tar.append_data(&mut header, path, content.as_ref())
            }
            Node::Symlink { target } => {
                header.set_entry_type(tar::EntryType::Symlink);
                tar.append_link(&mut header, path, target)
            }
        };
        result.map_err(|source| LayerError::Name { path: path.to_owned(), source })?;
    }
    tar.into_inner().map_err(LayerError::Compress)
}

fn unread(program: &str) -> io::Error {
    let why = format!("it is compressed by {program}; only gzip and zstd are supported");
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The blob of a layer's tar.
///
/// # Errors
/// [`LayerError::Compress`].
pub fn compress(tar: Vec<u8>, compression: Compression) -> Result<Vec<u8>, LayerError> {
    match compression {
        Compression::None => Ok(tar),
        Compression::Gzip => {
            // Level 12 compresses as well as zopfli in a twentieth of its time; its header contains
            // no time and no name.
            let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::best());
            let mut out = vec![0; compressor.gzip_compress_bound(tar.len())];
            let size = compressor
                .gzip_compress(&tar, &mut out)
                .map_err(|e| LayerError::Compress(io::Error::other(e.to_string())))?;
            out.truncate(size);
            Ok(out)
        }
        // 19 is the highest level that needs no more memory to decompress than the default level.
        Compression::Zstd => zstd::bulk::compress(&tar, 19).map_err(LayerError::Compress),
    }
}

/// The uncompressed tar of a layer's blob. The first bytes decide about the compression, as in
/// Docker Engine, because some tools write a wrong media type.
///
/// # Errors
/// The blob cannot be read, its compression is not supported, or the decompressor cannot be set up.
pub fn decompress<'a>(
    mut blob: impl Read + 'a,
    stated: Compression,
) -> io::Result<Box<dyn Read + 'a>> {
    let mut magic = Vec::with_capacity(6);
    blob.by_ref().take(6).read_to_end(&mut magic)?;
    let compression = match magic.as_slice() {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        [0xfd, b'7', b'z', b'X', b'Z', 0] => return Err(unread("xz")),
        [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A'] => return Err(unread("bzip2")),
        // A truncated blob: report the error of the stated compression.
        magic if magic.len() < 6 => stated,
        _ => Compression::None,
    };
    let blob = io::Cursor::new(magic).chain(blob);
    Ok(match compression {
        Compression::None => Box::new(blob),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(
            io::BufReader::with_capacity(1 << 16, blob),
        )),
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::new(blob)?;
            // 128 MiB, zstd's own default limit: the peer chooses the window, which takes memory
            // here
            decoder.window_log_max(27)?;
            Box::new(decoder)
        }
    })
}
