//! Delivery of a built image: several names, a registry, Docker Engine, attached documents. It uses
//! the command line, except where a registry must behave in a certain way.

mod common;

use common::debian::DebianRegistry;
use common::stumbling::{Setup, Step, Stumbling};
use common::{HELLO, docker};
use microimage::digest::Digest;
use microimage::registry::{Attachment, Credentials, Registry, parse_reference};
use microimage::source;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn microimage(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_microimage"))
        .args(arguments)
        .current_dir(folder)
        .env("DOCKER_CONFIG", folder)
        .env_remove("SOURCE_DATE_EPOCH")
        .output()
        .expect("our own program")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder with a program and a recipe.
fn context() -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a folder");
    fs::write(home.path().join("app"), HELLO).expect("a file");
    fs::set_permissions(home.path().join("app"), fs::Permissions::from_mode(0o755)).expect("ours");
    let recipe = "FROM scratch\nCOPY app /app\nENTRYPOINT [\"/app\"]\n";
    fs::write(home.path().join("scratch.Dockerfile"), recipe).expect("a file");
    home
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

#[test]
fn one_build_has_several_names_and_goes_to_several_places() {
    let home = context();
    let storage = tempfile::tempdir().expect("a folder");
    let Some(debian) = DebianRegistry::start(storage.path(), None) else { return };
    let places = ["team/hello:1", "team/hello:latest", "other/hello:1"];
    let places: Vec<_> = places.iter().map(|name| format!("{}/{name}", debian.1)).collect();
    let mut arguments = vec!["build", "-o", "out", "-t", "hello:1", "--tag", "hello:2", "-q"];
    places.iter().for_each(|place| arguments.extend(["--push", place]));
    let built = microimage(home.path(), &arguments);
    assert!(built.status.success(), "{}", text(&built.stderr));
    let summary = json(&fs::read(home.path().join("out/image.json")).expect("a file"));
    let digest = summary["manifest_digest"].as_str().expect("a digest");
    let expected: String = places.iter().map(|place| format!("{place}@{digest}\n")).collect();
    assert_eq!((text(&built.stdout), text(&built.stderr)), (expected, String::new()));
    assert_eq!(summary["reference"], "hello:1");
    assert_eq!(summary["further_references"], serde_json::json!(["hello:2"]));
    // two names, one image: it is found without a name, and by each
    for place in ["out/oci", "out/oci#1", "out/oci#hello:2", "out/docker.tar", "out/docker.tar#2"] {
        let image = source::load(&home.path().join(place).display().to_string()).expect(place);
        assert_eq!(image.manifest_digest().to_string(), digest, "{place}");
    }
    for place in &places {
        let pulled = source::load(place).expect(place);
        assert_eq!(pulled.manifest_digest().to_string(), digest);
    }
    // without --push only the digest is printed
    let quiet = microimage(home.path(), &["build", "-o", "again", "--quiet"]);
    assert_eq!(text(&quiet.stdout), format!("{digest}\n"));
    // a mistake in a name is reported before anything is sent
    let error = microimage(home.path(), &["build", "-o", "bad", "--push", "localhost:1/A B:1"]);
    assert!(text(&error.stderr).contains("is not an image reference"), "{error:?}");
}

/// Regression: `docker load` refused the archive of an image with zstd.
#[test]
fn docker_loads_the_archive_whatever_the_compression() {
    if !docker(&["info"]).is_ok_and(|output| output.status.success()) {
        common::skipped(format_args!("no Docker Engine answers `docker info`"));
        return;
    }
    let home = context();
    for compression in ["gzip", "zstd", "none"] {
        let tag = format!("microimage-load:{}-{compression}", std::process::id());
        let arguments = ["build", "-o", compression, "--compression", compression, "--tag", &tag];
        let built = microimage(home.path(), &[&arguments[..], &["--load"]].concat());
        assert!(built.status.success(), "{compression}: {}", text(&built.stderr));
        assert!(text(&built.stdout).ends_with(&format!("loaded    {tag}\n")));
        let id = docker(&["image", "inspect", "--format", "{{.Id}}", &tag]).expect("docker");
        let summary =
            json(&fs::read(home.path().join(compression).join("image.json")).expect("ours"));
        assert!(docker(&["rmi", &tag]).expect("docker").status.success());
        assert_eq!(text(&id.stdout).trim(), summary["config_digest"], "{compression}");
        // the layout keeps the requested compression
        let layout = home.path().join(compression).join("oci").display().to_string();
        let image = source::load(&layout).expect("a layout");
        let media_type = &image.layers()[0].descriptor().media_type;
        assert_eq!(media_type.contains("zstd"), compression == "zstd", "{media_type}");
    }
}

#[test]
fn an_image_is_written_even_if_docker_cannot_load_it() {
    let home = context();
    let output = Command::new(env!("CARGO_BIN_EXE_microimage"))
        .args(["build", "-o", "out", "--load"])
        .current_dir(home.path())
        .env("PATH", "/nowhere")
        .output()
        .expect("our own program");
    assert!(!output.status.success());
    let error = text(&output.stderr);
    assert!(
        error.contains("`docker` cannot be run") && error.contains("out/docker.tar"),
        "{error}"
    );
    assert!(home.path().join("out/image.json").exists());
}

#[test]
fn a_document_is_attached_beside_the_image_and_not_to_its_tag() {
    let document = Attachment {
        artifact_type: "application/vnd.cyclonedx+json",
        title: "sbom.cdx.json",
        bytes: b"{\"bomFormat\":\"CycloneDX\"}".to_vec(),
    };
    let image = common::image(&[common::Tar::default().file("app", b"elf").bytes()]);
    let fallback = format!("sha256-{}", image.manifest_digest().hex());
    for referrers in [true, false] {
        let registry = Stumbling::start(Setup { referrers, ..Setup::default() }, Vec::new());
        let place = format!("{}/team/x:1", registry.address);
        let reference = parse_reference(&place).expect("a reference");
        let open = Registry::new(reference, &Credentials::Anonymous).expect("prepared");
        open.push(&image).expect("a push");
        let digest = open.attach(&image.descriptor(), &document).expect("attached");
        open.attach(&image.descriptor(), &document).expect("attached again");
        let manifest = json(&registry.manifest(&digest.to_string()).expect("by its digest"));
        assert_eq!(manifest["artifactType"], document.artifact_type);
        assert_eq!(manifest["subject"]["digest"], image.manifest_digest().to_string());
        assert_eq!(manifest["layers"][0]["digest"], Digest::of(&document.bytes).to_string());
        assert_eq!(registry.manifest("/1").as_deref(), Some(image.manifest_bytes()));
        let listed = registry.manifest(&fallback);
        assert_eq!(
            listed.is_some(),
            !referrers,
            "the fallback tag is for registries without the API"
        );
        if let Some(listed) = listed {
            let index = json(&listed);
            assert_eq!(index["manifests"].as_array().map(Vec::len), Some(1), "{index}");
            assert_eq!(index["manifests"][0]["digest"], digest.to_string());
            assert_eq!(index["manifests"][0]["artifactType"], document.artifact_type);
        }
        assert_eq!(registry.half_pushed(), [""; 0]);
        assert!(registry.asked_for(Step::Tag) >= 3);
    }
}

#[test]
fn differences_are_printed_as_json_too() {
    let home = context();
    let run = |arguments: &[&str]| microimage(home.path(), arguments);
    assert!(run(&["build", "-o", "one"]).status.success());
    assert!(run(&["build", "-o", "two", "--label", "a=b", "--tmp"]).status.success());
    let same = run(&["diff", "--json", "one/oci", "one/docker.tar"]);
    assert_eq!((json(&same.stdout), same.status.code()), (serde_json::json!([]), Some(0)));
    let differs = run(&["diff", "--json", "one/oci", "two/oci"]);
    assert_eq!(differs.status.code(), Some(1));
    let found = json(&differs.stdout);
    assert_eq!(
        found[0],
        serde_json::json!({
            "change": "added", "kind": "label", "name": null, "left": null, "right": "a=b",
        })
    );
    assert_eq!((&found[1]["kind"], &found[1]["name"]), (&"file".into(), &"/tmp".into()));
    let lines = text(&run(&["diff", "one/oci", "two/oci"]).stdout);
    assert_eq!(lines.lines().next(), Some("+ label a=b"));
    assert_eq!(lines.lines().count(), found.as_array().map_or(0, Vec::len));
}

#[test]
fn every_command_has_a_page_and_completions() {
    let home = tempfile::tempdir().expect("a folder");
    let help = text(&microimage(home.path(), &["--help"]).stdout);
    let written = microimage(home.path(), &["man", "pages"]);
    assert!(written.status.success(), "{}", text(&written.stderr));
    for command in ["image", "build", "inspect", "diff", "check", "push", "pull", "unpack"] {
        assert!(help.contains(command));
        let page = home.path().join(format!("pages/microimage-{command}.1"));
        let page = fs::read_to_string(page).expect(command);
        assert!(page.contains(".SH OPTIONS") || page.contains(".SH SYNOPSIS"), "{command}");
        for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
            let script = microimage(home.path(), &["completions", shell]);
            assert!(script.status.success() && text(&script.stdout).contains(command), "{shell}");
        }
    }
    let bash = text(&microimage(home.path(), &["completions", "bash"]).stdout);
    fs::write(home.path().join("completions"), bash).expect("a file");
    let read = Command::new("bash").args(["-n", "completions"]).current_dir(home.path()).output();
    assert!(read.is_ok_and(|read| read.status.success()), "bash reads its own");
}
