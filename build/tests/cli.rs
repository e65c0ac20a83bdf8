//! Program microimage from outside: its output, its files, its exit codes.

mod common;

use common::HELLO;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn microimage(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_microimage"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_remove("SOURCE_DATE_EPOCH")
        .env_remove("CARGO_TARGET_DIR")
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
    fs::write(
        home.path().join("scratch.Dockerfile"),
        "FROM scratch\nCOPY app /app\nEXPOSE 9000\nENTRYPOINT [\"/app\"]\n",
    )
    .expect("a file");
    home
}

#[test]
fn builds_inspects_compares_checks_and_unpacks() {
    let home = context();
    let run = |arguments: &[&str]| microimage(home.path(), arguments);
    let built = run(&["build", "-o", "one", "--tag", "hello:1"]);
    assert!(built.status.success(), "{}", text(&built.stderr));
    assert!(
        text(&built.stdout).starts_with("hello:1  linux/amd64\nmanifest  sha256:"),
        "{}",
        text(&built.stdout)
    );
    let view: serde_json::Value =
        serde_json::from_slice(&run(&["inspect", "--json", "one/docker.tar"]).stdout)
            .expect("JSON");
    assert_eq!(
        (&view["reference"], &view["pull_requests"], &view["files"][0]["path"]),
        (&"hello:1".into(), &4.into(), &"/app".into())
    );
    assert!(text(&run(&["inspect", "one/oci"]).stdout).contains("pull        4 requests"));
    // Another compression gives another manifest but no visible difference; a label gives a
    // difference.
    assert!(run(&["build", "-o", "two", "--compression", "zstd"]).status.success());
    assert!(
        run(&["build", "-o", "three", "--label", "a=b", "--tmp", "--passwd", "app:65532"])
            .status
            .success()
    );
    let same = run(&["diff", "one/oci", "two/oci"]);
    assert_eq!((same.status.code(), text(&same.stdout).as_str()), (Some(0), ""));
    let other = run(&["diff", "one/oci", "three/docker.tar"]);
    let lines = text(&other.stdout);
    assert_eq!(other.status.code(), Some(1), "{lines}");
    assert!(
        lines.starts_with("+ label a=b\n+ /etc: folder, 755 0:0\n+ /etc/group: file, ")
            && lines.ends_with("+ /tmp: folder, 1777 0:0\n"),
        "{lines}"
    );
    let check = run(&["check", "one/oci", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&check.stdout).expect("JSON");
    assert_eq!(
        (check.status.code(), &report["passed"], &report["platform"]),
        (Some(0), &true.into(), &"scf".into())
    );
    assert!(run(&["build", "-o", "bad", "--label", "token=x"]).status.success());
    assert_eq!(run(&["check", "bad/oci"]).status.code(), Some(1));
    let unpacked = run(&["unpack", "one/oci", "rootfs"]);
    assert!(
        text(&unpacked.stdout).starts_with("1 layers, 1 entries, 424 B of files"),
        "{}",
        text(&unpacked.stdout)
    );
    assert_eq!(fs::read(home.path().join("rootfs/app")).expect("the program"), HELLO);
}

/// Regression: `docker load` refused a name without a tag, and a /tmp that a COPY had created
/// stayed closed.
#[test]
fn a_name_gets_its_tag_and_tmp_its_mode() {
    let home = context();
    fs::write(
        home.path().join("tmp.Dockerfile"),
        "FROM scratch\nCOPY app /app\nCOPY app /tmp/app\nENTRYPOINT [\"/app\"]\n",
    )
    .expect("a file");
    let built = microimage(
        home.path(),
        &["build", "-o", "one", "--tag", "hello", "--tmp", "-f", "tmp.Dockerfile"],
    );
    assert!(
        text(&built.stdout).starts_with("hello:latest  linux/amd64\n"),
        "{}",
        text(&built.stderr)
    );
    let view = microimage(home.path(), &["inspect", "--json", "one/docker.tar", "--arch", "amd64"]);
    let view: serde_json::Value = serde_json::from_slice(&view.stdout).expect("JSON");
    assert_eq!(view["reference"], "hello:latest");
    let tmp = view["files"]
        .as_array()
        .and_then(|files| files.iter().find(|f| f["path"] == "/tmp"))
        .expect("a folder");
    assert_eq!(tmp["mode"], "1777");
}

#[test]
fn refuses_and_leaves_nothing_behind() {
    let home = context();
    fs::write(
        home.path().join("bad.Dockerfile"),
        "FROM scratch\nCOPY app /app\nENTRYPIONT [\"/app\"]\n",
    )
    .expect("a file");
    fs::write(home.path().join("script"), "#!/bin/sh\n").expect("a file");
    fs::set_permissions(home.path().join("script"), fs::Permissions::from_mode(0o755))
        .expect("ours");
    fs::write(
        home.path().join("script.Dockerfile"),
        "FROM scratch\nCOPY script /app\nENTRYPOINT [\"/app\"]\n",
    )
    .expect("a file");
    for (arguments, code, says) in [
        (
            &["build", "-o", "out", "-f", "bad.Dockerfile"][..],
            1,
            "error: bad.Dockerfile: line 3: unknown instruction `ENTRYPIONT`; did you mean \
             `ENTRYPOINT`?",
        ),
        (
            &["build", "-o", "out", "-f", "script.Dockerfile"],
            1,
            "`/app` cannot run in this image: it is a script",
        ),
        (&["build", "-o", "out", "-f", "none"], 1, "the recipe `none` cannot be read"),
        (
            &["build", "-o", "out", "--context", "none"],
            1,
            "the build context `none` cannot be read",
        ),
        (
            &["build", "-o", "out", "--format", "docker", "--compression", "zstd"],
            1,
            "zstd layers exist in OCI images only",
        ),
        (&["build", "-o", "out", "--arch", "arm64"], 1, "built for amd64, the image is for arm64"),
        (&["build", "-o", "out", "--arch", "mips"], 2, "unknown architecture `mips`"),
        (&["build", "-o", "out", "--annotation", "x"], 2, "`x` is not `NAME=VALUE`"),
        (&["build", "-o", "out", "--passwd", "x"], 1, "`x` is not a user"),
        (
            &["build", "-o", "out", "--tag", "Not A Name"],
            1,
            "invalid image name `Not A Name`; write `NAME:TAG`",
        ),
        (&["build", "-o", "out", "--tag", "a@sha256:0"], 1, "invalid image name `a@sha256:0`"),
        (&["build", "-o", "out", "--ca-bundle=script"], 1, "contains no `BEGIN CERTIFICATE`"),
        (&["build"], 2, "--output"),
        (&["inspect", "nothing"], 1, "`nothing` does not exist"),
        (&["inspect", "script"], 1, "`script` cannot be read as a tar"),
        (&["push", "localhost:1/x:1", "--image", "nothing"], 1, "`nothing` does not exist"),
        (&["image"], 1, "could not find `Cargo.toml`"),
    ] {
        let output = microimage(home.path(), arguments);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(says), "{arguments:?}: {error}");
        assert!(!home.path().join("out").exists() && output.stdout.is_empty(), "{arguments:?}");
    }
    let names = fs::read_dir(home.path())
        .expect("a folder")
        .map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned());
    assert_eq!(names.filter(|name| name.ends_with(".tmp")).count(), 0);
}

/// A workspace whose program could contain paths of this machine: a panic location of its own, of a
/// member and of the standard library.
fn workspace(root: &Path) {
    for (path, content) in [
        (
            "Cargo.toml",
            "[package]\nname = \"tiny\"\nversion = \"1.2.3\"\nedition = \"2024\"\nlicense = \
             \"MIT\"\n[workspace]\nmembers = [\"part\"]\n[dependencies]\npart = { path = \"part\" \
             }\n[profile.release]\npanic = \"unwind\"\nstrip = \"symbols\"\n",
        ),
        (
            "part/Cargo.toml",
            "[package]\nname = \"part\"\nversion = \"0.1.0\"\nedition = \
             \"2024\"\n[package.metadata.microimage]\norder = \"order.txt\"\n",
        ),
        ("part/order.txt", "part::third\nmemcpy\n"),
        (
            "part/src/lib.rs",
            "pub fn third(words: &[String]) -> String {\n    words.get(3).unwrap().clone()\n}\n",
        ),
        (
            "src/main.rs",
            "fn main() {\n    let words: Vec<String> = std::env::args().collect();\n    \
             println!(\"ok {} {}\", file!(), words.len());\n    if words.len() > 3 {\n        \
             println!(\"{}\", part::third(&words));\n    }\n}\n",
        ),
        (
            "scratch.Dockerfile",
            "FROM scratch\nCOPY target/image/root/app /app\nENTRYPOINT [\"/app\"]\n",
        ),
        (".dockerignore", "*\n!target/image/root\n"),
        (
            ".cargo/config.toml",
            "[target.x86_64-unknown-linux-musl]\nlinker = \"rust-lld\"\nrustflags = \
             [\"-Crelocation-model=static\"]\n",
        ),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("below root"))
            .and_then(|()| fs::write(path, content))
            .expect("a file");
    }
}

#[test]
fn a_workspace_compiled_in_two_folders_gives_one_image() {
    let home = tempfile::tempdir().expect("a folder");
    let mut seen = Vec::new();
    for folder in ["a", "b/a-longer-name"] {
        let root = home.path().join(folder);
        workspace(&root);
        // Called in a subfolder, with flags in the environment that would undo the static link.
        let mut command = Command::new(env!("CARGO_BIN_EXE_microimage"));
        command
            .arg("image")
            .current_dir(root.join("src"))
            .env_remove("SOURCE_DATE_EPOCH")
            .env_remove("CARGO_TARGET_DIR")
            .env("RUSTFLAGS", "-Ctarget-feature=-crt-static");
        let output = command.output().expect("our own program");
        let error = text(&output.stderr);
        if error.contains("rustup target add") {
            common::skipped(format_args!("{error}"));
            return;
        }
        assert!(output.status.success(), "{error}");
        let program = fs::read(root.join("target/image/root/app")).expect("staged");
        for path in [home.path().display().to_string(), ".rustup".into(), ".cargo".into()] {
            assert!(
                !program.windows(path.len()).any(|w| w == path.as_bytes()),
                "the program names `{path}`"
            );
        }
        let ran = common::output(&mut Command::new(root.join("target/image/root/app")));
        assert_eq!(text(&ran.stdout), "ok src/main.rs 1\n");
        let json: serde_json::Value = serde_json::from_slice(
            &fs::read(root.join("target/image/image.json")).expect("image.json"),
        )
        .expect("JSON");
        assert_eq!(json["reference"], "tiny:latest");
        let bill: serde_json::Value = serde_json::from_slice(
            &fs::read(root.join("target/image/sbom.cdx.json")).expect("a bill"),
        )
        .expect("JSON");
        let names: Vec<_> = bill["components"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|c| c["name"].as_str().unwrap_or_default())
            .collect();
        assert_eq!(names, ["part", "rust-std"]);
        seen.push((
            json["manifest_digest"].clone(),
            fs::read(root.join("target/image/docker.tar")).expect("an archive"),
            bill,
        ));
    }
    assert!(seen[0] == seen[1], "{} and {}", seen[0].0, seen[1].0);
}

/// Several binaries in a package; documents in the registry as referrers, never under the image's
/// tag (cosign#2684).
#[test]
fn a_binary_is_chosen_pushed_and_documented() {
    let home = tempfile::tempdir().expect("a folder");
    let root = home.path();
    workspace(root);
    fs::create_dir_all(root.join("src/bin")).expect("a folder");
    fs::write(root.join("src/bin/other.rs"), "fn main() {\n    println!(\"other\");\n}\n")
        .expect("a file");
    let storage = tempfile::tempdir().expect("a folder");
    let Some(debian) = common::debian::DebianRegistry::start(storage.path(), None) else { return };
    let place = format!("{}/team/other:1", debian.1);
    let image = |flags: &[&str]| microimage(root, &[&["image"], flags].concat());
    let error = text(&image(&["--bin", "none"]).stderr);
    assert!(error.contains("`other` of `tiny`, `tiny` of `tiny`"), "{error}");
    let attach = ["--attach", "sbom", "--attach", "provenance"];
    let usage = image(&attach);
    assert_eq!(usage.status.code(), Some(2), "no image is pushed to attach it to");
    let built = image(&[&["--bin", "other", "--push", &place], &attach[..]].concat());
    let error = text(&built.stderr);
    if error.contains("rustup target add") {
        common::skipped(format_args!("{error}"));
        return;
    }
    assert!(built.status.success(), "{error}");
    let ran = common::output(&mut Command::new(root.join("target/image/root/app")));
    assert_eq!(text(&ran.stdout), "other\n");
    let summary: serde_json::Value =
        serde_json::from_slice(&fs::read(root.join("target/image/image.json")).expect("a file"))
            .expect("JSON");
    assert_eq!(summary["reference"], "other:latest");
    let digest = summary["manifest_digest"].as_str().expect("a digest");
    assert!(text(&built.stdout).contains(&format!("pushed    {place}@{digest}\n")));
    // the tag names only the image; the fallback tag lists the documents
    let pulled = microimage::source::load(&place).expect("pushed");
    assert!(pulled.manifest_digest().to_string() == digest && !pulled.chosen_from_index());
    let listed = Command::new("skopeo")
        .args(["inspect", "--raw", "--tls-verify=false"])
        .arg(format!("docker://{}/team/other:{}", debian.1, digest.replace(':', "-")))
        .output();
    match listed {
        Err(error) => common::skipped(format_args!("`skopeo` is not installed ({error})")),
        Ok(listed) => {
            let index: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
            let types: Vec<_> = index["manifests"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|manifest| manifest["artifactType"].as_str().unwrap_or_default().to_owned())
                .collect();
            assert_eq!(types, ["application/vnd.cyclonedx+json", "application/vnd.in-toto+json"]);
        }
    }
}

#[test]
fn functions_have_the_order_of_the_package() {
    let home = tempfile::tempdir().expect("a folder");
    let root = home.path();
    workspace(root);
    let function = |name: &str, factor: u32| {
        format!(
            "#[inline(never)]\npub fn {name}(n: u32) -> u32 {{\n    std::hint::black_box(n * \
             {factor})\n}}\n"
        )
    };
    let library = [("alpha", 3), ("beta", 5), ("gamma", 7), ("delta", 11)]
        .map(|(name, factor)| function(name, factor));
    fs::write(root.join("part/src/lib.rs"), library.concat()).expect("a file");
    // The program prints its functions by their addresses, lowest first.
    let main = "fn main() {\n    let mut all: [(fn(u32) -> u32, &str); 4] = [(part::alpha, \
                \"alpha\"), (part::beta, \"beta\"), (part::gamma, \"gamma\"), (part::delta, \
                \"delta\")];\n    all.sort_by_key(|(function, _)| *function as usize);\n    \
                println!(\"{}\", all.map(|(function, name)| { function(1); name }).join(\" \
                \"));\n}\n";
    fs::write(root.join("src/main.rs"), main).expect("a file");
    for (order, expected) in [
        ("part::delta\npart::alpha\npart::gamma\npart::beta\n", "delta alpha gamma beta\n"),
        (
            "# another\npart::gamma\npart::beta\npart::delta\npart::alpha\n",
            "gamma beta delta alpha\n",
        ),
    ] {
        fs::write(root.join("part/order.txt"), order).expect("a file");
        let built = microimage(root, &["image", "--stage-only"]);
        let error = text(&built.stderr);
        if error.contains("rustup target add") {
            common::skipped(format_args!("{error}"));
            return;
        }
        assert!(built.status.success(), "{error}");
        let ran = common::output(&mut Command::new(root.join("target/image/root/app")));
        assert_eq!(text(&ran.stdout), expected);
    }
    fs::remove_file(root.join("part/order.txt")).expect("it is there");
    let refused = microimage(root, &["image", "--stage-only"]);
    assert!(
        !refused.status.success() && text(&refused.stderr).contains("part/order.txt"),
        "{}",
        text(&refused.stderr)
    );
}

#[test]
fn lists_the_known_functions() {
    let home = tempfile::tempdir().expect("a folder");
    workspace(home.path());
    let output = microimage(home.path(), &["image", "tinny"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr)
            .contains("no package or example `tinny` in this workspace; there are: `tiny`"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn an_arm64_image_starts_under_qemu() {
    let home = tempfile::tempdir().expect("a folder");
    workspace(home.path());
    // A workspace without a recipe gets this project's recipe.
    fs::remove_file(home.path().join("scratch.Dockerfile")).expect("a file");
    let output = microimage(home.path(), &["image", "--arch", "arm64"]);
    let error = text(&output.stderr);
    if error.contains("rustup target add") {
        common::skipped(format_args!("{error}"));
        return;
    }
    assert!(output.status.success(), "{error}");
    let image =
        microimage::source::load(&home.path().join("target/image/oci").display().to_string())
            .expect("an image");
    assert_eq!(
        (image.architecture(), image.exposed_ports()),
        ("arm64".to_owned(), vec!["9000/tcp".to_owned()])
    );
    let check = microimage(home.path(), &["check", "--platform", "scf"]);
    assert!(
        text(&check.stdout)
            .contains("FAIL  architecture    linux/arm64; the platform runs linux on amd64"),
        "{}",
        text(&check.stdout)
    );
    assert_eq!(microimage(home.path(), &["check", "--platform", "knative"]).status.code(), Some(0));
    // Debian's qemu-user has the first name, qemu-user-static the second.
    for qemu in ["qemu-aarch64", "qemu-aarch64-static"] {
        match Command::new(qemu).arg(home.path().join("target/image/root/app")).output() {
            Ok(ran) => {
                return assert_eq!(
                    text(&ran.stdout),
                    "ok src/main.rs 1\n",
                    "{}",
                    text(&ran.stderr)
                );
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => panic!("{qemu}: {error}"),
        }
    }
    common::skipped(
        "neither `qemu-aarch64` nor `qemu-aarch64-static` is installed; `build/setup --arm64` \
         installs one",
    );
}

/// A project that depends on a package outside of its workspace, as one of `just new` does in a
/// checkout.
#[test]
fn a_package_outside_of_the_workspace_adds_no_path() {
    let home = tempfile::tempdir().expect("a folder");
    let mut programs = Vec::new();
    for folder in ["a", "b/a-longer-name"] {
        let (root, outside) =
            (home.path().join(folder).join("function"), home.path().join(folder).join("outside"));
        workspace(&root);
        let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("a file");
        let manifest = manifest
            .replace("[dependencies]\n", "[dependencies]\noutside = { path = \"../outside\" }\n");
        assert!(manifest.contains("../outside"), "{manifest}");
        fs::write(root.join("Cargo.toml"), manifest).expect("a file");
        fs::write(
            root.join("src/main.rs"),
            "fn main() {\n    println!(\"{}\", outside::place());\n}\n",
        )
        .expect("a file");
        fs::create_dir_all(outside.join("src")).expect("a folder");
        fs::write(
            outside.join("Cargo.toml"),
            "[package]\nname = \"outside\"\nversion = \"1.2.3\"\nedition = \
             \"2024\"\n\n[workspace]\n",
        )
        .expect("a file");
        fs::write(outside.join("src/lib.rs"), "pub fn place() -> &'static str {\n    file!()\n}\n")
            .expect("a file");
        let built = microimage(&root, &["image", "--stage-only"]);
        let error = text(&built.stderr);
        if error.contains("rustup target add") {
            return common::skipped(error);
        }
        assert!(built.status.success(), "{error}");
        let program = fs::read(root.join("target/image/root/app")).expect("staged");
        let ran = common::output(&mut Command::new(root.join("target/image/root/app")));
        assert_eq!(text(&ran.stdout), "/package/outside-1.2.3/src/lib.rs\n");
        let path = home.path().display().to_string();
        assert!(
            !program.windows(path.len()).any(|w| w == path.as_bytes()),
            "the program names `{path}`"
        );
        programs.push(program);
    }
    assert!(programs[0] == programs[1], "the same bytes from both");
}
