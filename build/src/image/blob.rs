//! Blob: descriptor, source of bytes, compression. It opens no file. OCI image-spec 1.1,
//! descriptor.md.

use super::media_type;
use crate::digest::Digest;
use std::sync::Arc;
use std::{fmt, io, io::Read};

/// Compression of a layer's tar.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Compression {
    /// No compression.
    None,
    /// gzip, RFC 1952.
    Gzip,
    /// zstd, RFC 8878.
    Zstd,
}

impl Compression {
    /// The compression that a layer's media type names; `None` for one that is not a supported
    /// layer.
    pub fn of_media_type(media_type: &str) -> Option<Compression> {
        match media_type {
            media_type::OCI_LAYER | media_type::DOCKER_LAYER => Some(Compression::None),
            media_type::OCI_LAYER_GZIP | media_type::DOCKER_LAYER_GZIP => Some(Compression::Gzip),
            media_type::OCI_LAYER_ZSTD | media_type::DOCKER_LAYER_ZSTD => Some(Compression::Zstd),
            // Layers that must not be pushed (image-spec 1.0, layer.md, "Non-Distributable").
            media_type::DOCKER_FOREIGN_LAYER => Some(Compression::Gzip),
            _ => match media_type.strip_prefix(media_type::OCI_FOREIGN_LAYER)? {
                "" => Some(Compression::None),
                "+gzip" => Some(Compression::Gzip),
                "+zstd" => Some(Compression::Zstd),
                _ => None,
            },
        }
    }
}

/// Source of a blob's bytes. It can be opened repeatedly; every reader starts at the first byte.
#[derive(Clone)]
pub struct Blob(Arc<dyn Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync>);

impl Blob {
    /// A blob that `open` opens, each time from the start.
    pub fn new(
        open: impl Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync + 'static,
    ) -> Blob {
        Blob(Arc::new(open))
    }

    /// A blob in memory.
    pub fn from_bytes(bytes: impl Into<Arc<[u8]>>) -> Blob {
        let bytes = bytes.into();
        Blob::new(move || Ok(Box::new(io::Cursor::new(Arc::clone(&bytes)))))
    }

    /// Opens a reader at the first byte; nothing is verified.
    ///
    /// # Errors
    /// The source's error.
    pub fn open_unverified(&self) -> io::Result<Box<dyn Read + Send>> {
        (self.0)()
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blob")
    }
}

/// A blob's media type, digest and size, as a manifest names it (descriptor.md).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Descriptor {
    /// Kind of content, for example [`media_type::OCI_LAYER_GZIP`].
    pub media_type: String,
    /// Digest of the bytes as stored and sent.
    pub digest: Digest,
    /// Size of the bytes as stored and sent.
    pub size_bytes: u64,
}
