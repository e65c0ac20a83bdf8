//! Unpacking of hostile layers: container runtimes' rules for whiteouts and links, and refused
//! entries.

mod common;

use common::{Tar, image, image_of, walk};
use microimage::contents;
use microimage::digest::DiffId;
use microimage::entry::LayerLimits;
use microimage::image::{Blob, Image, media_type};
use microimage::unpack::{UnpackError, unpack_image, unpack_layer};
use serde_json::json;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

fn apply(layers: &[Vec<u8>], dest: &Path) -> Result<(), UnpackError> {
    for layer in layers {
        unpack_layer(layer.as_slice(), media_type::OCI_LAYER, dest, &LayerLimits::default())?;
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
    let done =
        unpack_image(&image(&[tar.bytes()]), &dest, &LayerLimits::default()).expect("a good image");
    assert_eq!((done[0].entries, done[0].file_bytes), (5, 4));
    let stat = |name: &str| fs::symlink_metadata(dest.join(name)).expect(name);
    assert_eq!(stat("tmp").permissions().mode() & 0o7777, 0o1777);
    assert_eq!(
        (stat("app").mode() & 0o7777, stat("app").mtime(), stat("app").nlink()),
        (0o644, 1_000_000_000, 2)
    );
    assert_eq!((stat("tmp").mtime(), stat("sh").mtime()), (1_000_000_000, 1_000_000_000));
    assert_eq!(fs::read_link(dest.join("sh")).expect("a link"), Path::new("/bin/app"));
    assert_eq!(fs::read(dest.join("deep/er/f")).expect("a file"), b"x");
    assert_eq!(
        stat("deep/er").mode() & 0o7777,
        0o755,
        "folders that the layer does not list are made"
    );
}

#[test]
fn applies_whiteouts_to_lower_layers_only() {
    let home = tempfile::tempdir().expect("a folder");
    let lower = Tar::default()
        .file("gone", b"1")
        .file("kept", b"1")
        .file("d/old", b"1")
        .file("d/sub/old", b"1")
        .bytes();
    // The opaque marker follows an entry of its own layer, which it must not hide.
    let upper = Tar::default()
        .file(".wh.gone", b"")
        .file("d/new", b"2")
        .file("d/.wh..wh..opq", b"")
        .file(".wh.never-there", b"")
        .bytes();
    apply(&[lower, upper], home.path()).expect("whiteouts");
    assert_eq!(walk(home.path()), ["d", "d/new", "kept"]);
}

#[test]
fn replaces_files_by_folders_and_folders_by_links() {
    let home = tempfile::tempdir().expect("a folder");
    let lower = Tar::default()
        .file("a", b"1")
        .folder("b/", 0o755)
        .file("b/x", b"1")
        .folder("c/", 0o700)
        .bytes();
    let upper = Tar::default()
        .folder("a/", 0o755)
        .symlink("b", "a")
        .folder("c/", 0o755)
        .file("a/y", b"2")
        .bytes();
    apply(&[lower, upper], home.path()).expect("replacements");
    assert!(home.path().join("a/y").is_file() && home.path().join("b/y").is_file());
    assert_eq!(
        fs::metadata(home.path().join("c")).expect("c").permissions().mode() & 0o7777,
        0o755
    );
}

#[test]
fn follows_links_inside_the_root_as_a_runtime_would() {
    let home = tempfile::tempdir().expect("a folder");
    let lower = Tar::default()
        .folder("usr/lib/", 0o755)
        .symlink("lib", "usr/lib")
        .symlink("abs", "/usr/lib")
        .bytes();
    let upper = Tar::default().file("lib/one", b"1").file("abs/two", b"2").bytes();
    apply(&[lower, upper], home.path()).expect("links inside");
    assert!(home.path().join("usr/lib/one").is_file() && home.path().join("usr/lib/two").is_file());
}

#[test]
fn refuses_entries_that_lead_outside_and_writes_nothing_there() {
    let long = "n".repeat(99);
    let cases: Vec<(&str, Tar, &str)> = vec![
        // `..` never leads above the root, which contains no `secret`
        ("a hard link that climbs", Tar::default().hardlink("l", "../secret"), "cannot be linked"),
        (
            "a hard link through a link that climbs",
            Tar::default().symlink("up", "..").hardlink("l", "up/secret"),
            "cannot be linked",
        ),
        (
            "an absolute hard link to nothing",
            Tar::default().hardlink("l", "/etc/passwd"),
            "cannot be linked",
        ),
        ("a hard link to nothing", Tar::default().hardlink("l", "nothing"), "cannot be linked"),
        (
            "an unknown kind",
            Tar::default().raw("d", b'Z', "", 0o666, b""),
            "of an unsupported kind",
        ),
        ("a sparse file", Tar::default().raw("d", b'S', "", 0o666, b""), "sparse"),
        ("a root that is a file", Tar::default().file(".", b"x"), "the root is a directory"),
        (
            "a file below a file",
            Tar::default()
                .file(&long, b"x")
                .file(&format!("{}/f", &long[..50]), b"")
                .file("q", b"")
                .file("q/f", b""),
            "cannot be",
        ),
        ("a whiteout of the parent", Tar::default().file("a/.wh...", b""), "names nothing"),
        (
            "a whiteout that is a folder",
            Tar::default().folder(".wh.a/", 0o755),
            "whiteout is an empty file",
        ),
        (
            "a pax header with a lying size",
            Tar::default().raw("p", b'x', "", 0o644, b"9999 path=q\n").file("a", b""),
            "cannot be read",
        ),
        (
            "a second, other size",
            Tar::default().raw("p", b'x', "", 0o644, b"10 size=7\n").file("a", b"x"),
            "contradict",
        ),
    ];
    for (what, tar, says) in cases {
        let home = tempfile::tempdir().expect("a folder");
        fs::write(home.path().join("secret"), b"secret").expect("a file outside");
        let dest = home.path().join("inner/rootfs");
        let error = unpack_image(&image(&[tar.bytes()]), &dest, &LayerLimits::default())
            .expect_err(what)
            .to_string();
        assert!(error.contains(says), "{what}: {error}");
        assert_eq!(
            walk(home.path()).iter().filter(|n| *n != "inner").collect::<Vec<_>>(),
            ["secret"],
            "{what}: nothing half-written, nothing outside"
        );
        assert_eq!(
            fs::metadata(home.path().join("secret")).expect("still there").nlink(),
            1,
            "{what}"
        );
    }
}

/// Names and links with `..` stay in the folder, as in a chroot; files beside it are neither read
/// nor written.
#[test]
fn names_with_dots_stay_inside() {
    for (what, tar, expected) in [
        ("a name", Tar::default().file("../evil", b"x"), &["evil"][..]),
        ("in the middle", Tar::default().file("a/../../evil", b"x"), &["evil"]),
        ("over a file beside it", Tar::default().file("../secret", b"x"), &["secret"]),
        (
            "a whiteout of a file beside it",
            Tar::default().file("../.wh.secret", b"").file("../../.wh.inner", b"").file("a", b""),
            &["a"],
        ),
        ("an opaque whiteout", Tar::default().file("../.wh..wh..opq", b"").file("a", b""), &["a"]),
        (
            "a pax path",
            Tar::default().raw("p", b'x', "", 0o644, b"16 path=../evil\n").file("a", b""),
            &["evil"],
        ),
        (
            "a GNU long name",
            Tar::default().raw("@LongLink", b'L', "", 0o644, b"../evil\0").file("a", b""),
            &["evil"],
        ),
        (
            "links, and files through them",
            Tar::default()
                .folder("a/", 0o755)
                .symlink("a/l", "../../..")
                .symlink("m", "/../../a")
                .file("a/l/evil", b"x")
                .file("m/inside", b"x"),
            &["a", "a/inside", "a/l", "evil", "m"],
        ),
        ("a FIFO", Tar::default().raw("../../secret", b'6', "", 0o600, b""), &["secret"]),
    ] {
        let home = tempfile::tempdir().expect("a folder");
        fs::write(home.path().join("secret"), b"secret").expect("a file outside");
        let dest = home.path().join("inner/rootfs");
        unpack_image(&image(&[tar.bytes()]), &dest, &LayerLimits::default()).expect(what);
        assert_eq!(walk(&dest), expected, "{what}");
        let beside: Vec<_> =
            walk(home.path()).into_iter().filter(|n| !n.starts_with("inner/rootfs/")).collect();
        assert_eq!(beside, ["inner", "inner/rootfs", "secret"], "{what}: nothing outside");
        let secret = home.path().join("secret");
        assert_eq!(fs::read(&secret).expect("still there"), b"secret", "{what}");
        assert_eq!(fs::metadata(&secret).expect("still there").nlink(), 1, "{what}");
    }
}

#[test]
fn never_follows_an_existing_link_out_of_the_folder() {
    let home = tempfile::tempdir().expect("a folder");
    let (dest, outside) = (home.path().join("rootfs"), home.path().join("outside"));
    fs::create_dir_all(&dest)
        .and_then(|()| fs::create_dir_all(outside.join("d")))
        .expect("folders");
    fs::write(outside.join("d/f"), b"mine").expect("a file outside");
    symlink(&outside, dest.join("out")).expect("a link");
    // Resolved inside the root, the absolute target does not exist, so this is an error and no
    // write elsewhere.
    let error =
        apply(&[Tar::default().file("out/evil", b"x").bytes()], &dest).expect_err("a link out");
    assert!(matches!(error, UnpackError::Disk { .. }), "{error}");
    apply(&[Tar::default().file(".wh.out", b"").bytes()], &dest).expect("removing the link itself");
    assert_eq!(fs::read(outside.join("d/f")).expect("still there"), b"mine");
    assert!(!outside.join("evil").exists());
}

#[test]
fn stops_at_the_limits() {
    let home = tempfile::tempdir().expect("a folder");
    let zeros = Tar::default().raw("zeros", b'0', "", 0o644, &vec![0; 8 << 20]).bytes();
    let small = LayerLimits { max_uncompressed_bytes: 1 << 20, ..LayerLimits::default() };
    let dest = home.path().join("rootfs");
    let error = unpack_image(&image(&[zeros]), &dest, &small).expect_err("a bomb").to_string();
    assert!(error.contains("more than 1048576 bytes"), "{error}");
    let many = (0..100).fold(Tar::default(), |tar, n| tar.file(&format!("f{n}"), b""));
    let error = unpack_image(
        &image(&[many.bytes()]),
        &dest,
        &LayerLimits { max_entries: 99, ..LayerLimits::default() },
    )
    .expect_err("too many")
    .to_string();
    assert!(error.contains("more than 99 entries"), "{error}");
    let huge =
        Tar::default().raw("p", b'x', "", 0o644, &vec![b'a'; 2 << 20]).file("a", b"").bytes();
    let error = unpack_image(&image(&[huge]), &dest, &LayerLimits::default())
        .expect_err("a huge header")
        .to_string();
    assert!(error.contains("extension header of 2097152 bytes"), "{error}");
    assert_eq!(walk(home.path()), Vec::<String>::new());
}

#[test]
fn verifies_blob_and_configuration() {
    let home = tempfile::tempdir().expect("a folder");
    let dest = home.path().join("rootfs");
    let tar = Tar::default().file("app", b"elf").bytes();
    let other = DiffId::of(b"another tar");
    let config = json!({"architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [other]}});
    let error =
        unpack_image(&image_of(&[common::gzip(&tar)], &config), &dest, &LayerLimits::default())
            .expect_err("a lie");
    assert!(matches!(error, UnpackError::DiffId { promised, .. } if promised == other), "{error}");
    for cut in [0, 1, 20, 511, 512, 600, 1024, tar.len() - 1] {
        let layer = common::gzip(&tar);
        let cut_blob = &layer[..layer.len() * cut / tar.len()];
        let result = unpack_layer(
            cut_blob,
            media_type::OCI_LAYER_GZIP,
            home.path(),
            &LayerLimits::default(),
        );
        assert!(
            cut == 0 || result.is_err() || result.is_ok_and(|u| u.diff_id != DiffId::of(&tar)),
            "cut at {cut}"
        );
    }
    assert!(!dest.exists());
}

#[test]
fn refuses_a_destination_that_exists_and_an_unknown_media_type() {
    let home = tempfile::tempdir().expect("a folder");
    let tar = Tar::default().file("app", b"elf").bytes();
    assert!(matches!(
        unpack_image(&image(std::slice::from_ref(&tar)), home.path(), &LayerLimits::default()),
        Err(UnpackError::Exists(_))
    ));
    let result = unpack_layer(tar.as_slice(), "text/plain", home.path(), &LayerLimits::default());
    assert!(matches!(result, Err(UnpackError::MediaType(t)) if t == "text/plain"));
}

/// Regression: 1,500 entries of 2,000 folders each, in a layer of 34 KB, took `inspect` to 12 GB,
/// because each folder of each name was stored twice.
#[test]
fn a_deep_name_is_refused_and_so_are_many_names() {
    let home = tempfile::tempdir().expect("a folder");
    let dest = home.path().join("rootfs");
    let pax = |name: &str| {
        let record = |length: usize| format!("{length} path={name}\n");
        let length = (0..).find(|n| record(*n).len() == *n).expect("a length that counts itself");
        record(length).into_bytes()
    };
    let named = |tar: Tar, name: &str| tar.raw("p", b'x', "", 0o644, &pax(name)).file("f", b"");
    let refused = |tar: Tar, limits: &LayerLimits, says: &str| {
        let image = image(&[tar.bytes()]);
        let listed = contents::read(&image, limits).expect_err("a limit").to_string();
        let unpacked = unpack_image(&image, &dest, limits).expect_err("a limit").to_string();
        assert!(listed.contains(says) && unpacked.contains(says), "{listed}\n{unpacked}");
        assert_eq!(walk(home.path()), Vec::<String>::new());
    };
    let deep = |depth: usize| vec!["d"; depth].join("/");
    refused(named(Tar::default(), &deep(129)), &LayerLimits::default(), "more than 128 parts");
    let good = image(&[named(Tar::default(), &deep(128)).bytes()]);
    assert_eq!(
        contents::read(&good, &LayerLimits::default()).expect("at the limit").files.len(),
        128
    );
    unpack_image(&good, &dest, &LayerLimits::default()).expect("at the limit");
    fs::remove_dir_all(&dest).expect("ours");
    // Folders that occur only in names count as entries, and all names together have a limit too.
    let wide = (0..10).fold(Tar::default(), |tar, n| named(tar, &format!("{n}/{}", deep(100))));
    refused(
        wide,
        &LayerLimits { max_entries: 500, ..LayerLimits::default() },
        "more than 500 entries",
    );
    let long =
        (0..50).fold(Tar::default(), |tar, n| named(tar, &format!("{n}{}", "x".repeat(200))));
    refused(
        long,
        &LayerLimits { max_path_bytes: 5000, ..LayerLimits::default() },
        "names of more than 5000 bytes",
    );
}

/// A tree is deeper than any name if links lead down it. Regression: removing it took one
/// descriptor per level, and stopped half-way without an error.
#[test]
fn nothing_is_left_of_a_refused_tree_of_any_depth() {
    if std::env::var_os("FEW_DESCRIPTORS").is_none() {
        // The limit applies to a process, so this test starts itself again in one with few
        // descriptors.
        let few = Command::new("sh")
            .args([
                "-c",
                "ulimit -n 64 && exec \"$0\" nothing_is_left_of_a_refused_tree --nocapture",
            ])
            .arg(std::env::current_exe().expect("this test"))
            .env("FEW_DESCRIPTORS", "1")
            .output()
            .expect("a shell");
        let said = String::from_utf8_lossy(&few.stdout) + String::from_utf8_lossy(&few.stderr);
        assert!(few.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let home = tempfile::tempdir().expect("a folder");
    let deep = ["d"; 40].join("/");
    let mut tar = Tar::default().folder(&format!("{deep}/"), 0o755).symlink("l0", &deep);
    for n in 1..10 {
        tar = tar
            .folder(&format!("l{}/{deep}/", n - 1), 0o755)
            .symlink(&format!("l{n}"), &format!("l{}/{deep}", n - 1));
    }
    let dest = home.path().join("rootfs");
    let refused = image(&[tar.raw("d", b'Z', "", 0o666, b"").bytes()]);
    unpack_image(&refused, &dest, &LayerLimits::default()).expect_err("an unknown kind");
    assert_eq!(walk(home.path()), Vec::<String>::new());
}

/// Regression: the limit applied to each layer, and an image may have 512.
#[test]
fn all_layers_share_one_budget() {
    let home = tempfile::tempdir().expect("a folder");
    let layer = |name: &str| {
        Tar::default().file(name, &vec![7; 400_000]).file(&format!("{name}2"), b"").bytes()
    };
    let image = image(&[layer("a"), layer("b"), layer("c")]);
    for (limits, says) in [
        (
            LayerLimits { max_uncompressed_bytes: 1 << 20, ..LayerLimits::default() },
            "more than 1048576 bytes uncompressed",
        ),
        (LayerLimits { max_entries: 5, ..LayerLimits::default() }, "more than 5 entries"),
        (LayerLimits { max_path_bytes: 8, ..LayerLimits::default() }, "names of more than 8 bytes"),
    ] {
        let error = contents::read(&image, &limits).expect_err(says).to_string();
        assert!(error.contains(says), "{error}");
        let error =
            unpack_image(&image, &home.path().join("rootfs"), &limits).expect_err(says).to_string();
        assert!(error.contains(says), "{error}");
    }
    assert_eq!(walk(home.path()), Vec::<String>::new());
    unpack_image(
        &image,
        &home.path().join("rootfs"),
        &LayerLimits { max_entries: 6, ..LayerLimits::default() },
    )
    .expect("enough");
}

/// Counts the bytes that are read of a blob.
struct Counted<'a>(&'a [u8], &'a std::cell::Cell<usize>);

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.0.read(buffer)?;
        self.1.set(self.1.get() + n);
        Ok(n)
    }
}

#[test]
fn gigabytes_of_zeros_are_refused_before_any_is_written() {
    let home = tempfile::tempdir().expect("a folder");
    const GIB: u64 = 1 << 30;
    let mut header = tar::Header::new_gnu();
    header.set_path("zeros").expect("a name");
    header.set_size(13 * GIB);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    // A stream may have many members in sequence: 13 GiB of zeros are 13 MiB, and quick to make.
    let mut zeros = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    zeros.write_all(&vec![0; 64 << 20]).expect("gzip into memory");
    let zeros = zeros.finish().expect("gzip into memory");
    let bomb = [common::gzip(header.as_bytes()), zeros.repeat(13 * 16)].concat();
    assert!(bomb.len() < 100 << 20, "{}", bomb.len());
    let read_bytes = std::cell::Cell::new(0);
    let error = unpack_layer(
        Counted(&bomb, &read_bytes),
        media_type::OCI_LAYER_GZIP,
        home.path(),
        &LayerLimits::default(),
    )
    .expect_err("a bomb")
    .to_string();
    assert!(
        error.contains("more than 12884901888 bytes uncompressed") && error.contains("`zeros`"),
        "{error}"
    );
    assert!(read_bytes.get() <= 128 << 10, "{} bytes were read of it", read_bytes.get());
    assert_eq!(walk(home.path()), Vec::<String>::new(), "not even its name");
    // Zeros after the end of the tar belong to no file: they are counted and not stored.
    let bomb = [common::gzip(&[0; 1024]), zeros.repeat(20)].concat();
    let limits = LayerLimits { max_uncompressed_bytes: GIB, ..LayerLimits::default() };
    let error = unpack_layer(bomb.as_slice(), media_type::OCI_LAYER_GZIP, home.path(), &limits)
        .expect_err("a bomb");
    assert!(error.to_string().contains("more than 1073741824 bytes uncompressed"), "{error}");
    assert_eq!(walk(home.path()), Vec::<String>::new());
}

/// Regression: `d/sub` is of the lower layer and `d/sub/new` of this one; an opaque marker after it
/// removed both.
#[test]
fn an_opaque_whiteout_keeps_its_own_layer_at_any_position() {
    let lower = || {
        Tar::default()
            .folder("d/sub/", 0o750)
            .file("d/sub/old", b"1")
            .file("d/gone/x", b"1")
            .symlink("l", "d")
            .bytes()
    };
    for (upper, expected) in [
        (
            Tar::default().file("d/sub/new", b"2").file("d/.wh..wh..opq", b""),
            &["d", "d/sub", "d/sub/new", "l"][..],
        ),
        (
            Tar::default().file("d/.wh..wh..opq", b"").file("d/sub/new", b"2"),
            &["d", "d/sub", "d/sub/new", "l"],
        ),
        (
            Tar::default().file("l/sub/new", b"2").file("d/.wh..wh..opq", b""),
            &["d", "d/sub", "d/sub/new", "l"],
        ),
        (Tar::default().file("d/new", b"2").file("l/.wh..wh..opq", b""), &["d", "d/new", "l"]),
        (
            Tar::default().hardlink("d/kept", "d/sub/old").file("d/.wh..wh..opq", b""),
            &["d", "d/kept", "l"],
        ),
    ] {
        let home = tempfile::tempdir().expect("a folder");
        let image = image(&[lower(), upper.bytes()]);
        let listed = contents::read(&image, &LayerLimits::default()).expect("whiteouts").files;
        assert_eq!(
            listed.keys().map(|path| path.display().to_string()).collect::<Vec<_>>(),
            expected
        );
        let dest = home.path().join("rootfs");
        unpack_image(&image, &dest, &LayerLimits::default()).expect("whiteouts");
        assert_eq!(walk(&dest), expected);
    }
}

/// Regression: a file written through a link of a lower layer was listed under the link, and the
/// program behind it was "not in the image"; a hard link was a file without bytes.
#[test]
fn lists_files_at_their_real_path_and_reads_them_by_every_name() {
    let lower = Tar::default()
        .folder("usr/bin/", 0o755)
        .symlink("bin", "usr/bin")
        .symlink("up", "bin/../bin")
        .bytes();
    let upper = Tar::default()
        .file("bin/app", b"elf")
        .hardlink("up/same", "bin/app")
        .hardlink("sh", "usr/bin/same");
    let image = image(&[lower, upper.bytes()]);
    let listed = contents::read(&image, &LayerLimits::default()).expect("links");
    let paths: Vec<_> = listed.files.keys().map(|path| path.display().to_string()).collect();
    assert_eq!(paths, ["bin", "sh", "up", "usr", "usr/bin", "usr/bin/app", "usr/bin/same"]);
    for path in ["usr/bin/app", "usr/bin/same", "sh"] {
        let bytes = listed
            .read_file(&image, Path::new(path), 3, &LayerLimits::default())
            .expect("a small file");
        assert_eq!(bytes.as_deref(), Some(&b"elf"[..]), "{path}");
    }
    assert!(
        listed.read_file(&image, Path::new("sh"), 2, &LayerLimits::default()).is_err(),
        "larger than what is read"
    );
    assert_eq!(
        listed.read_file(&image, Path::new("bin"), 9, &LayerLimits::default()).expect("no file"),
        None
    );
}

/// Regression: modes were set at once, so a user other than root could not fill a read-only folder.
#[test]
fn any_user_can_fill_read_only_folders() {
    let lower = Tar::default()
        .folder("closed/", 0o555)
        .file("closed/one", b"1")
        .folder("closed/dark/", 0o000)
        .bytes();
    let upper = Tar::default().file("closed/two", b"2").file("closed/dark/three", b"3").bytes();
    let image = image(&[lower.clone(), upper.clone()]);
    let home = tempfile::tempdir().expect("a folder");
    if rustix::process::geteuid().is_root() {
        // Root may write anywhere, so this test starts itself again as nobody, in a folder that
        // nobody may read.
        let copy = home.path().join("test");
        fs::copy(std::env::current_exe().expect("this test"), &copy).expect("a copy");
        std::os::unix::fs::chown(home.path(), Some(65534), Some(65534)).expect("root");
        let mut again = Command::new(&copy);
        again
            .arg("any_user_can_fill_read_only_folders")
            .env("TMPDIR", home.path())
            .uid(65534)
            .gid(65534);
        let output = common::output(&mut again);
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let dest = home.path().join("rootfs");
    unpack_image(&image, &dest, &LayerLimits::default()).expect("as nobody");
    let stat = |name: &str| fs::symlink_metadata(dest.join(name)).expect(name);
    assert_eq!(stat("closed").mode() & 0o7777, 0o555);
    assert_eq!(
        (stat("closed/dark").mode() & 0o7777, stat("closed/dark").mtime()),
        (0, 1_000_000_000)
    );
    assert_eq!(fs::read(dest.join("closed/two")).expect("a file"), b"2");
    // A refused image leaves nothing, even with closed folders.
    let other = home.path().join("other");
    let bad = Tar::default().file("closed/two", b"2").raw("d", b'Z', "", 0o666, b"").bytes();
    unpack_image(&common::image(&[lower.clone(), bad]), &other, &LayerLimits::default())
        .expect_err("an unknown kind");
    // Layer by layer, the folder is closed already when the second layer is applied.
    fs::create_dir(&other).expect("a folder");
    let closed = Tar::default().folder("closed/", 0o555).file("closed/one", b"1").bytes();
    apply(&[closed, Tar::default().file("closed/two", b"2").bytes()], &other).expect("as nobody");
    assert_eq!(fs::metadata(other.join("closed")).expect("there").mode() & 0o7777, 0o555);
    let names: Vec<_> = fs::read_dir(home.path())
        .expect("a folder")
        .map(|e| e.expect("an entry").file_name())
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

/// Other users can neither read a folder while it is filled, nor put links into it.
#[test]
fn the_folder_is_closed_to_others_until_it_is_complete() {
    let home = tempfile::tempdir().expect("a folder");
    let tar = Tar::default().folder("./", 0o777).file("app", b"elf").bytes();
    let blob = common::gzip(&tar);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (log, folder) = (Arc::clone(&seen), home.path().to_owned());
    let image = image(&[tar]);
    let image = Image::from_parts(
        image.manifest_bytes().to_vec(),
        image.config_bytes().to_vec(),
        move |_| {
            let (log, folder, blob) = (Arc::clone(&log), folder.clone(), blob.clone());
            Blob::new(move || {
                let modes =
                    fs::read_dir(&folder)?.map(|entry| Ok(entry?.metadata()?.mode() & 0o7777));
                log.lock()
                    .expect("no one panics")
                    .extend(modes.collect::<std::io::Result<Vec<_>>>()?);
                Ok(Box::new(std::io::Cursor::new(blob.clone())))
            })
        },
    )
    .expect("a consistent image");
    unpack_image(&image, &home.path().join("rootfs"), &LayerLimits::default())
        .expect("a good image");
    assert_eq!(*seen.lock().expect("no one panics"), [0o700]);
    assert_eq!(fs::metadata(home.path().join("rootfs")).expect("there").mode() & 0o7777, 0o777);
}
