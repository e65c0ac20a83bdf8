//! Target: a file read as an image archive. Reads stay within the file, and an accepted image is
//! the same after it is written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use microimage::{archive, source};
use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;

fuzz_target!(|input: &[u8]| {
    let mut tar = input.to_vec();
    fix_checksums(&mut tar);
    let home = tempfile::tempdir_in(memory()).expect("a folder");
    let path = home.path().join("image.tar");
    fs::write(&path, &tar).expect("a file");
    let Ok(image) = source::load(&path.display().to_string()) else { return };
    let whole = image.layers().iter().all(|layer| {
        let mut sent_bytes = 0;
        let read = layer.open().and_then(|reader| {
            sent_bytes = io::copy(&mut reader.take(tar.len() as u64 + 1), &mut io::sink())?;
            Ok(())
        });
        assert!(sent_bytes <= tar.len() as u64, "more than the file has");
        assert!(
            read.is_err() || sent_bytes == layer.descriptor().size_bytes,
            "neither verified nor refused"
        );
        read.is_ok()
    });
    let again = home.path().join("again.tar");
    let written = archive::write(&image, &again);
    assert_eq!(written.is_ok(), whole, "{written:?}");
    if whole {
        let read = source::load(&again.display().to_string()).expect("our own archive");
        assert_eq!(read.manifest_bytes(), image.manifest_bytes());
        assert_eq!(read.config_bytes(), image.config_bytes());
    } else {
        assert!(!again.exists(), "nothing half-written");
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
