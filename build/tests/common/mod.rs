//! Helpers of several tests: layers written entry by entry, including hostile ones, and images of
//! them.
#![allow(dead_code)] // each test file uses its part

pub mod debian;
pub mod stumbling;

use microimage::digest::{DiffId, Digest};
use microimage::image::{Blob, Image, media_type};
use microimage::recipe::{BuildContext, ContextEntry};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// A tar under construction with exactly the headers that a test states, valid or not.
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

    /// Any entry: the names go into the header byte for byte, unlike in a tar library.
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

    /// An entry with these header bytes and a correct checksum, then its content.
    pub fn header(mut self, mut header: [u8; 512], content: &[u8]) -> Tar {
        let mut summed = tar::Header::from_byte_slice(&header).clone();
        summed.set_cksum();
        header.copy_from_slice(summed.as_bytes());
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// A pax header for the next entry.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Tar {
        let mut bytes = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3; // a space, an equals sign, a line feed
            let length = (rest..).find(|n| n.to_string().len() + rest == *n).expect("one fits");
            bytes.extend_from_slice(format!("{length} {key}=").as_bytes());
            bytes.extend_from_slice(value);
            bytes.push(b'\n');
        }
        self.raw("pax", b'x', "", 0o644, &bytes)
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

/// An image of gzip layers, made from uncompressed tars.
pub fn image(tars: &[Vec<u8>]) -> Image {
    let blobs: Vec<_> = tars.iter().map(|tar| gzip(tar)).collect();
    let diff_ids: Vec<_> = tars.iter().map(|tar| DiffId::of(tar)).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "config": {"Entrypoint": ["/app"], "Env": ["PATH=/bin"], "ExposedPorts": {"9000/tcp": {}}},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    image_of(&blobs, &config)
}

/// An image of gzip blobs, with a configuration that may not match them.
pub fn image_of(blobs: &[Vec<u8>], config: &serde_json::Value) -> Image {
    let config = config.to_string().into_bytes();
    let descriptor = |kind: &str, bytes: &[u8]| {
        let digest = Digest::of(bytes);
        json!({"mediaType": kind, "digest": digest, "size": bytes.len()})
    };
    let layers = blobs.iter().map(|blob| descriptor(media_type::OCI_LAYER_GZIP, blob));
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": descriptor(media_type::OCI_CONFIG, &config),
        "layers": layers.collect::<Vec<_>>(),
    });
    let blobs = blobs.to_vec();
    let find =
        |digest| blobs.iter().find(|b| Digest::of(b) == digest).expect("one of ours").clone();
    Image::from_parts(manifest.to_string().into_bytes(), config, |layer| {
        Blob::from_bytes(find(layer.digest))
    })
    .expect("a consistent image")
}

/// A static x86-64 program that prints `ok`; fixtures/hello.s is its source.
pub const HELLO: &[u8] = include_bytes!("../fixtures/hello.elf");

/// A build context in memory.
#[derive(Default)]
pub struct MemoryContext(BTreeMap<String, (ContextEntry, Arc<[u8]>)>);

impl MemoryContext {
    pub fn file(self, path: &str, content: &[u8]) -> MemoryContext {
        self.put(path, ContextEntry::File { executable: false }, content)
    }

    pub fn program(self, path: &str, content: &[u8]) -> MemoryContext {
        self.put(path, ContextEntry::File { executable: true }, content)
    }

    pub fn link(self, path: &str, target: &str) -> MemoryContext {
        self.put(path, ContextEntry::Symlink { target: target.into() }, b"")
    }

    fn put(mut self, path: &str, entry: ContextEntry, content: &[u8]) -> MemoryContext {
        for (end, _) in path.match_indices('/') {
            self.0.insert(path[..end].to_owned(), (ContextEntry::Folder, Arc::from(*b"")));
        }
        self.0.insert(path.to_owned(), (entry, content.into()));
        self
    }
}

impl BuildContext for MemoryContext {
    fn entry(&self, path: &str) -> io::Result<Option<ContextEntry>> {
        Ok(self.0.get(path).map(|(entry, _)| entry.clone()))
    }

    fn names(&self, path: &str) -> io::Result<Vec<String>> {
        let below = |known: &String| {
            known
                .strip_prefix(&format!("{path}/"))
                .filter(|rest| !rest.contains('/'))
                .map(str::to_owned)
        };
        Ok(self.0.keys().rev().filter_map(below).collect()) // deliberately not sorted
    }

    fn read(&self, path: &str) -> io::Result<Arc<[u8]>> {
        Ok(Arc::clone(&self.0[path].1))
    }
}

/// Every path below `root`, relative to it, sorted.
pub fn walk(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            found.push(path.strip_prefix(root).expect("below").to_owned());
            if path.symlink_metadata().expect("there").is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort();
    found.iter().map(|path| path.display().to_string()).collect()
}

/// Prints what a test lacks. It writes to the stream itself, because the harness hides the macros'
/// output of a test that passes.
pub fn skipped(why: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "skipped: {why}"); // a closed stream is not a failure
}

/// Runs a program that this process has just written. Another test may have forked while the file
/// was open for writing; until that child calls exec, the kernel returns ETXTBSY. So this tries
/// again, for at most 10 s.
pub fn output(command: &mut Command) -> Output {
    let started = Instant::now();
    loop {
        match command.output() {
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy
                    && started.elapsed().as_secs() < 10 =>
            {
                thread::yield_now();
            }
            other => return other.unwrap_or_else(|error| panic!("{command:?}: {error}")),
        }
    }
}

/// Runs the docker client.
pub fn docker(arguments: &[&str]) -> io::Result<Output> {
    // The classic builder needs no plug-in; if a plug-in is installed, the default builder works
    // too.
    Command::new("docker").args(arguments).output()
}

/// The image in Docker Engine under `tag`, saved as `tar` and loaded from there.
pub fn load_through_docker(tag: &str, tar: &Path) -> Image {
    let output = docker(&["save", "-o", &tar.display().to_string(), tag]).expect("docker");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    microimage::source::load(&tar.display().to_string()).expect("an archive that docker wrote")
}
