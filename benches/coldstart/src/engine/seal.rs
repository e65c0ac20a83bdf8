//! Seal of an image: makes one of which a daemon cannot have any part. Otherwise a layer that
//! another local image shares is not pulled, and the measurement is not cold. The first layer gets
//! a pax global header with a nonce in front (POSIX.1-2017, pax; every unpacker ignores it), as a
//! gzip member of its own if the layer is gzip (RFC 1952, 2.2: members concatenate). Files, modes
//! and all other bytes stay. A label names the run, so that images of killed runs can be found.
//! Pure.

use libdeflater::{CompressionLvl, Compressor};
use microimage::digest::{DiffId, Digest};
use microimage::image::{Blob, Compression, Image};
use microimage::unpack;
use serde_json::Value;
use std::io::Read;

/// Why an image cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The layer cannot be read.
    #[error("the image's first layer cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// A layer of an unknown kind.
    #[error("the image's first layer is `{0}`; Docker Engine accepts gzip and plain tar")]
    MediaType(String),
    /// Its JSON has an unexpected form.
    #[error("the image's manifest or configuration cannot be changed: {0}")]
    Json(#[from] serde_json::Error),
    /// The image cannot be read.
    #[error(transparent)]
    Image(#[from] microimage::image::ImageError),
    /// The image has no layer.
    #[error("the image has no layer")]
    NoLayer,
}

/// The same image with a unique first layer, and one more label.
///
/// # Errors
/// [`SealError`]
pub fn seal(image: &Image, nonce: &str, (label, owner): (&str, &str)) -> Result<Image, SealError> {
    let first = image.layers().first().ok_or(SealError::NoLayer)?;
    let media_type = &first.descriptor().media_type;
    let unknown = || SealError::MediaType(media_type.clone());
    let compression = Compression::of_media_type(media_type).ok_or_else(unknown)?;
    let header = global_header(nonce);
    let mut blob = match compression {
        Compression::None => header.clone(),
        Compression::Gzip => gzip_member(&header),
        Compression::Zstd => return Err(unknown()),
    };
    first.open()?.read_to_end(&mut blob)?;
    let mut tar = Vec::new();
    unpack::decompress(&blob[..], compression)?.read_to_end(&mut tar)?;

    let mut config: Value = serde_json::from_slice(image.config_bytes())?;
    config["rootfs"]["diff_ids"][0] = DiffId::of(&tar).to_string().into();
    if !config["config"]["Labels"].is_object() {
        config["config"]["Labels"] = serde_json::json!({});
    }
    config["config"]["Labels"][label] = owner.into();
    let config = serde_json::to_vec(&config)?;
    let mut manifest: Value = serde_json::from_slice(image.manifest_bytes())?;
    for (place, bytes) in [("/config", &config), ("/layers/0", &blob)] {
        if let Some(descriptor) = manifest.pointer_mut(place) {
            descriptor["digest"] = Digest::of(bytes).to_string().into();
            descriptor["size"] = bytes.len().into();
        }
    }
    let sealed = Digest::of(&blob);
    let (blob, others) = (Blob::from_bytes(blob), image.clone());
    Ok(Image::from_parts(serde_json::to_vec(&manifest)?, config, |layer| {
        let other = others.layers().iter().find(|l| l.descriptor().digest == layer.digest).cloned();
        match other.filter(|_| layer.digest != sealed) {
            Some(other) => Blob::new(move || Ok(Box::new(other.open()?))),
            None => blob.clone(),
        }
    })?)
}

/// A pax global header with one record, `comment`: two blocks of 512 bytes.
fn global_header(nonce: &str) -> Vec<u8> {
    let text = format!(" comment={nonce}\n");
    // The record's length counts its own digits (pax, "Extended Header").
    let length =
        (1..).map(|digits| text.len() + digits).find(|n| n.to_string().len() + text.len() == *n);
    let record = format!("{}{text}", length.unwrap_or(text.len()));
    let mut block = [0u8; 1024];
    let (head, body) = block.split_at_mut(512);
    head[..17].copy_from_slice(b"pax_global_header");
    head[100..108].copy_from_slice(b"0000644\0");
    head[108..116].copy_from_slice(b"0000000\0");
    head[116..124].copy_from_slice(b"0000000\0");
    head[124..136].copy_from_slice(format!("{:011o}\0", record.len()).as_bytes());
    head[136..148].copy_from_slice(b"00000000000\0");
    head[148..156].copy_from_slice(b"        ");
    head[156] = b'g';
    head[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = head.iter().map(|&b| u32::from(b)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let used = record.len().min(512);
    body[..used].copy_from_slice(&record.as_bytes()[..used]);
    block.to_vec()
}

fn gzip_member(bytes: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::default());
    let mut member = vec![0; compressor.gzip_compress_bound(bytes.len())];
    let length =
        compressor.gzip_compress(bytes, &mut member).expect("the buffer is as large as the bound");
    member.truncate(length);
    member
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tar_accepts_and_skips_the_header() {
        let mut bytes = global_header("coldstart-123");
        let mut plain = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        header.set_cksum();
        plain.append_data(&mut header, "file", &b"hi"[..]).expect("in memory");
        bytes.extend(plain.into_inner().expect("in memory"));
        let mut archive = tar::Archive::new(&bytes[..]);
        let kinds: Vec<_> = archive
            .entries()
            .expect("a tar")
            .map(|e| e.expect("an entry").header().entry_type())
            .collect();
        assert_eq!(kinds, [tar::EntryType::XGlobalHeader, tar::EntryType::Regular]);
        assert!(
            String::from_utf8_lossy(&bytes[512..1024]).starts_with("25 comment=coldstart-123\n")
        );
    }
}
