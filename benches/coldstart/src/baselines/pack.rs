//! Layers of programs that the image builder refuses on purpose: scripts and dynamic ELF files.

use libdeflater::{CompressionLvl, Compressor};
use microimage::digest::{DiffId, Digest};
use microimage::image::{Blob, Image, ImageError, media_type};
use serde_json::json;
use std::io;

/// A gzip layer in memory.
pub struct Layer {
    /// The tar, compressed.
    pub bytes: Vec<u8>,
    /// The digest of the tar without compression.
    pub diff_id: String,
}

/// A layer of executable files, owned by root, with no time of this machine.
pub fn layer(files: &[(&str, Vec<u8>)]) -> io::Result<Layer> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        tar.append_data(&mut header, path, &content[..])?;
    }
    Ok(compressed(&tar.into_inner()?))
}

/// gzip at level 6, which is Docker Engine's.
pub fn compressed(tar: &[u8]) -> Layer {
    let mut compressor = Compressor::new(CompressionLvl::default());
    let mut bytes = vec![0; compressor.gzip_compress_bound(tar.len())];
    let length =
        compressor.gzip_compress(tar, &mut bytes).expect("the buffer is as large as the bound");
    bytes.truncate(length);
    Layer { bytes, diff_id: DiffId::of(tar).to_string() }
}

/// The image with these layers and the baselines' port; like most images it states no user.
pub fn image(name: &str, layers: Vec<Layer>, argv: &[&str]) -> Result<Image, ImageError> {
    let diff_ids: Vec<&str> = layers.iter().map(|l| l.diff_id.as_str()).collect();
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": argv, "ExposedPorts": {format!("{}/tcp", super::PORT): {}}},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = config.to_string().into_bytes();
    let descriptor = |kind: &str, bytes: &[u8]| {
        json!({
            "mediaType": kind,
            "digest": Digest::of(bytes).to_string(),
            "size": bytes.len(),
        })
    };
    let described: Vec<_> =
        layers.iter().map(|l| descriptor(media_type::OCI_LAYER_GZIP, &l.bytes)).collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": descriptor(media_type::OCI_CONFIG, &config),
        "layers": described,
    });
    let mut blobs = layers.into_iter().map(|l| Blob::from_bytes(l.bytes));
    let image = Image::from_parts(manifest.to_string().into_bytes(), config, |_| {
        blobs.next().unwrap_or_else(|| Blob::from_bytes(Vec::new()))
    })?;
    Ok(image.with_reference(format!("{name}:latest")))
}
