//! Published events of tests/data/events; its README.md has their sources.

use std::fs;
use std::path::PathBuf;

/// Name and bytes of every sample that a trigger sends, sorted by name, without replies.
///
/// # Panics
/// If the folder cannot be read or is empty.
pub fn samples() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/events");
    let mut samples: Vec<(String, Vec<u8>)> = fs::read_dir(&folder)
        .expect("the samples are part of the repository")
        .map(|entry| entry.expect("a folder lists its entries").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, fs::read(&path).expect("a sample can be read"))
        })
        .collect();
    samples.sort();
    assert!(!samples.is_empty(), "no samples in {}", folder.display());
    samples
}
