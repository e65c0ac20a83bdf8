//! Target: index, manifest and configuration, three lines of JSON. Everything of an accepted image
//! can be read, it has a layer for each DiffID, and its layout reads back as the same image.
#![no_main]

use libfuzzer_sys::fuzz_target;
use microimage::contents::{Contents, LayerContents};
use microimage::digest::Digest;
use microimage::entry::Limits;
use microimage::image::{Blob, Image, parse_manifest};
use microimage::layout::{self, Store};
use microimage::{contents, inspect};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io;

/// A layout in memory.
struct Memory(HashMap<String, Vec<u8>>);

impl Store for Memory {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn file(&self, path: &str) -> io::Result<Option<(u64, Blob)>> {
        Ok(self.0.get(path).map(|bytes| (bytes.len() as u64, Blob::from_bytes(bytes.clone()))))
    }
}

fuzz_target!(|input: &[u8]| {
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let (index, manifest, config) = (
        lines.next().unwrap_or_default(),
        lines.next().unwrap_or_default().to_vec(),
        lines.next().unwrap_or_default().to_vec(),
    );
    let _ = parse_manifest(&manifest);
    let _ = Image::from_parts(manifest.clone(), config.clone(), |_| Blob::from_bytes([]));
    // Digests are corrected, because a fuzzer cannot guess them and should reach the code after
    // their check.
    let manifest = with(&manifest, "/config", &config);
    let index = with(index, "/manifests/0", &manifest);
    if let Ok(image) = Image::from_parts(manifest.clone(), config.clone(), |_| Blob::from_bytes([]))
    {
        ask(&image);
    }
    let path = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).hex());
    let mut store = Memory(HashMap::from([
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("index.json".to_owned(), index.clone()),
        (path(&index), index),
        (path(&manifest), manifest),
        (path(&config), config),
        (path(b""), Vec::new()),
    ]));
    for select in [None, Some("latest"), Some("x:1")] {
        if let Ok(image) = layout::read(&store, select, "amd64") {
            ask(&image);
            store.0.insert("index.json".to_owned(), json!({
                "schemaVersion": 2,
                "manifests": [{
                    "mediaType": image.media_type(),
                    "digest": image.manifest_digest(),
                    "size": image.manifest_bytes().len(),
                }],
            }).to_string().into_bytes());
            let again = layout::read(&store, None, "amd64").expect("it was read before");
            assert_eq!(again.manifest_bytes(), image.manifest_bytes());
        }
    }
});

/// `text` with the digest and size of `bytes` in the descriptor at `at`, if it has one.
fn with(text: &[u8], at: &str, bytes: &[u8]) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(text) else { return text.to_vec() };
    if let Some(descriptor) = value.pointer_mut(at).and_then(Value::as_object_mut) {
        descriptor.insert("digest".to_owned(), json!(Digest::of(bytes)));
        descriptor.insert("size".to_owned(), json!(bytes.len()));
    }
    value.to_string().into_bytes()
}

fn ask(image: &Image) {
    let layers = image.layers();
    assert_eq!(image.config().rootfs().diff_ids().len(), layers.len());
    assert_eq!(image.manifest_digest(), Digest::of(image.manifest_bytes()));
    let _ = (
        image.argv(),
        image.env(),
        image.exposed_ports(),
        image.labels(),
        image.annotations(),
        image.user(),
    );
    let _ = (image.working_dir(), image.os(), image.architecture(), image.total_compressed_bytes());
    // These layers have no bytes, so only an image without layers has contents.
    if let Ok(contents) = contents::read(image, &Limits::default()) {
        let _: &Vec<LayerContents> = &contents.layers;
        let text = inspect::View::of(image, &contents).text();
        let raw = |letter: char| letter.is_control() && letter != '\n';
        assert!(!text.contains(raw), "{text:?}");
        assert_eq!(inspect::diff((image, &contents), (image, &contents)), Vec::<String>::new());
        let _: &Contents = &contents;
    }
}
