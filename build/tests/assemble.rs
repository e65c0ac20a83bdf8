//! Assembly from outside: a recipe and files give an image with the same bytes for every user, in
//! every folder and at any time.

mod common;

use common::{HELLO, MemoryContext};
use microimage::assemble::{AssembleError, Assembled, Options, assemble};
use microimage::context::FolderContext;
use microimage::elf::Architecture;
use microimage::entry::{Budget, EntryError, LayerLimits, read_entries};
use microimage::image::{Compression, media_type};
use microimage::layer::{Format, LayerError, decompress};
use microimage::outputs;
use microimage::recipe::Recipe;
use microimage::unpack::unpack_image;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const RECIPE: &str =
    "FROM scratch\nCOPY app /app\nCOPY etc /etc\nEXPOSE 9000\nENTRYPOINT [\"/app\"]\n";

/// Digests of `RECIPE` over the committed program. A change here affects everyone who pins a
/// digest: describe it in CHANGELOG.md.
const GOLDEN_MANIFEST: &str =
    "sha256:a4bda93fadc245ce8e9eb3dd263b23b58d0c6339beba4e1c3a98f0742edcdde8";
const GOLDEN_DIFF_ID: &str =
    "sha256:8cdabdc735a2b50daab4a8696f4626320972e6596dece6255d0a05e25045850a";

/// The same for OCI without compression, OCI with zstd, Docker with gzip, Docker without
/// compression, and OCI with gzip at another time.
const GOLDEN: [(&str, &str); 5] = [
    ("sha256:ba344d07f4a2f03b1c8e9772a824bc5330326916bc59b82f9613d04bb2ba61fb", GOLDEN_DIFF_ID),
    ("sha256:ea10c5ecb37e29b179098884e4f3ac824326028365fd0af5241384e0486cdc29", GOLDEN_DIFF_ID),
    ("sha256:a905b4a80746207390ed80d963a2b27a045bd9107e7e235100a5c84b1b25e9bd", GOLDEN_DIFF_ID),
    ("sha256:5980fb12022983a1f30b3ce16357f3f8ec9a9c5228753140fd368bb4bc5cdac2", GOLDEN_DIFF_ID),
    (
        "sha256:2696ccfb31912fac7168c74e4e94ff9d5772f0df1f5401621d10d7018117a43f",
        "sha256:77e84e021889894ecac134fa22b572836a05b15c22bd87129e490fc4410c0042",
    ),
];

fn context() -> MemoryContext {
    MemoryContext::default()
        .program("app", HELLO)
        .file("etc/config", b"key = \"value\"\n")
        .link("etc/link", "config")
}

fn assembled(options: &Options) -> Assembled {
    assemble(&Recipe::parse(RECIPE).expect("a recipe"), &context(), options).expect("an image")
}

#[test]
fn the_golden_image_has_not_changed() {
    let image = assembled(&Options::default()).image;
    assert_eq!(image.layers()[0].diff_id().to_string(), GOLDEN_DIFF_ID);
    assert_eq!(image.manifest_digest().to_string(), GOLDEN_MANIFEST);
}

/// Formats and compressions that the first golden digest does not cover, and another time. DiffIDs
/// are digests of the tar, so they are equal if only the compression differs. The compression
/// libraries decide the bytes of zstd and gzip: a new version may change these digests.
#[test]
fn the_other_golden_images_have_not_changed_either() {
    let found = [
        (Format::Oci, Compression::None, 0),
        (Format::Oci, Compression::Zstd, 0),
        (Format::Docker, Compression::Gzip, 0),
        (Format::Docker, Compression::None, 0),
        (Format::Oci, Compression::Gzip, 1_700_000_000),
    ]
    .map(|(format, compression, source_date_epoch)| {
        let image =
            assembled(&Options { format, compression, source_date_epoch, ..Options::default() })
                .image;
        (image.manifest_digest().to_string(), image.layers()[0].diff_id().to_string())
    });
    let expected = GOLDEN.map(|(manifest, diff_id)| (manifest.to_owned(), diff_id.to_owned()));
    assert_eq!(found, expected);
}

#[test]
fn every_entry_has_the_requested_time() {
    let image =
        assembled(&Options { source_date_epoch: 1_700_000_000, ..Options::default() }).image;
    let mut times = Vec::new();
    let tar =
        decompress(image.layers()[0].open().expect("in memory"), Compression::Gzip).expect("gzip");
    read_entries::<EntryError>(tar, &Budget::new(&LayerLimits::default()), |entry, _| {
        times.push((entry.path.display().to_string(), entry.mtime));
        Ok(())
    })
    .expect("our own layer");
    let expected =
        ["app", "etc", "etc/config", "etc/link"].map(|path| (path.to_owned(), 1_700_000_000));
    assert_eq!(times, expected);
    let history = image.config().history().as_ref().expect("a history")[0].created().clone();
    assert_eq!(history.as_deref(), Some("2023-11-14T22:13:20Z"));
}

#[test]
fn annotations_go_where_the_format_has_a_place_for_them() {
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    };
    for (format, annotations, labels) in [
        (Format::Oci, vec![("a.b/revision", "1"), ("x", "one")], vec![("x", "label")]),
        // a label that was asked for wins
        (Format::Docker, vec![], vec![("a.b/revision", "1"), ("x", "label")]),
    ] {
        let options = Options {
            format,
            annotations: pairs(&[("x", "one"), ("a.b/revision", "1")]),
            labels: pairs(&[("x", "label")]),
            ..Options::default()
        };
        let image = assembled(&options).image;
        assert_eq!((image.annotations(), image.labels()), (annotations, labels), "{format:?}");
    }
}

#[test]
fn unpacks_to_the_files_that_were_packed() {
    let home = tempfile::tempdir().expect("a folder");
    for (format, compression, layer) in [
        (Format::Oci, Compression::Gzip, media_type::OCI_LAYER_GZIP),
        (Format::Oci, Compression::Zstd, media_type::OCI_LAYER_ZSTD),
        (Format::Oci, Compression::None, media_type::OCI_LAYER),
        (Format::Docker, Compression::Gzip, media_type::DOCKER_LAYER_GZIP),
        (Format::Docker, Compression::None, media_type::DOCKER_LAYER),
    ] {
        let made = assembled(&Options {
            format,
            compression,
            source_date_epoch: 1_000_000_000,
            ..Options::default()
        });
        assert_eq!(made.image.layers()[0].descriptor().media_type, layer);
        assert_eq!(made.image.config().created().as_deref(), Some("2001-09-09T01:46:40Z"));
        let dest = home.path().join(layer.replace('/', "-"));
        let done =
            unpack_image(&made.image, &dest, &LayerLimits::default()).expect("our own image");
        assert_eq!(done[0].uncompressed_bytes, made.layer_uncompressed_bytes);
        assert_eq!(fs::read(dest.join("app")).expect("the program"), HELLO);
        let mode =
            |path: &str| fs::metadata(dest.join(path)).expect(path).permissions().mode() & 0o7777;
        assert_eq!((mode("app"), mode("etc"), mode("etc/config")), (0o755, 0o755, 0o644));
        assert_eq!(fs::read_link(dest.join("etc/link")).expect("a link"), Path::new("config"));
        let output = common::output(&mut Command::new(dest.join("app")));
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"ok\n"[..]));
    }
}

#[test]
fn refuses_zstd_in_a_docker_image() {
    let recipe = Recipe::parse(RECIPE).expect("a recipe");
    let options =
        Options { format: Format::Docker, compression: Compression::Zstd, ..Options::default() };
    let error = assemble(&recipe, &context(), &options).expect_err("illegal");
    assert!(matches!(error, AssembleError::Layer(LayerError::ZstdInDocker)), "{error}");
}

#[test]
fn refuses_an_image_that_could_not_start() {
    for (lines, says) in [
        ("COPY app /app", "the recipe has no entrypoint"),
        (
            "COPY app /app\nENTRYPOINT [\"/ap\"]",
            "`/ap` is not in the image; COPY it there; the image contains: `/app`",
        ),
        ("COPY etc/config /app\nENTRYPOINT [\"/app\"]", "`/app` is not an executable file"),
        ("COPY script /app\nCMD [\"/app\"]", "`/app` cannot run in this image: it is a script"),
    ] {
        let recipe = Recipe::parse(&format!("FROM scratch\n{lines}")).expect(lines);
        let error =
            assemble(&recipe, &context().program("script", b"#!/bin/sh"), &Options::default())
                .expect_err(lines)
                .to_string();
        assert!(error.contains(says), "{error}");
    }
    let options = Options { architecture: Architecture::Arm64, ..Options::default() };
    let error = assemble(&Recipe::parse(RECIPE).expect("a recipe"), &context(), &options)
        .expect_err("wrong machine")
        .to_string();
    assert!(error.contains("built for amd64, the image is for arm64"), "{error}");
}

#[test]
fn a_program_found_through_path_and_working_directory_is_checked_too() {
    for lines in [
        "COPY app /usr/bin/app\nCMD [\"app\"]",
        "WORKDIR /srv\nCOPY app .\nENTRYPOINT [\"./app\"]",
        "COPY app /x/app\nENV PATH=/x\nCMD [\"app\"]",
    ] {
        let recipe = Recipe::parse(&format!("FROM scratch\n{lines}")).expect(lines);
        assert_eq!(
            assemble(&recipe, &context(), &Options::default()).expect(lines).program.size_bytes(),
            HELLO.len() as u64
        );
    }
}

/// Packs the same files as `microimage build` would, in another process with another umask, time
/// zone, locale and user.
#[test]
fn packs_the_same_bytes_under_any_umask_time_zone_locale_and_user() {
    let home = tempfile::tempdir().expect("a folder");
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).expect("ours");
    let program = env!("CARGO_BIN_EXE_microimage");
    let expected = assembled(&Options::default()).image.with_reference("x:1");
    let is_root =
        fs::metadata("/proc/self").map(|m| std::os::unix::fs::MetadataExt::uid(&m)).expect("Linux")
            == 0;
    // Another user may not be able to read the folder of the binary.
    let copy = home.path().join("microimage");
    // In a process of its own: a child that a test beside this one forks would hold it open.
    let copied = Command::new("cp").arg(program).arg(&copy).status().expect("every system has cp");
    assert!(copied.success(), "a copy");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("ours");
    for (n, (umask, zone, locale, uid)) in [
        ("022", "UTC", "C", "0"),
        ("077", "Asia/Shanghai", "zh_CN.UTF-8", "0"),
        ("000", "America/St_Johns", "tr_TR.UTF-8", "0"),
        ("027", "UTC", "C", "12345"),
    ]
    .into_iter()
    .enumerate()
    {
        if uid != "0" && !is_root {
            common::skipped(format_args!("another user, which only root can become"));
            continue;
        }
        let script = format!(
            "set -e; umask {umask}; mkdir {n} {n}/etc; cd {n}; cat ../hello.elf > app; chmod u+x \
             app; printf 'key = \"value\"\\n' > etc/config; ln -s config etc/link; cat ../recipe \
             > Dockerfile; touch -d 2011-11-11 app; exec ../microimage build -f Dockerfile --tag \
             x:1 -o out"
        );
        fs::write(home.path().join("hello.elf"), HELLO)
            .and_then(|()| fs::write(home.path().join("recipe"), RECIPE))
            .expect("files");
        let mut command = if uid == "0" { Command::new("sh") } else { Command::new("setpriv") };
        if uid != "0" {
            command.args(["--reuid", uid, "--regid", uid, "--clear-groups", "sh"]);
        }
        let output = command
            .args(["-c", &script])
            .current_dir(home.path())
            .env("TZ", zone)
            .env("LC_ALL", locale)
            .env_remove("SOURCE_DATE_EPOCH")
            .output();
        let output = output.expect("a shell");
        assert!(output.status.success(), "{n}: {}", String::from_utf8_lossy(&output.stderr));
        let made = microimage::source::load(
            &home.path().join(format!("{n}/out/oci")).display().to_string(),
        )
        .expect("an image");
        assert_eq!(
            made.manifest_bytes(),
            expected.manifest_bytes(),
            "umask {umask}, {zone}, {locale}, user {uid}"
        );
    }
}

#[test]
fn image_json_describes_what_was_built() {
    let home = tempfile::tempdir().expect("a folder");
    let mut made = assembled(&Options::default());
    made.image = made.image.with_reference("golden:1");
    outputs::write(&made, home.path()).expect("outputs");
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(home.path().join("image.json")).expect("image.json"))
            .expect("JSON");
    assert_eq!(json["reference"], "golden:1");
    assert_eq!(json["platform"], "linux/amd64");
    assert_eq!(json["manifest_digest"], made.image.manifest_digest().to_string());
    assert_eq!(json["config_digest"], made.image.config_descriptor().digest.to_string());
    assert_eq!(json["elf_bytes"], HELLO.len());
    let layer = &json["layers"][0];
    assert_eq!(layer["diff_id"], made.image.layers()[0].diff_id().to_string());
    assert_eq!(layer["compressed_bytes"], json["total_compressed_bytes"]);
    assert_eq!(layer["uncompressed_bytes"], made.layer_uncompressed_bytes);
    let mut left: Vec<_> = fs::read_dir(home.path())
        .expect("outputs")
        .map(|e| e.expect("an entry").file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["docker.tar", "image.json", "oci"]);
}

#[test]
fn a_context_on_disk_honours_dockerignore_and_stays_inside() {
    let home = tempfile::tempdir().expect("a folder");
    let root = home.path().join("context");
    fs::create_dir_all(root.join("a/b")).expect("folders");
    for (path, content) in [
        (".dockerignore", "*\n!a/b\na/b/secret\n"),
        ("a/b/kept", "1"),
        ("a/b/secret", "2"),
        ("a/other", "3"),
        ("top", "4"),
        ("../outside", "5"),
    ] {
        fs::write(root.join(path), content).expect("a file");
    }
    let copy = |source: &str| {
        let recipe = Recipe::parse(&format!("FROM scratch\nCOPY {source} /x/")).expect("a recipe");
        let rootfs = recipe
            .rootfs(&FolderContext::open(&root).expect("a folder"), &[])
            .map_err(|e| e.to_string())?;
        Ok::<_, String>(rootfs.entries().map(|(path, _)| path.to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(copy(".").expect("the context"), ["x", "x/a", "x/a/b", "x/a/b/kept"]);
    assert_eq!(copy("a").expect("a folder"), ["x", "x/b", "x/b/kept"]);
    assert!(copy("top").expect_err("left out").contains("not in the build context"));
    fs::write(root.join(".dockerignore"), "").expect("a file");
    std::os::unix::fs::symlink("..", root.join("up")).expect("a link");
    assert!(copy("up/outside").expect_err("outside").contains("leads out of the build context"));
}
