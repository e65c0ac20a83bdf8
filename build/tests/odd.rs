//! Unusual layers of other tools, each read as Docker Engine reads it. A table of hand-made layers
//! is unpacked by microimage, and loaded, created and exported by Docker Engine; both must give the
//! same files.

mod common;

use common::{Tar, docker, gzip};
use microimage::contents::{self, What};
use microimage::digest::{DiffId, Digest};
use microimage::entry::LayerLimits;
use microimage::image::Image;
use microimage::inspect::View;
use microimage::unpack::{self, unpack_image};
use microimage::{check, source};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;

/// An unusual layer, and which of the two readers accept it.
struct Odd {
    what: &'static str,
    layers: Vec<Vec<u8>>,
    is_taken: bool,
    is_taken_by_docker: bool,
}

fn odd(what: &'static str, layers: Vec<Tar>) -> Odd {
    let layers = layers.into_iter().map(Tar::bytes).collect();
    Odd { what, layers, is_taken: true, is_taken_by_docker: true }
}

fn refused(what: &'static str, layers: Vec<Tar>) -> Odd {
    Odd { is_taken: false, is_taken_by_docker: false, ..odd(what, layers) }
}

/// `cap_dac_override,cap_fowner=p`: the value contains a line feed.
const CAPABILITY: [u8; 20] = [0, 0, 0, 2, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// GNU's old header of a sparse file: four pieces, then 21 per block.
fn gnu_sparse(name: &str, pieces: &[(u64, &[u8])], size_bytes: u64) -> Tar {
    let stored: Vec<u8> = pieces.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
    let mut header = tar::Header::new_gnu();
    header.set_path(name).expect("a short name");
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_000_000_000);
    header.set_size(stored.len() as u64);
    header.set_entry_type(tar::EntryType::GNUSparse);
    let number = |n: u64| format!("{n:011o}\0").into_bytes();
    let gnu = header.as_gnu_mut().expect("a GNU header");
    gnu.realsize.copy_from_slice(&number(size_bytes));
    let mut rest = pieces.iter();
    let mut fill = |list: &mut [tar::GnuSparseHeader]| {
        for (place, (offset, bytes)) in list.iter_mut().zip(&mut rest) {
            place.offset.copy_from_slice(&number(*offset));
            place.numbytes.copy_from_slice(&number(bytes.len() as u64));
        }
        rest.len() > 0
    };
    let mut goes_on = fill(&mut gnu.sparse);
    gnu.isextended = [u8::from(goes_on)];
    let mut content = Vec::new();
    while goes_on {
        let mut more = tar::GnuExtSparseHeader::new();
        goes_on = fill(&mut more.sparse);
        more.isextended = [u8::from(goes_on)];
        content.extend_from_slice(more.as_bytes());
    }
    content.extend_from_slice(&stored);
    Tar::default().header(*header.as_bytes(), &content)
}

/// A sparse file in GNU's old form, which `tar -S` writes and Docker Engine cannot read.
fn sparse(what: &'static str, layers: Vec<Tar>) -> Odd {
    Odd { is_taken_by_docker: false, ..odd(what, layers) }
}

/// The table. Docker Engine refuses everything that is refused here. It unpacks in a chroot, where
/// `..` never leads above the root.
fn odds() -> Vec<Odd> {
    let many: Vec<(u64, &[u8])> = (0..60).map(|n| (n * 1000, &b"piece"[..])).collect();
    let of = |tar: Tar| vec![tar];
    let base = || Tar::default().file("real", b"x").folder("d/", 0o755);
    vec![
        odd("absolute names", of(base().file("/usr/bin/app", b"app").folder("/etc/", 0o755))),
        odd("names that begin with a dot", of(base().folder("./", 0o755).file("./a/b", b"x"))),
        odd("several slashes", of(base().file("//a///b", b"x"))),
        odd("a climb that stays inside", of(base().file("d/../e", b"x"))),
        odd("an absolute climb", of(base().file("/../../f", b"x"))),
        odd("a climb out", of(base().file("../f", b"x"))),
        odd("a later climb out", of(base().file("d/../../f", b"x"))),
        odd("a climb out that comes back", of(base().file("../../d/f", b"x"))),
        odd("a folder that climbs out", of(base().folder("../up/", 0o750).file("up/f", b"x"))),
        odd("the root by a climb", of(base().folder("d/../../", 0o755))),
        odd("a climb in a pax name", of(base().pax(&[("path", b"../long")]).file("short", b"x"))),
        odd("a climb over what is there", of(base().file("../real", b"other"))),
        odd("a climbing whiteout", vec![base(), Tar::default().file("../../.wh.real", b"")]),
        odd("a climb through a link", of(base().symlink("l", "/d").file("l/../f", b"x"))),
        odd("an absolute hard link", of(base().hardlink("link", "/real"))),
        odd("a hard link to a dotted name", of(base().hardlink("link", "./real"))),
        odd("a hard link that climbs", of(base().hardlink("link", "../real"))),
        odd("a hard link that climbs later", of(base().hardlink("d/link", "d/../../../real"))),
        refused("a hard link that climbs to nothing", of(base().hardlink("l", "../etc/shadow"))),
        odd("an absolute symbolic link", of(base().symlink("link", "/d"))),
        odd("a link that climbs within", of(base().symlink("d/link", "../real"))),
        odd("a link that climbs out", of(base().symlink("d/link", "../../real"))),
        odd("a link that climbs far", of(base().symlink("link", "../../../../../etc/shadow"))),
        odd(
            "a file through a link that climbs out",
            of(base().symlink("up", "../../..").file("up/f", b"x").file("up/d/g", b"y")),
        ),
        odd("an absolute link that climbs", of(base().symlink("d/link", "/../real"))),
        odd(
            "an absolute whiteout",
            vec![base(), Tar::default().file("/.wh.real", b"").file("/new", b"x")],
        ),
        odd(
            "FIFOs",
            vec![
                base()
                    .file("was", b"x")
                    .raw("pipe", b'6', "", 0o644, b"")
                    .raw("open", b'6', "", 0o666, b"")
                    .hardlink("pipe2", "pipe")
                    .raw("is", b'6', "", 0o600, b""),
                Tar::default().raw("was", b'6', "", 0o600, b"").file("is", b"x"),
            ],
        ),
        odd(
            "a FIFO in place of a folder",
            vec![base().file("d/f", b"x"), Tar::default().raw("d", b'6', "", 0o600, b"")],
        ),
        refused(
            "a file below a FIFO",
            of(base().raw("pipe", b'6', "", 0o640, b"").file("pipe/f", b"x")),
        ),
        odd(
            "devices",
            of(base()
                .raw("null", b'3', "", 0o666, b"")
                .raw("disk", b'4', "", 0o666, b"")
                .raw("/console", b'3', "", 0o600, b"")),
        ),
        odd("an entry under a folder that nothing lists", of(base().file("p/q/r", b"x"))),
        odd("a folder marked by its slash", of(base().raw("old/", 0, "", 0o755, b""))),
        odd("a file whose name ends with a slash", of(base().raw("old/", b'0', "", 0o644, b""))),
        odd("a file of type zero", of(base().raw("old", 0, "", 0o644, b"x"))),
        odd("a global header", of(Tar::default().raw("g", b'g', "", 0, b"").file("a", b"x"))),
        odd("pax names", of(base().pax(&[("path", b"/long/name")]).file("short", b"x"))),
        odd(
            "pax values that are empty",
            of(base().pax(&[("path", b""), ("uid", b""), ("mtime", b"")]).file("short", b"x")),
        ),
        odd("a pax link", of(base().pax(&[("linkpath", b"/real")]).hardlink("link", "short"))),
        odd("a time with a fraction", of(base().pax(&[("mtime", b"1.5")]).file("a", b"x"))),
        odd(
            "capabilities",
            of(base()
                .pax(&[("SCHILY.xattr.security.capability", &CAPABILITY)])
                .raw("ping", b'0', "", 0o755, b"x")),
        ),
        sparse("GNU's sparse file", of(gnu_sparse("s", &[(512, b"one"), (5000, b"two")], 9000))),
        sparse("GNU's sparse file of many pieces", of(gnu_sparse("s", &many, 100_000))),
        sparse("a sparse file of nothing", of(gnu_sparse("s", &[], 4096))),
        odd(
            "a sparse file of pax 0.0",
            of(base()
                .pax(&[
                    ("GNU.sparse.size", b"20"),
                    ("GNU.sparse.numblocks", b"2"),
                    ("GNU.sparse.offset", b"2"),
                    ("GNU.sparse.numbytes", b"3"),
                    ("GNU.sparse.offset", b"10"),
                    ("GNU.sparse.numbytes", b"1"),
                ])
                .file("s", b"abcd")),
        ),
        odd(
            "a sparse file of pax 0.1",
            of(base()
                .pax(&[
                    ("GNU.sparse.name", b"sparse"),
                    ("GNU.sparse.size", b"20"),
                    ("GNU.sparse.numblocks", b"2"),
                    ("GNU.sparse.map", b"2,3,10,1"),
                ])
                .file("GNUSparseFile.1/s", b"abcd")),
        ),
        odd(
            "a sparse file of pax 1.0",
            of(base()
                .pax(&[
                    ("GNU.sparse.major", b"1"),
                    ("GNU.sparse.minor", b"0"),
                    ("GNU.sparse.name", b"sparse"),
                    ("GNU.sparse.realsize", b"20"),
                ])
                .file("s", &[&b"2\n2\n3\n10\n1\n"[..], &[0; 501], b"abcd"].concat())),
        ),
        refused(
            "a sparse file that stores more than its map says",
            of(base()
                .pax(&[("GNU.sparse.size", b"20"), ("GNU.sparse.map", b"2,3")])
                .file("s", b"abcd")),
        ),
        odd(
            "AUFS's bookkeeping",
            of(base().folder(".wh..wh.plnk/", 0o700).file(".wh..wh.aufs", b"")),
        ),
        refused("an unknown kind", of(base().raw("z", b'Z', "", 0o644, b""))),
    ]
}

fn image_of(odd: &Odd) -> Image {
    common::image(&odd.layers)
}

/// A file in the form that both sides are compared in: kind, permission bits, owner, content or
/// target, extended attribute.
type Seen = BTreeMap<String, (char, u32, u32, u32, Vec<u8>)>;

/// Whether Docker Engine mounts over this path or creates it in every container.
fn is_dockers(path: &str) -> bool {
    let made = ["dev", "proc", "sys", "etc", ".dockerenv"];
    made.contains(&path) || ["dev/", "proc/", "sys/", "etc/"].iter().any(|p| path.starts_with(p))
}

/// Loads the image into Docker Engine. Returns the files of a container of it, or why it was
/// refused.
fn through_docker(name: &str, image: &Image, home: &Path) -> Result<Seen, String> {
    let tar = home.join("image.tar");
    let tag = format!("microimage-odd:{name}-{}", std::process::id());
    microimage::archive::write(&image.clone().with_reference(&tag), &tar).expect("an archive");
    let run = |arguments: &[&str]| {
        let output = docker(arguments).expect("docker");
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    };
    run(&["load", "-i", &tar.display().to_string()])?;
    let seen = run(&["create", &tag]).and_then(|id| {
        let id = String::from_utf8_lossy(&id).trim().to_owned();
        let exported = run(&["export", &id]);
        run(&["rm", &id])?;
        exported
    });
    run(&["rmi", &tag])?;
    let mut files = Seen::new();
    let exported = seen?;
    for entry in tar::Archive::new(exported.as_slice()).entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let path = path.trim_start_matches("./").trim_matches('/').to_owned();
        if path.is_empty() || is_dockers(&path) {
            continue;
        }
        let header = entry.header().clone();
        let kind = header.entry_type();
        if kind.is_hard_link() {
            let target = entry.link_name().expect("a name").expect("a target");
            let target = target.display().to_string();
            let known = files.get(&target).unwrap_or_else(|| panic!("{target}")).clone();
            files.insert(path, known);
            continue;
        }
        let letter = match kind {
            _ if kind.is_dir() => 'd',
            _ if kind.is_symlink() => 'l',
            _ if kind.is_file() || kind.is_gnu_sparse() => 'f',
            _ if kind.is_fifo() => 'p',
            _ => continue, // a device, which microimage leaves out
        };
        let mut content = Vec::new();
        match letter {
            'l' => content = entry.link_name_bytes().expect("a target").into_owned(),
            'f' => drop(entry.read_to_end(&mut content).expect("a file")),
            _ => {}
        }
        let mode = header.mode().expect("a mode") & 0o7777;
        let mode = if letter == 'l' { 0o777 } else { mode };
        let (uid, gid) = (header.uid().expect("a user"), header.gid().expect("a group"));
        files.insert(path, (letter, mode, uid as u32, gid as u32, content));
    }
    Ok(files)
}

/// The files of a folder, in the same form.
fn in_folder(root: &Path) -> Seen {
    let mut files = Seen::new();
    for path in common::walk(root) {
        if is_dockers(&path) {
            continue;
        }
        let whole = root.join(&path);
        let stat = fs::symlink_metadata(&whole).expect("there");
        let kind = stat.file_type();
        assert!(!(kind.is_char_device() || kind.is_block_device()), "{path}: a device was made");
        let (letter, content) = match () {
            () if kind.is_dir() => ('d', Vec::new()),
            () if kind.is_fifo() => ('p', Vec::new()),
            () if kind.is_symlink() => {
                let target = fs::read_link(&whole).expect("a link");
                ('l', target.into_os_string().into_encoded_bytes())
            }
            () => ('f', fs::read(&whole).expect("a file")),
        };
        files.insert(path, (letter, stat.mode() & 0o7777, stat.uid(), stat.gid(), content));
    }
    files
}

#[test]
fn odd_layers_are_unpacked_as_docker_engine_unpacks_them() {
    let has_docker = docker(&["info"]).is_ok_and(|o| o.status.success());
    if !has_docker {
        common::skipped(format_args!("no Docker Engine answers `docker info`: no oracle"));
    }
    let is_root = rustix::process::geteuid().is_root();
    for (number, odd) in odds().iter().enumerate() {
        let home = tempfile::tempdir().expect("a folder");
        let (image, what) = (image_of(odd), odd.what);
        let dest = home.path().join("inner/rootfs");
        let done = unpack_image(&image, &dest, &LayerLimits::default());
        assert_eq!(done.is_ok(), odd.is_taken, "{what}: {done:?}");
        let listed = contents::read(&image, &LayerLimits::default());
        // The listed files are the unpacked files.
        if let Ok(listed) = &listed
            && odd.is_taken
        {
            let paths: Vec<_> = listed.files.keys().map(|p| p.display().to_string()).collect();
            assert_eq!(paths, common::walk(&dest), "{what}");
        }
        assert_eq!(
            common::walk(home.path()).iter().filter(|path| !path.starts_with("inner")).count(),
            0,
            "{what}: something is outside"
        );
        if !has_docker || !is_root {
            continue; // owners and modes are compared as root
        }
        let theirs = through_docker(&number.to_string(), &image, home.path());
        let taken = odd.is_taken_by_docker;
        assert_eq!(theirs.is_ok(), taken, "{what}: Docker Engine says {theirs:?}");
        if let Ok(theirs) = theirs
            && odd.is_taken
        {
            assert_eq!(in_folder(&dest), theirs, "{what}");
        }
    }
}

/// Bytes after a gzip stream: another gzip stream belongs to it; any other bytes, including zeros,
/// are an error, as in Docker Engine.
#[test]
fn what_follows_a_gzip_stream_is_read_as_docker_engine_reads_it() {
    let has_docker = docker(&["info"]).is_ok_and(|o| o.status.success());
    let tar = Tar::default().file("a", b"x").bytes();
    let padded = [&tar[..], &[0; 512]].concat();
    let whole = gzip(&tar);
    for (what, blob, tar, is_taken) in [
        ("nothing", whole.clone(), &tar, true),
        ("another stream", [whole.clone(), gzip(&[0; 512])].concat(), &padded, true),
        ("an empty stream", [whole.clone(), gzip(b"")].concat(), &tar, true),
        ("zeros", [&whole[..], &[0; 512]].concat(), &tar, false),
        ("garbage", [&whole[..], b"garbage"].concat(), &tar, false),
        ("a cut", whole[..whole.len() - 4].to_vec(), &tar, false),
        ("a cut stream", [&whole[..], &gzip(b"more")[..12]].concat(), &tar, false),
        ("tar's own padding", gzip(&padded), &padded, true),
    ] {
        let config = json!({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/a"]},
            "rootfs": {"type": "layers", "diff_ids": [DiffId::of(tar)]}});
        let image = common::image_of(std::slice::from_ref(&blob), &config);
        let home = tempfile::tempdir().expect("a folder");
        let done = unpack_image(&image, &home.path().join("rootfs"), &LayerLimits::default());
        assert_eq!(done.is_ok(), is_taken, "{what}: {done:?}");
        if has_docker {
            let theirs = through_docker("gzip", &image, home.path());
            assert_eq!(theirs.is_ok(), is_taken, "{what}: Docker Engine says {theirs:?}");
        }
    }
}

/// Regression: buildah and some registries' tools state a compression that the bytes do not have.
#[test]
fn the_first_bytes_decide_about_the_compression() {
    let tar = Tar::default().file("a", b"x").bytes();
    let zstd = zstd::bulk::compress(&tar, 1).expect("in memory");
    for blob in [tar.clone(), gzip(&tar), zstd] {
        for media_type in [
            "application/vnd.oci.image.layer.v1.tar",
            "application/vnd.oci.image.layer.v1.tar+gzip",
            "application/vnd.oci.image.layer.v1.tar+zstd",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
            "application/vnd.docker.image.rootfs.diff.tar.zstd",
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        ] {
            let home = tempfile::tempdir().expect("a folder");
            let limits = LayerLimits::default();
            unpack::unpack_layer(blob.as_slice(), media_type, home.path(), &limits)
                .expect(media_type);
            assert_eq!(common::walk(home.path()), ["a"], "{media_type}");
        }
    }
    let home = tempfile::tempdir().expect("a folder");
    let xz = b"\xfd7zXZ\0and the rest";
    let media_type = "application/vnd.oci.image.layer.v1.tar";
    let error = unpack::unpack_layer(&xz[..], media_type, home.path(), &LayerLimits::default());
    assert!(error.expect_err("xz").to_string().contains("compressed by xz"));
}

/// Every command that shows an image reports the devices that are left out.
#[test]
fn left_out_devices_are_reported() {
    let lower = Tar::default().file("null", b"hidden by the device").file("kept", b"x").bytes();
    let upper = Tar::default()
        .raw("null", b'3', "", 0o666, b"")
        .raw("pipe", b'6', "", 0o666, b"")
        .raw("disk", b'4', "", 0o666, b"")
        .hardlink("null2", "null")
        .raw("kept", b'4', "", 0o666, b"")
        .bytes();
    let top = Tar::default().file("kept", b"again").bytes();
    let image = common::image(&[lower, upper, top]);
    let home = tempfile::tempdir().expect("a folder");
    let dest = home.path().join("rootfs");
    let done = unpack_image(&image, &dest, &LayerLimits::default()).expect("taken");
    assert_eq!(common::walk(&dest), ["kept", "pipe"], "what the devices replace is gone");
    assert_eq!(done.iter().map(|layer| layer.left_out).sum::<u64>(), 4);
    assert!(unpack::left_out(&done)[0].contains("4 devices"), "{:?}", unpack::left_out(&done));
    let contents = contents::read(&image, &LayerLimits::default()).expect("taken");
    let left_out: Vec<_> = contents
        .left_out
        .iter()
        .map(|(path, what)| (path.to_str().expect("ours"), *what))
        .collect();
    assert_eq!(
        left_out,
        [
            ("disk", "a block device"),
            ("null", "a character device"),
            ("null2", "a character device")
        ]
    );
    let text = View::of(&image, &contents).text();
    assert!(text.contains("left out") && text.contains("/null: a character device"), "{text}");
    let report = check::check(&image, &contents, &check::Provider::SCF, None, "/proc");
    let text = report.expect("read").text();
    assert!(
        text.contains("left out: `/disk` (a block device), `/null` (a character device)"),
        "{text}"
    );
}

/// Regression: capabilities were lost silently, and those with a line feed in them were an error.
#[test]
fn file_capabilities_are_kept_shown_and_reported() {
    let tar = Tar::default()
        .pax(&[
            ("SCHILY.xattr.security.capability", &CAPABILITY),
            ("SCHILY.xattr.user.colour", b"blue\nand green"),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ])
        .raw("app", b'0', "", 0o755, common::HELLO)
        .hardlink("same", "app");
    let image = common::image(&[tar.bytes()]);
    let contents = contents::read(&image, &LayerLimits::default()).expect("taken");
    let expected = "cap_dac_override,cap_fowner=p";
    for path in ["app", "same"] {
        let found = &contents.files[Path::new(path)];
        assert!(matches!(found.what, What::File { .. }));
        assert_eq!(found.capability.as_ref().map(ToString::to_string).as_deref(), Some(expected));
    }
    let view = View::of(&image, &contents);
    assert!(view.text().contains(&format!("/app  {expected}")), "{}", view.text());
    let report = check::check(&image, &contents, &check::Provider::SCF, None, "/proc");
    let text = report.expect("read").text();
    assert!(text.contains(&format!("file capabilities: `/app` {expected}")), "{text}");

    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let dest = home.path().join("rootfs");
    let done = unpack_image(&image, &dest, &LayerLimits::default()).expect("taken");
    let kept = {
        let mut value = [0; 64];
        let read = rustix::fs::getxattr(dest.join("app"), "security.capability", &mut value);
        read.map(|n| value[..n].to_vec()).ok()
    };
    match (kept, done[0].lost_capabilities) {
        (Some(value), 0) => assert_eq!(value, CAPABILITY),
        (None, 1) => {
            let said = unpack::left_out(&done).join("\n");
            assert!(said.contains("capabilities of 1 files"), "{said}");
            common::skipped(format_args!("this file system, or this user, keeps no capability"));
        }
        other => panic!("{other:?}"),
    }
    assert!(done[0].ignored_xattrs >= 1, "`trusted.` is not kept");
}

fn load(place: &Path) -> Result<Image, String> {
    source::load(&place.display().to_string()).map_err(|error| error.to_string())
}

/// Regression: `docker save | gzip` was reported as "not a tar", in the library's own words.
#[test]
fn compressed_archives_are_read() {
    let home = tempfile::tempdir().expect("a folder");
    let image = common::image(&[Tar::default().file("app", b"elf").bytes()]).with_reference("a:1");
    let plain = home.path().join("plain.tar");
    microimage::archive::write(&image, &plain).expect("an archive");
    let bytes = fs::read(&plain).expect("an archive");
    let write = |name: &str, bytes: &[u8]| {
        let path = home.path().join(name);
        fs::write(&path, bytes).expect("a file");
        path
    };
    let zstd = zstd::bulk::compress(&bytes, 1).expect("in memory");
    for (name, bytes) in [("a.tar.gz", gzip(&bytes)), ("a.tar.zst", zstd)] {
        let loaded = load(&write(name, &bytes)).expect(name);
        assert_eq!(loaded.manifest_bytes(), image.manifest_bytes());
        contents::read(&loaded, &LayerLimits::default()).expect("its layers too");
    }
    for (name, bytes, says) in [
        ("cut.tar.gz", &gzip(&bytes)[..200], "cannot be decompressed"),
        ("a.tar.xz", b"\xfd7zXZ\0rest", "`xz -d` it first"),
        ("a.tar.bz2", b"BZh91AY", "`bzip2 -d` it first"),
        ("noise", &[0x9d; 4096], "it is not a tar"),
        ("text", &b"just words, and more of them\n".repeat(40), "it is not a tar"),
        ("inner.tar.gz", &gzip(&Tar::default().file("app", b"x").bytes()), "manifest.json"),
    ] {
        let error = load(&write(name, bytes)).expect_err(name);
        assert!(error.contains(says), "{name}: {error}");
        assert!(!error.contains(|c: char| c.is_control()), "{name}: {error:?}");
    }
}

/// Regression: the message "name one of" did not say how to name one.
#[test]
fn one_of_several_images_is_named_after_a_hash_sign() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("both.tar");
    let one = common::image(&[Tar::default().file("one", b"1").bytes()]);
    let config = String::from_utf8_lossy(one.config_bytes()).replace("9000/tcp", "9001/tcp");
    let id = |config: &[u8]| Digest::of(config).hex().to_string();
    let mut blob = Vec::new();
    one.layers()[0].open().and_then(|mut r| r.read_to_end(&mut blob)).expect("in memory");
    let (first, second) = (id(one.config_bytes()), id(config.as_bytes()));
    let manifest = json!([
        {"Config": format!("{first}.json"), "RepoTags": ["echo:latest", "echo:1"],
            "Layers": ["l/layer.tar"]},
        {"Config": format!("{second}.json"), "RepoTags": null, "Layers": ["l/layer.tar"]},
    ]);
    let tar = Tar::default()
        .file("l/layer.tar", &blob)
        .file(&format!("{first}.json"), one.config_bytes())
        .file(&format!("{second}.json"), config.as_bytes())
        .file("manifest.json", manifest.to_string().as_bytes());
    fs::write(&path, gzip(&tar.bytes())).expect("a file");
    let place = path.display().to_string();
    let error = source::load(&place).expect_err("two images").to_string();
    assert!(
        error.contains("contains 2 matching images")
            && error.contains("`FILE#NAME`: `echo:latest`, `echo:1`, `")
            && error.contains(&second[..12]),
        "{error}"
    );
    for (name, port, reference) in [
        ("echo", "9000/tcp", Some("echo:latest")),
        ("echo:1", "9000/tcp", Some("echo:1")),
        ("docker.io/library/echo:1", "9000/tcp", Some("echo:1")),
        (&first, "9000/tcp", Some("echo:latest")),
        (&second[..12], "9001/tcp", None),
        (&format!("sha256:{second}"), "9001/tcp", None),
    ] {
        let loaded = source::load(&format!("{place}#{name}")).expect(name);
        assert_eq!(
            (loaded.exposed_ports(), loaded.reference()),
            (vec![port.to_owned()], reference)
        );
    }
    let error = source::load(&format!("{place}#other")).expect_err("not there").to_string();
    assert!(error.contains("no image `other`") && error.contains("FILE#NAME"), "{error}");
}

#[test]
fn umoci_unpacks_the_same_files() {
    let home = tempfile::tempdir().expect("a folder");
    if Command::new("umoci").arg("--version").output().is_err() {
        common::skipped(format_args!(
            "`umoci` is not installed; `build/setup --docker` installs it"
        ));
        return;
    }
    // Layers that umoci and Docker Engine treat alike; umoci refuses the others or treats them in
    // its own way.
    let alike = ["absolute names", "an absolute hard link", "pax names", "several slashes"];
    for (number, odd) in odds().iter().enumerate().filter(|(_, odd)| alike.contains(&odd.what)) {
        let layout = home.path().join(format!("oci-{number}"));
        let image = image_of(odd).with_reference("odd:1");
        microimage::layout::write(&image, &layout).expect("a layout");
        let bundle = home.path().join(format!("bundle-{number}"));
        let done = Command::new("umoci")
            .args(["unpack", "--rootless", "--image", &format!("{}:1", layout.display())])
            .arg(&bundle)
            .output()
            .expect("umoci");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{}: {said}", odd.what);
        let dest = home.path().join(format!("ours-{number}"));
        unpack_image(&image, &dest, &LayerLimits::default()).expect(odd.what);
        assert_eq!(common::walk(&dest), common::walk(&bundle.join("rootfs")), "{}", odd.what);
    }
}

/// GNU tar is the oracle for the forms of sparse files that it writes.
#[test]
fn sparse_files_of_gnu_tar_have_their_content() {
    use std::os::unix::fs::FileExt;
    let home = tempfile::tempdir().expect("a folder");
    let sparse = home.path().join("sparse");
    let file = fs::File::create(&sparse).expect("a file");
    file.set_len(3 << 20).expect("a file");
    for piece in 0..40 {
        let bytes = format!("piece {piece}").into_bytes();
        file.write_all_at(&bytes, piece * 70_000 + piece).expect("a file");
    }
    for form in [
        &["--format=gnu"][..],
        &["--format=posix", "--sparse-version=0.0"],
        &["--format=posix", "--sparse-version=0.1"],
        &["--format=posix", "--sparse-version=1.0"],
    ] {
        let done = Command::new("tar")
            .args(["--create", "--sparse", "--file=-", "--directory"])
            .arg(home.path())
            .args(form)
            .args(["sparse", "--owner=0", "--group=0"])
            .output();
        let Ok(done) = done.map_err(|error| common::skipped(format_args!("no `tar`: {error}")))
        else {
            return;
        };
        assert!(done.status.success(), "{form:?}: {}", String::from_utf8_lossy(&done.stderr));
        assert!(done.stdout.len() < 1 << 20, "{form:?}: the archive is not sparse");
        let image = common::image(&[done.stdout]);
        let dest = home.path().join("rootfs");
        unpack_image(&image, &dest, &LayerLimits::default()).expect("GNU tar's");
        let same =
            fs::read(dest.join("sparse")).expect("a file") == fs::read(&sparse).expect("ours");
        assert!(same, "{form:?}");
        let listed = contents::read(&image, &LayerLimits::default()).expect("GNU tar's");
        let What::File { size_bytes, .. } = listed.files[Path::new("sparse")].what else {
            panic!("no file")
        };
        assert_eq!(size_bytes, 3 << 20);
        fs::remove_dir_all(&dest).expect("ours");
    }
}

/// A tar of 1 KiB may claim a file of any size.
#[test]
fn holes_count_towards_the_limit() {
    let home = tempfile::tempdir().expect("a folder");
    let limits = LayerLimits { max_uncompressed_bytes: 1 << 20, ..LayerLimits::default() };
    for size_bytes in [2 << 20, 7 << 30] {
        let image = common::image(&[gnu_sparse("s", &[(5, b"x")], size_bytes).bytes()]);
        let dest = home.path().join("rootfs");
        let error = unpack_image(&image, &dest, &limits).expect_err("a bomb").to_string();
        assert!(error.contains("more than 1048576 bytes"), "{error}");
        let error = contents::read(&image, &limits).expect_err("a bomb").to_string();
        assert!(error.contains("more than 1048576 bytes"), "{error}");
        assert_eq!(common::walk(home.path()), Vec::<String>::new());
    }
}
