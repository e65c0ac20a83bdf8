//! Target: a layer, read twice. Unpacking and listing have the same verdict, the list equals the
//! files on disk, and nothing is written outside of the folder.
#![no_main]

use libfuzzer_sys::fuzz_target;
use microimage::contents::{self, What};
use microimage::digest::{DiffId, Digest};
use microimage::entry::Limits;
use microimage::image::Compression;
use microimage::image::{Blob, Image, media_type};
use microimage::layer::decompress;
use microimage::unpack::{unpack_image, unpack_layer};
use serde_json::json;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

const MAX_TAR_BYTES: u64 = 256 << 10;

fuzz_target!(|input: &[u8]| {
    let Some((kind, blob)) = input.split_first() else { return };
    let compression =
        [Compression::None, Compression::Gzip, Compression::Zstd][usize::from(*kind) % 3];
    let mut tar = Vec::new();
    let read = decompress(blob, compression)
        .and_then(|tar_of| tar_of.take(MAX_TAR_BYTES + 1).read_to_end(&mut tar));
    let home = tempfile::tempdir_in(memory()).expect("a folder");
    let dest = home.path().join("rootfs");
    if read.is_err() || tar.len() as u64 > MAX_TAR_BYTES {
        let kind = [media_type::OCI_LAYER, media_type::OCI_LAYER_GZIP, media_type::OCI_LAYER_ZSTD]
            [usize::from(*kind) % 3];
        fs::create_dir(&dest).expect("a folder");
        let limits = Limits { max_uncompressed_bytes: MAX_TAR_BYTES, ..Limits::default() };
        assert!(unpack_layer(blob, kind, &dest, &limits).is_err(), "it is broken or too large");
        return;
    }
    fix_checksums(&mut tar);
    let image = image_of(&tar);
    // Both count entries and bytes alike, but each stores paths in its own way.
    let limits = Limits {
        max_entries: 2000,
        max_uncompressed_bytes: 2 * MAX_TAR_BYTES,
        max_path_bytes: u64::MAX,
    };
    let listed = contents::read(&image, &limits);
    let unpacked = unpack_image(&image, &dest, &limits);
    assert_eq!(
        listed.is_ok(),
        unpacked.is_ok(),
        "listing says {:?}, unpacking {unpacked:?}",
        listed.as_ref().err()
    );
    let names: Vec<_> = fs::read_dir(home.path())
        .expect("a folder")
        .map(|e| e.expect("an entry").file_name())
        .collect();
    assert_eq!(names.len(), usize::from(unpacked.is_ok()), "{names:?}");
    let Ok(listed) = listed else { return };
    let mut on_disk = Vec::new();
    walk(&dest, Path::new(""), &mut on_disk);
    on_disk.sort();
    assert_eq!(listed.files.keys().cloned().collect::<Vec<_>>(), on_disk);
    for (path, found) in &listed.files {
        if let What::File { digest, .. } = &found.what {
            let bytes =
                listed.read_file(&image, path, MAX_TAR_BYTES, &limits).expect("it was read before");
            assert_eq!(bytes.map(|bytes| Digest::of(&bytes)), Some(*digest), "{path:?}");
        }
    }
});

/// A folder in memory (/dev/shm), if there is one.
fn memory() -> PathBuf {
    let shared = PathBuf::from("/dev/shm");
    if shared.is_dir() { shared } else { std::env::temp_dir() }
}

/// Corrects the checksums of headers, so that the fuzzer reaches the code after the checksum.
fn fix_checksums(tar: &mut [u8]) {
    for block in tar.chunks_exact_mut(512) {
        if &block[257..262] == b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}

/// An image with two layers that are both `tar`: whiteouts and links of the second apply to the
/// entries of the first.
fn image_of(tar: &[u8]) -> Image {
    let diff_id = DiffId::of(tar);
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [diff_id, diff_id]},
    });
    let config = config.to_string().into_bytes();
    let layer =
        json!({"mediaType": media_type::OCI_LAYER, "digest": Digest::of(tar), "size": tar.len()});
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": {
            "mediaType": media_type::OCI_CONFIG,
            "digest": Digest::of(&config),
            "size": config.len(),
        },
        "layers": [layer, layer],
    });
    let blob = Blob::from_bytes(tar.to_vec());
    Image::from_parts(manifest.to_string().into_bytes(), config, |_| blob.clone())
        .expect("a consistent image")
}

/// Every path below `folder`. Run this as root: for other users, folders that they may not read are
/// not compared.
fn walk(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root.join(folder)).expect("a folder") {
        let entry = entry.expect("an entry");
        let path = folder.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            walk(root, &path, found);
        }
        found.push(path);
    }
}
