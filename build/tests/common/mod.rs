//! What several tests need: layers written entry by entry, hostile ones among them, and images around them.
#![allow(dead_code)] // each test file uses its part

use microimage::digest::{DiffId, Digest};
use microimage::image::{Blob, Image, media_type};
use serde_json::json;
use std::io::Write;

/// A tar under construction whose headers say exactly what the test wants, true or not.
#[derive(Default)]
pub struct Tar(Vec<u8>);

impl Tar {
    pub fn file(self, name: &str, content: &[u8]) -> Tar {
        self.raw(name, b'0', "", 0o644, content)
    }

    pub fn folder(self, name: &str, mode: u32) -> Tar {
        self.raw(name, b'5', "", mode, b"")
    }

    pub fn symlink(self, name: &str, target: &str) -> Tar {
        self.raw(name, b'2', target, 0o777, b"")
    }

    pub fn hardlink(self, name: &str, target: &str) -> Tar {
        self.raw(name, b'1', target, 0o644, b"")
    }

    /// Any entry at all: names go into the header byte for byte, as no honest library would write them.
    pub fn raw(mut self, name: &str, kind: u8, link: &str, mode: u32, content: &[u8]) -> Tar {
        let mut header = tar::Header::new_ustar();
        let ustar = header.as_ustar_mut().expect("a ustar header");
        ustar.name[..name.len()].copy_from_slice(name.as_bytes());
        ustar.linkname[..link.len()].copy_from_slice(link.as_bytes());
        ustar.typeflag = [kind];
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn bytes(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("gzip into memory");
    encoder.finish().expect("gzip into memory")
}

/// An image of gzip layers, each an uncompressed tar here.
pub fn image(tars: &[Vec<u8>]) -> Image {
    let blobs: Vec<_> = tars.iter().map(|tar| gzip(tar)).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "config": {"Entrypoint": ["/app"], "Env": ["PATH=/bin"], "ExposedPorts": {"9000/tcp": {}}},
        "rootfs": {"type": "layers", "diff_ids": tars.iter().map(|t| DiffId::of(t)).collect::<Vec<_>>()},
    });
    image_of(&blobs, &config)
}

/// An image of gzip blobs and a configuration that may lie about them.
pub fn image_of(blobs: &[Vec<u8>], config: &serde_json::Value) -> Image {
    let config = config.to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": {"mediaType": media_type::OCI_CONFIG, "digest": Digest::of(&config), "size": config.len()},
        "layers": blobs.iter().map(|b| json!({"mediaType": media_type::OCI_LAYER_GZIP, "digest": Digest::of(b), "size": b.len()})).collect::<Vec<_>>(),
    });
    let blobs = blobs.to_vec();
    let find = |digest| blobs.iter().find(|b| Digest::of(b) == digest).expect("one of ours").clone();
    Image::from_parts(manifest.to_string().into_bytes(), config, |layer| Blob::from_bytes(find(layer.digest)))
        .expect("a consistent image")
}
