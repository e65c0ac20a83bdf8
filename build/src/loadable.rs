//! Conversion of an image for `docker load`. Docker Engine before version 23 does not support zstd
//! in an archive, so zstd layers become gzip layers. The files stay the same, and so does the
//! configuration, whose digest is Docker Engine's image id. It writes nothing.

use crate::digest::Digest;
use crate::image::{Blob, Compression, Image, ImageError, media_type};
use crate::json;
use crate::layer::{self, LayerError};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{self, Read};

/// Why an image could not be converted.
#[derive(Debug, thiserror::Error)]
pub enum LoadableError {
    /// A layer cannot be read.
    #[error("layer `{digest}` cannot be unpacked: {source}; build the image again")]
    Layer {
        /// The layer.
        digest: Digest,
        /// The underlying I/O error.
        source: io::Error,
    },
    /// A layer cannot be compressed.
    #[error(transparent)]
    Compress(#[from] LayerError),
    /// The converted image cannot be parsed.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// Returns `image` with gzip layers in place of zstd layers. Each converted layer is held in
/// memory.
///
/// # Errors
/// [`LoadableError`].
pub fn loadable(image: &Image) -> Result<Image, LoadableError> {
    let is_zstd =
        |media_type: &str| Compression::of_media_type(media_type) == Some(Compression::Zstd);
    if !image.layers().iter().any(|layer| is_zstd(&layer.descriptor().media_type)) {
        return Ok(image.clone());
    }
    let mut blobs = HashMap::new();
    let mut layers = Vec::new();
    for layer in image.layers() {
        let descriptor = layer.descriptor();
        if !is_zstd(&descriptor.media_type) {
            let layer = layer.clone();
            let open = move || -> io::Result<Box<dyn Read + Send>> { Ok(Box::new(layer.open()?)) };
            blobs.insert(descriptor.digest, Blob::new(open));
            layers.push(json!({
                "mediaType": descriptor.media_type,
                "digest": descriptor.digest,
                "size": descriptor.size_bytes,
            }));
            continue;
        }
        let mut tar = Vec::new();
        layer
            .open()
            .and_then(|blob| layer::decompress(blob, Compression::Zstd))
            .and_then(|mut reader| reader.read_to_end(&mut tar))
            .map_err(|source| LoadableError::Layer { digest: descriptor.digest, source })?;
        let bytes = layer::compress(tar, Compression::Gzip)?;
        let digest = Digest::of(&bytes);
        layers.push(json!({
            "mediaType": media_type::OCI_LAYER_GZIP, "digest": digest, "size": bytes.len(),
        }));
        blobs.insert(digest, Blob::from_bytes(bytes));
    }
    let mut manifest: Value = serde_json::from_slice(image.manifest_bytes())
        .map_err(|error| ImageError::Manifest(error.to_string()))?;
    manifest["layers"] = json!(layers);
    let config = image.config_bytes().to_vec();
    let made = Image::from_parts(json::canonical(&manifest), config, |layer| {
        blobs[&layer.digest].clone()
    })?;
    let mut names = image.references().map(str::to_owned);
    Ok(match names.next() {
        Some(name) => made.with_reference(name).with_further_references(names.collect()),
        None => made,
    })
}
