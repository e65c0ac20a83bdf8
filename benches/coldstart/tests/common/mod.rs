//! Helpers of the tests: small images of small programs, and an engine in a folder of its own.

#![allow(dead_code)] // each test file uses its part

use coldstart::engine::Target;
use coldstart::engine::embedded::{Embedded, Settings};
use coldstart::request::Ask;
use coldstart::work::Work;
use microimage::digest::{DiffId, Digest};
use microimage::image::{Blob, Image};
use microimage::sandbox::{Launcher, Plan, ResourceLimits};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// The built coldstart, which is also the sandbox's helper.
pub const COLDSTART: &str = env!("CARGO_BIN_EXE_coldstart");

/// An engine, its folder, and its stop flag.
pub struct Bench {
    pub engine: Embedded,
    pub folder: TempDir,
    pub stop: Arc<AtomicBool>,
    /// Lock of the two cores that every bench uses: two at once would miss their deadlines.
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

impl Bench {
    /// An engine for the program with this fault; `None`, with a message, if this machine cannot
    /// run it.
    pub fn of(fault: &str, deadline: Duration) -> Option<Self> {
        if skip_without_sandbox() {
            return None;
        }
        let Some(program) = compile(fault) else {
            eprintln!(
                "skipped: no C compiler that links statically (musl-gcc: Debian's musl-tools)"
            );
            return None;
        };
        Self::with(image(&program, "amd64"), Ask::default(), deadline)
    }

    pub fn with(image: Image, ask: Ask, deadline: Duration) -> Option<Self> {
        Self::limited(image, ask, deadline, ResourceLimits::default())
    }

    pub fn limited(
        image: Image,
        ask: Ask,
        deadline: Duration,
        limits: ResourceLimits,
    ) -> Option<Self> {
        Self::run_by(None, image, ask, deadline, limits)
    }

    /// An engine that creates and starts with `runtime`.
    pub fn run_by(
        runtime: Option<&str>,
        image: Image,
        ask: Ask,
        deadline: Duration,
        limits: ResourceLimits,
    ) -> Option<Self> {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().expect("a folder");
        let stop = Arc::new(AtomicBool::new(false));
        let settings = Settings {
            ask,
            deadline,
            limits,
            burst_interval: Duration::ZERO,
            stop: Arc::clone(&stop),
            helper: PathBuf::from(COLDSTART),
            floor: None,
            runtime: runtime.map(str::to_owned),
            network: None,
        };
        let target = Target { name: "function".into(), image, port: 9000 };
        let work = Work::create(folder.path()).expect("a work folder");
        let engine = Embedded::start(vec![target], settings, work).expect("an engine");
        Some(Self { engine, folder, stop, _alone: alone })
    }

    /// Sample folders below the work folder.
    pub fn samples_left_behind(&self) -> usize {
        let work =
            std::fs::read_dir(self.folder.path()).expect("the folder").flatten().map(|e| e.path());
        work.flat_map(|w| std::fs::read_dir(w).into_iter().flatten().flatten())
            .filter(|e| e.file_name().to_string_lossy().starts_with("sample"))
            .count()
    }
}

/// Whether this machine refuses namespaces; if so, prints that.
pub fn skip_without_sandbox() -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = Plan {
        rootfs: folder.path().to_owned(),
        argv: vec!["/nothing".into()],
        env: Vec::new(),
        cwd: String::new(),
        uid: 0,
        gid: 0,
        limits: ResourceLimits::default(),
        core: None,
        sockets: 0,
        low_ports: false,
        network: None,
    };
    let mut launcher = Launcher::start(Path::new(COLDSTART)).expect("the helper starts");
    match launcher.launch(&plan) {
        Err(error @ microimage::sandbox::Error::Namespace { .. }) => {
            eprintln!("skipped: {error}");
            true
        }
        // The program does not exist, so `execve` fails as expected: the sandbox could be set up.
        Ok(instance) => {
            launcher.end(instance).expect("ended");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

/// Compiles programs/function.c with one fault, statically.
pub fn compile(fault: &str) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("app");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/function.c");
    let built = ["musl-gcc", "cc"].iter().any(|compiler| {
        let mut command = Command::new(compiler);
        command
            .args(["-static", "-Os", "-s", &format!("-D{fault}"), "-o"])
            .arg(&program)
            .arg(&source);
        command.output().is_ok_and(|output| output.status.success())
    });
    built.then(|| std::fs::read(&program).expect("just built"))
}

/// An image of one layer (not compressed) that contains `program` as /app.
pub fn image(program: &[u8], architecture: &str) -> Image {
    let parts = parts(program, architecture);
    let layer = parts.layer.clone();
    Image::from_parts(parts.manifest, parts.config, |_| Blob::from_bytes(layer.clone()))
        .expect("an image")
}

/// A file of a layer.
pub struct Entry<'a> {
    pub path: &'a str,
    pub content: &'a [u8],
    pub mode: u32,
    pub owner: u64,
}

/// An image with these layers that runs /app as `user`.
pub fn image_of(layers: &[&[Entry<'_>]], user: &str) -> Image {
    let tars: Vec<Vec<u8>> = layers.iter().map(|entries| tar_of(entries)).collect();
    let (manifest, config) = documents(&tars, "amd64", user);
    let mut blobs = tars.into_iter();
    Image::from_parts(manifest, config, |_| Blob::from_bytes(blobs.next().expect("a layer each")))
        .expect("an image")
}

fn tar_of(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(entry.content.len() as u64);
        header.set_mode(entry.mode);
        header.set_uid(entry.owner);
        header.set_gid(entry.owner);
        header.set_mtime(0);
        tar.append_data(&mut header, entry.path, entry.content).expect("in memory");
    }
    tar.into_inner().expect("in memory")
}

/// Manifest and configuration of an image with these tars as layers.
fn documents(tars: &[Vec<u8>], architecture: &str, user: &str) -> (Vec<u8>, Vec<u8>) {
    let diff_ids: Vec<String> = tars.iter().map(|tar| DiffId::of(tar).to_string()).collect();
    let config = serde_json::json!({
        "architecture": architecture,
        "os": "linux",
        "config": {
            "Entrypoint": ["/app"],
            "Env": ["GREETING=hello"],
            "User": user,
            "ExposedPorts": {"9000/tcp": {}},
        },
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = config.to_string().into_bytes();
    let blob = |media_type: &str, bytes: &[u8]| {
        serde_json::json!({
            "mediaType": media_type,
            "digest": Digest::of(bytes).to_string(),
            "size": bytes.len(),
        })
    };
    let layer = |tar: &Vec<u8>| blob("application/vnd.oci.image.layer.v1.tar", tar);
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob("application/vnd.oci.image.config.v1+json", &config),
        "layers": tars.iter().map(layer).collect::<Vec<_>>(),
    });
    (manifest.to_string().into_bytes(), config)
}

pub struct Parts {
    pub manifest: Vec<u8>,
    pub config: Vec<u8>,
    pub layer: Vec<u8>,
}

pub fn parts(program: &[u8], architecture: &str) -> Parts {
    let layer = tar_of(&[Entry { path: "app", content: program, mode: 0o755, owner: 0 }]);
    let (manifest, config) = documents(std::slice::from_ref(&layer), architecture, "65532:65532");
    Parts { manifest, config, layer }
}

/// Writes an image layout (OCI image-spec, image-layout.md).
pub fn layout(folder: &Path, parts: &Parts) {
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).expect("a folder");
    for bytes in [&parts.manifest, &parts.config, &parts.layer] {
        std::fs::write(blobs.join(Digest::of(bytes).hex()), bytes).expect("written");
    }
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": Digest::of(&parts.manifest).to_string(),
        "size": parts.manifest.len(),
        "annotations": {"org.opencontainers.image.ref.name": "function:latest"},
    }]});
    std::fs::write(folder.join("index.json"), index.to_string()).expect("written");
    std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
        .expect("written");
}
