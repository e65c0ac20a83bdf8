//! Unpacking as a stranger's layer would have it: what a runtime expects of whiteouts and links, and what is refused.

mod common;

use common::{Tar, image, image_of};
use microimage::digest::DiffId;
use microimage::entry::Limits;
use microimage::image::media_type;
use microimage::unpack::{UnpackError, unpack_image, unpack_layer};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

fn apply(layers: &[Vec<u8>], dest: &Path) -> Result<(), UnpackError> {
    for layer in layers {
        unpack_layer(layer.as_slice(), media_type::OCI_LAYER, dest, &Limits::default())?;
    }
    Ok(())
}

#[test]
fn keeps_names_modes_times_links_and_bytes() {
    let home = tempfile::tempdir().expect("a folder");
    let tar = Tar::default()
        .folder("tmp/", 0o1777)
        .file("app", b"elf")
        .symlink("sh", "/bin/app")
        .hardlink("app2", "app")
        .file("deep/er/f", b"x");
    let dest = home.path().join("rootfs");
    let done = unpack_image(&image(&[tar.bytes()]), &dest, &Limits::default()).expect("a good image");
    assert_eq!((done[0].entries, done[0].file_bytes), (5, 4));
    let stat = |name: &str| fs::symlink_metadata(dest.join(name)).expect(name);
    assert_eq!(stat("tmp").permissions().mode() & 0o7777, 0o1777);
    assert_eq!((stat("app").mode() & 0o7777, stat("app").mtime(), stat("app").nlink()), (0o644, 1_000_000_000, 2));
    assert_eq!((stat("tmp").mtime(), stat("sh").mtime()), (1_000_000_000, 1_000_000_000));
    assert_eq!(fs::read_link(dest.join("sh")).expect("a link"), Path::new("/bin/app"));
    assert_eq!(fs::read(dest.join("deep/er/f")).expect("a file"), b"x");
    assert_eq!(stat("deep/er").mode() & 0o7777, 0o755, "folders that the layer does not list are made");
}

#[test]
fn applies_whiteouts_to_lower_layers_only() {
    let home = tempfile::tempdir().expect("a folder");
    let lower =
        Tar::default().file("gone", b"1").file("kept", b"1").file("d/old", b"1").file("d/sub/old", b"1").bytes();
    // The opaque marker stands after an entry of its own layer, which it must not hide.
    let upper = Tar::default()
        .file(".wh.gone", b"")
        .file("d/new", b"2")
        .file("d/.wh..wh..opq", b"")
        .file(".wh.never-there", b"")
        .bytes();
    apply(&[lower, upper], home.path()).expect("whiteouts");
    let mut names: Vec<_> = walk(home.path());
    names.sort();
    assert_eq!(names, ["d", "d/new", "kept"]);
}

#[test]
fn replaces_files_by_folders_and_folders_by_links() {
    let home = tempfile::tempdir().expect("a folder");
    let lower = Tar::default().file("a", b"1").folder("b/", 0o755).file("b/x", b"1").folder("c/", 0o700).bytes();
    let upper = Tar::default().folder("a/", 0o755).symlink("b", "a").folder("c/", 0o755).file("a/y", b"2").bytes();
    apply(&[lower, upper], home.path()).expect("replacements");
    assert!(home.path().join("a/y").is_file() && home.path().join("b/y").is_file());
    assert_eq!(fs::metadata(home.path().join("c")).expect("c").permissions().mode() & 0o7777, 0o755);
}

#[test]
fn follows_links_inside_the_root_as_a_runtime_would() {
    let home = tempfile::tempdir().expect("a folder");
    let lower = Tar::default().folder("usr/lib/", 0o755).symlink("lib", "usr/lib").symlink("abs", "/usr/lib").bytes();
    let upper = Tar::default().file("lib/one", b"1").file("abs/two", b"2").bytes();
    apply(&[lower, upper], home.path()).expect("links inside");
    assert!(home.path().join("usr/lib/one").is_file() && home.path().join("usr/lib/two").is_file());
}

#[test]
fn refuses_what_would_reach_outside_and_writes_nothing_there() {
    let long = "n".repeat(99);
    let cases: Vec<(&str, Tar, &str)> = vec![
        ("a climbing name", Tar::default().file("../evil", b"x"), "`..`"),
        ("a climb in the middle", Tar::default().file("a/../../evil", b"x"), "`..`"),
        ("an absolute name", Tar::default().file("/evil", b"x"), "absolute"),
        ("a link that climbs", Tar::default().symlink("a/l", "../../evil"), "leads out"),
        ("an absolute link that climbs", Tar::default().symlink("l", "/../evil"), "leads out"),
        ("a hard link that climbs", Tar::default().hardlink("l", "../secret"), "`..`"),
        ("an absolute hard link", Tar::default().hardlink("l", "/etc/passwd"), "absolute"),
        ("a hard link to nothing", Tar::default().hardlink("l", "nothing"), "cannot be linked"),
        ("a character device", Tar::default().raw("d", b'3', "", 0o666, b""), "character device"),
        ("a block device", Tar::default().raw("d", b'4', "", 0o666, b""), "block device"),
        ("a FIFO", Tar::default().raw("d", b'6', "", 0o666, b""), "FIFO"),
        ("an unknown kind", Tar::default().raw("d", b'Z', "", 0o666, b""), "no layer holds"),
        ("a sparse file", Tar::default().raw("d", b'S', "", 0o666, b""), "sparse"),
        ("a root that is a file", Tar::default().file(".", b"x"), "the root is a directory"),
        (
            "a file below a file",
            Tar::default().file(&long, b"x").file(&format!("{}/f", &long[..50]), b"").file("q", b"").file("q/f", b""),
            "cannot be",
        ),
        ("a whiteout of the parent", Tar::default().file("a/.wh...", b""), "names nothing"),
        ("a whiteout that is a folder", Tar::default().folder(".wh.a/", 0o755), "whiteout is an empty file"),
        (
            "a pax header with a lying size",
            Tar::default().raw("p", b'x', "", 0o644, b"9999 path=q\n").file("a", b""),
            "cannot be read",
        ),
        (
            "a pax path that climbs",
            Tar::default().raw("p", b'x', "", 0o644, b"16 path=../evil\n").file("a", b""),
            "`..`",
        ),
        (
            "a second, other size",
            Tar::default().raw("p", b'x', "", 0o644, b"10 size=7\n").file("a", b"x"),
            "contradict",
        ),
        (
            "a GNU long name that climbs",
            Tar::default().raw("@LongLink", b'L', "", 0o644, b"../evil\0").file("a", b""),
            "`..`",
        ),
    ];
    for (what, tar, says) in cases {
        let home = tempfile::tempdir().expect("a folder");
        fs::write(home.path().join("secret"), b"secret").expect("a file outside");
        let dest = home.path().join("inner/rootfs");
        let error = unpack_image(&image(&[tar.bytes()]), &dest, &Limits::default()).expect_err(what).to_string();
        assert!(error.contains(says), "{what}: {error}");
        assert_eq!(
            walk(home.path()).iter().filter(|n| *n != "inner").collect::<Vec<_>>(),
            ["secret"],
            "{what}: nothing half-written, nothing outside"
        );
        assert_eq!(fs::metadata(home.path().join("secret")).expect("still there").nlink(), 1, "{what}");
    }
}

#[test]
fn never_follows_a_link_that_stands_in_the_folder_already() {
    let home = tempfile::tempdir().expect("a folder");
    let (dest, outside) = (home.path().join("rootfs"), home.path().join("outside"));
    fs::create_dir_all(&dest).and_then(|()| fs::create_dir_all(outside.join("d"))).expect("folders");
    fs::write(outside.join("d/f"), b"mine").expect("a file outside");
    symlink(&outside, dest.join("out")).expect("a link");
    // Resolved inside the root, the absolute target does not exist there: an error, not a write elsewhere.
    let error = apply(&[Tar::default().file("out/evil", b"x").bytes()], &dest).expect_err("a link out");
    assert!(matches!(error, UnpackError::Disk { .. }), "{error}");
    apply(&[Tar::default().file(".wh.out", b"").bytes()], &dest).expect("removing the link itself");
    assert_eq!(fs::read(outside.join("d/f")).expect("still there"), b"mine");
    assert!(!outside.join("evil").exists());
}

#[test]
fn stops_at_the_limits() {
    let home = tempfile::tempdir().expect("a folder");
    let zeros = Tar::default().raw("zeros", b'0', "", 0o644, &vec![0; 8 << 20]).bytes();
    let small = Limits { max_uncompressed_bytes: 1 << 20, ..Limits::default() };
    let dest = home.path().join("rootfs");
    let error = unpack_image(&image(&[zeros]), &dest, &small).expect_err("a bomb").to_string();
    assert!(error.contains("more than 1048576 bytes"), "{error}");
    let many = (0..100).fold(Tar::default(), |tar, n| tar.file(&format!("f{n}"), b""));
    let error = unpack_image(&image(&[many.bytes()]), &dest, &Limits { max_entries: 99, ..Limits::default() })
        .expect_err("too many")
        .to_string();
    assert!(error.contains("more than 99 entries"), "{error}");
    let huge = Tar::default().raw("p", b'x', "", 0o644, &vec![b'a'; 2 << 20]).file("a", b"").bytes();
    let error = unpack_image(&image(&[huge]), &dest, &Limits::default()).expect_err("a huge header").to_string();
    assert!(error.contains("extension header of 2097152 bytes"), "{error}");
    assert_eq!(walk(home.path()), Vec::<String>::new());
}

#[test]
fn believes_neither_blob_nor_configuration() {
    let home = tempfile::tempdir().expect("a folder");
    let dest = home.path().join("rootfs");
    let tar = Tar::default().file("app", b"elf").bytes();
    let other = DiffId::of(b"another tar");
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [other]}});
    let error = unpack_image(&image_of(&[common::gzip(&tar)], &config), &dest, &Limits::default()).expect_err("a lie");
    assert!(matches!(error, UnpackError::DiffId { promised, .. } if promised == other), "{error}");
    for cut in [0, 1, 20, 511, 512, 600, 1024, tar.len() - 1] {
        let layer = common::gzip(&tar);
        let cut_blob = &layer[..layer.len() * cut / tar.len()];
        let result = unpack_layer(cut_blob, media_type::OCI_LAYER_GZIP, home.path(), &Limits::default());
        assert!(cut == 0 || result.is_err() || result.is_ok_and(|u| u.diff_id != DiffId::of(&tar)), "cut at {cut}");
    }
    assert!(!dest.exists());
}

#[test]
fn refuses_a_destination_that_exists_and_an_unknown_media_type() {
    let home = tempfile::tempdir().expect("a folder");
    let tar = Tar::default().file("app", b"elf").bytes();
    assert!(matches!(
        unpack_image(&image(std::slice::from_ref(&tar)), home.path(), &Limits::default()),
        Err(UnpackError::Exists(_))
    ));
    let result = unpack_layer(tar.as_slice(), "text/plain", home.path(), &Limits::default());
    assert!(matches!(result, Err(UnpackError::MediaType(t)) if t == "text/plain"));
}

/// Every path below `root`, relative to it.
fn walk(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            found.push(path.strip_prefix(root).expect("below").display().to_string());
            if path.symlink_metadata().expect("there").is_dir() {
                folders.push(path);
            }
        }
    }
    found
}
