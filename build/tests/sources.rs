//! Reading images back: an image written by microimage is the same image, and a damaged one is
//! refused with the fault and its place.

mod common;

use common::{Tar, image};
use microimage::digest::Digest;
use microimage::image::{Image, media_type};
use microimage::{archive, layout, source};
use serde_json::json;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

fn sample() -> Image {
    image(&[Tar::default().file("app", b"elf").bytes(), Tar::default().file("more", b"x").bytes()])
        .with_reference("echo:latest")
}

fn same(a: &Image, b: &Image) {
    assert_eq!(
        (a.manifest_bytes(), a.config_bytes(), a.reference()),
        (b.manifest_bytes(), b.config_bytes(), b.reference())
    );
    for (one, other) in a.layers().iter().zip(b.layers()) {
        let mut bytes = (Vec::new(), Vec::new());
        one.open().and_then(|mut r| r.read_to_end(&mut bytes.0)).expect("a layer");
        other.open().and_then(|mut r| r.read_to_end(&mut bytes.1)).expect("a layer");
        assert_eq!(bytes.0, bytes.1);
    }
}

#[test]
fn a_layout_and_an_archive_read_back_as_the_same_image() {
    let home = tempfile::tempdir().expect("a folder");
    let (oci, tar) = (home.path().join("oci"), home.path().join("docker.tar"));
    for _ in 0..2 {
        // The second write replaces the first and leaves no other file beside it.
        layout::write(&sample(), &oci).expect("a layout");
        archive::write(&sample(), &tar).expect("an archive");
    }
    assert_eq!(fs::read_dir(home.path()).expect("a folder").count(), 2);
    for place in [&oci, &tar] {
        same(&source::load(&place.display().to_string()).expect("our own image"), &sample());
    }
    let loaded = source::load(&format!("{}#echo:latest", oci.display())).expect("by name");
    assert_eq!(
        (loaded.argv(), loaded.exposed_ports(), loaded.architecture()),
        (vec!["/app".to_owned()], vec!["9000/tcp".to_owned()], "amd64".into())
    );
    let error =
        source::load(&format!("{}#other", tar.display())).expect_err("no such image").to_string();
    assert!(error.contains("no image `other`; it contains `echo:latest`"), "{error}");
}

/// Regression: the old layout was moved aside before the new one was renamed; in between there was
/// none.
#[test]
fn a_layout_exists_at_every_moment_of_its_replacement() {
    let home = tempfile::tempdir().expect("a folder");
    let oci = home.path().join("oci");
    layout::write(&sample(), &oci).expect("a layout");
    let done = AtomicBool::new(false);
    let looks = thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(Ordering::Relaxed) {
                assert!(oci.join("oci-layout").exists(), "after {looks} looks");
                looks += 1;
            }
            looks
        });
        let written = (0..200).try_for_each(|_| layout::write(&sample(), &oci));
        done.store(true, Ordering::Relaxed);
        written.expect("a layout");
        looking.join().expect("it was always there")
    });
    assert!(looks > 100, "{looks}");
    assert_eq!(fs::read_dir(home.path()).expect("a folder").count(), 1);
}

#[test]
fn writes_the_same_archive_every_time() {
    let home = tempfile::tempdir().expect("a folder");
    let write = |name: &str| {
        archive::write(&sample(), &home.path().join(name)).expect("an archive");
        fs::read(home.path().join(name)).expect("an archive")
    };
    assert!(write("a") == write("b"));
}

#[test]
fn refuses_to_replace_a_folder_that_is_not_a_layout() {
    let home = tempfile::tempdir().expect("a folder");
    fs::write(home.path().join("precious"), b"x").expect("a file");
    let error = layout::write(&sample(), home.path()).expect_err("not a layout").to_string();
    assert!(error.contains("is not an image layout"), "{error}");
    assert!(home.path().join("precious").exists());
}

#[test]
fn refuses_damage_and_names_the_place() {
    let home = tempfile::tempdir().expect("a folder");
    let oci = home.path().join("oci");
    let blob = |digest: microimage::digest::Digest| oci.join("blobs/sha256").join(digest.hex());
    let damage = |path: &Path, what: &dyn Fn(Vec<u8>) -> Option<Vec<u8>>| {
        layout::write(&sample(), &oci).expect("a layout");
        match what(fs::read(path).expect("a file")) {
            Some(bytes) => fs::write(path, bytes).expect("a file"),
            None => fs::remove_file(path).expect("a file"),
        }
        let image = source::load(&oci.display().to_string()).map_err(|e| e.to_string())?;
        for layer in image.layers() {
            layer
                .open()
                .and_then(|mut r| r.read_to_end(&mut Vec::new()))
                .map_err(|e| e.to_string())?;
        }
        Ok::<_, String>(())
    };
    let flip = |mut bytes: Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        Some(bytes)
    };
    let cut = |bytes: Vec<u8>| Some(bytes[..bytes.len() - 1].to_vec());
    let gone = |_| None;
    let image = sample();
    let (manifest, config, layer) = (
        image.manifest_digest(),
        image.config_descriptor().digest,
        image.layers()[1].descriptor().digest,
    );
    for (path, what, says) in [
        (
            blob(manifest),
            &flip as &dyn Fn(Vec<u8>) -> Option<Vec<u8>>,
            "is damaged: its bytes have the digest",
        ),
        (blob(manifest), &cut, "bytes instead of"),
        (blob(config), &flip, "is damaged"),
        (blob(config), &gone, "cannot be read"),
        (blob(layer), &flip, "has other bytes"),
        (blob(layer), &cut, "ends after"),
        (blob(layer), &gone, "cannot be found"),
        (oci.join("index.json"), &cut, "is not an OCI image layout"),
        (oci.join("oci-layout"), &gone, "oci-layout` cannot be read"),
    ] {
        let error = damage(&path, what).expect_err(says);
        assert!(error.contains(says), "{}: {error}", path.display());
    }
}

#[test]
fn refuses_an_archive_that_is_cut_anywhere() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("docker.tar");
    archive::write(&sample(), &path).expect("an archive");
    let whole = fs::read(&path).expect("an archive");
    let read = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("a file");
        let image = source::load(&path.display().to_string()).map_err(|e| e.to_string())?;
        image
            .layers()
            .iter()
            .try_for_each(|l| l.open()?.read_to_end(&mut Vec::new()).map(drop))
            .map_err(|e| e.to_string())
    };
    read(&whole).expect("the whole archive");
    // The last 1024 bytes are the end marker, which tar readers do not require.
    let content = whole.len() - 1024;
    for cut in (0..content - 512).step_by(97) {
        read(&whole[..cut]).expect_err("a cut archive");
    }
}

#[test]
fn reports_what_is_missing() {
    let error = source::load("/nowhere/at/all").expect_err("nothing there").to_string();
    assert!(error.contains("`/nowhere/at/all` does not exist"), "{error}");
}

/// Regression: a header of 6 GiB in a file that takes no room on the disk was read completely,
/// because the library reads it before any check.
#[test]
fn a_header_in_front_of_a_file_is_bounded() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("docker.tar");
    for kind in [b'x', b'g', b'L', b'K'] {
        let mut header = tar::Header::new_gnu();
        header.set_path("pax").expect("a name");
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_size(6 << 30);
        header.set_cksum();
        fs::write(&path, header.as_bytes()).expect("a file");
        fs::File::options()
            .write(true)
            .open(&path)
            .and_then(|f| f.set_len(7 << 30))
            .expect("a sparse file");
        let error =
            source::load(&path.display().to_string()).expect_err("a header of 6 GiB").to_string();
        assert!(error.contains("an extension header of 6442450944 bytes"), "{error}");
    }
    let long =
        Tar::default().raw("@LongLink", b'L', "", 0o644, &[b'a'; 5000]).file("a", b"").bytes();
    fs::write(&path, long).expect("a file");
    let error = source::load(&path.display().to_string()).expect_err("a long name").to_string();
    assert!(error.contains("a name longer than 4096 bytes"), "{error}");
}

#[test]
fn finds_members_by_their_long_names() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("docker.tar");
    let image = sample();
    let bytes = |n: usize| {
        let mut bytes = Vec::new();
        image.layers()[n].open().and_then(|mut r| r.read_to_end(&mut bytes)).expect("in memory");
        bytes
    };
    let (one, two) =
        (format!("{}/layer.tar", "a".repeat(120)), format!("{}/layer.tar", "b".repeat(120)));
    let manifest =
        format!(r#"[{{"Config":"c.json","RepoTags":["echo:1"],"Layers":["{one}","{two}"]}}]"#);
    let record = format!("{} path={two}\n", two.len() + 10);
    assert_eq!(record.len(), two.len() + 10);
    let tar = Tar::default()
        .raw("@LongLink", b'L', "", 0o644, one.as_bytes())
        .file("short", &bytes(0))
        .raw("pax", b'x', "", 0o644, record.as_bytes())
        .file("short", &bytes(1))
        .file("c.json", image.config_bytes())
        .file("manifest.json", manifest.as_bytes());
    fs::write(&path, tar.bytes()).expect("a file");
    let loaded =
        source::load(&path.display().to_string()).expect("as docker wrote before version 25");
    assert_eq!((loaded.layers().len(), loaded.reference()), (2, Some("echo:1")));
    microimage::contents::read(&loaded, &microimage::entry::LayerLimits::default())
        .expect("both layers");
}

#[test]
fn an_index_gives_the_requested_platform() {
    let home = tempfile::tempdir().expect("a folder");
    let oci = home.path().join("oci");
    layout::write(&sample(), &oci).expect("a layout");
    let amd64 = sample();
    let config =
        String::from_utf8_lossy(amd64.config_bytes()).replace("amd64", "arm64").into_bytes();
    let manifest = String::from_utf8_lossy(amd64.manifest_bytes())
        .replace(&amd64.config_descriptor().digest.to_string(), &Digest::of(&config).to_string())
        .into_bytes();
    let entry = |bytes: &[u8], architecture: &str| {
        json!({
            "mediaType": media_type::OCI_MANIFEST, "digest": Digest::of(bytes), "size": bytes.len(),
            "platform": {"os": "linux", "architecture": architecture},
        })
    };
    let manifests = [entry(amd64.manifest_bytes(), "amd64"), entry(&manifest, "arm64")];
    let inner =
        json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests})
            .to_string();
    let outer = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": media_type::OCI_INDEX, "digest": Digest::of(inner.as_bytes()),
        "size": inner.len(),
    }]});
    for bytes in [&config, &manifest, inner.as_bytes()] {
        fs::write(oci.join("blobs/sha256").join(Digest::of(bytes).hex()), bytes).expect("a blob");
    }
    fs::write(oci.join("index.json"), outer.to_string()).expect("an index");
    let place = oci.display().to_string();
    let load = |architecture| {
        source::load_with(&place, architecture, |_| unreachable!("it is on this disk"))
    };
    assert_eq!(load("arm64").expect("arm64").manifest_digest(), Digest::of(&manifest));
    assert_eq!(load("amd64").expect("amd64").manifest_digest(), amd64.manifest_digest());
    assert!(
        load("riscv64").expect_err("not there").to_string().contains("contains 2 matching images")
    );
    // The platform's own manifest takes one more request.
    for (image, requests) in [(load("arm64").expect("arm64"), 6), (amd64, 5)] {
        let contents =
            microimage::contents::read(&image, &microimage::entry::LayerLimits::default())
                .expect("two layers");
        assert_eq!(microimage::inspect::View::of(&image, &contents).pull_requests, requests);
    }
}
