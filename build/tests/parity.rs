//! `docker build -f scratch.Dockerfile` and `microimage build` make the same image: the same files
//! with the same modes, owners and bytes, and the same command line. Docker Engine is the oracle;
//! without it, the tests print a note and pass.

mod common;

use common::{HELLO, docker, load_through_docker};
use microimage::assemble::{Options, assemble};
use microimage::contents;
use microimage::context::FolderContext;
use microimage::entry::LayerLimits;
use microimage::image::Image;
use microimage::recipe::Recipe;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Allows one build at a time: the engine loses a layer if an image that shares it is removed while
/// another one is built.
static ENGINE: Mutex<()> = Mutex::new(());

/// Builds `recipe` over `context` with both, and compares.
fn same_with_docker(recipe: &str, context: &Path, options: &Options) {
    if !docker(&["info"]).is_ok_and(|o| o.status.success()) {
        common::skipped(format_args!("no Docker Engine answers `docker info`"));
        return;
    }
    let ours = assemble(
        &Recipe::parse(recipe).expect(recipe),
        &FolderContext::open(context).expect("a context"),
        options,
    );
    let ours = ours.expect(recipe).image;
    let turn = ENGINE.lock().unwrap_or_else(PoisonError::into_inner);
    let theirs = built_by_docker(recipe, context);
    drop(turn);
    assert_eq!(
        contents::read(&ours, &LayerLimits::default()).expect("ours").files,
        contents::read(&theirs, &LayerLimits::default()).expect("theirs").files,
        "{recipe}"
    );
    let start = |image: &Image| {
        let labels: Vec<_> = image.labels().iter().map(|(n, v)| format!("{n}={v}")).collect();
        let words = |words: &[String]| words.to_vec();
        (
            words(image.entrypoint()),
            words(image.cmd()),
            words(image.env()),
            image.user().to_owned(),
            image.working_dir().to_owned(),
            image.exposed_ports(),
            labels,
        )
    };
    assert_eq!(start(&ours), start(&theirs), "{recipe}");
    assert_eq!((ours.os(), ours.architecture()), (theirs.os(), theirs.architecture()));
}

fn built_by_docker(recipe: &str, context: &Path) -> Image {
    let home = tempfile::tempdir().expect("a folder");
    let tag = format!(
        "microimage-parity:{}-{}",
        std::process::id(),
        microimage::digest::Digest::of(recipe.as_bytes()).hex().get(..12).expect("64 digits")
    );
    let (file, tar) = (home.path().join("Dockerfile"), home.path().join("saved.tar"));
    fs::write(&file, recipe).expect("a file");
    let path = |p: &Path| p.display().to_string();
    let output =
        docker(&["build", "--no-cache", "-q", "-t", &tag, "-f", &path(&file), &path(context)])
            .expect("docker");
    assert!(output.status.success(), "{recipe}\n{}", String::from_utf8_lossy(&output.stderr));
    let image = load_through_docker(&tag, &tar);
    // The tar is open already, so the name can be removed.
    assert!(docker(&["rmi", &tag]).expect("docker").status.success());
    image
}

fn context() -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a folder");
    let root = home.path();
    for folder in ["", "target/image/root", "conf", "conf/d"] {
        fs::create_dir_all(root.join(folder)).expect("a folder");
        fs::set_permissions(root.join(folder), fs::Permissions::from_mode(0o755)).expect("ours");
    }
    for (path, content, mode) in [
        ("target/image/root/app", HELLO, 0o755),
        ("conf/a.conf", b"a", 0o644),
        ("conf/d/b.conf", b"b", 0o644),
        ("conf/secret", b"s", 0o644),
        ("run.me", b"x", 0o755),
    ] {
        fs::write(root.join(path), content).expect("a file");
        fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).expect("ours");
    }
    std::os::unix::fs::symlink("a.conf", root.join("conf/link")).expect("a link");
    home
}

#[test]
fn the_projects_own_recipe() {
    let home = context();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let recipe = fs::read_to_string(root.join("scratch.Dockerfile")).expect("the recipe");
    fs::copy(root.join(".dockerignore"), home.path().join(".dockerignore")).expect("the patterns");
    same_with_docker(&recipe, home.path(), &Options::default());
}

#[test]
fn every_instruction_at_once() {
    let home = context();
    fs::write(home.path().join(".dockerignore"), "**/secret\n*.tmp\n").expect("a file");
    same_with_docker(
        "# every instruction\nFROM scratch\nENV A=1 B=\"two words\" C=x\\ y\nENV D four words \
         $A\nCOPY target/image/root/app /app\nWORKDIR /srv\nWORKDIR sub\nCOPY conf ./conf\nCOPY \
         run.me conf/a.conf ./bin/\nCOPY conf/a.conf .\nENV PATH=/app:$PATH A=${B:-x}\nENV \
         E=\"${A}\" F='$A'\nEXPOSE 9000 53/udp\nEXPOSE 80-82\nLABEL a=b \"c d\"=\"e f\" g=\"h \
         $A\" i='$A'\nUSER 65532:65532\nENTRYPOINT [\"/app\", \"x y\"]\nCMD [\"--z\"]\n",
        home.path(),
        &Options::default(),
    );
}

#[test]
fn ignored_folders_with_exceptions_and_a_copied_context() {
    let home = context();
    fs::write(
        home.path().join(".dockerignore"),
        "*\n!target/image/root\n!conf\nconf/d\n**/secret\n",
    )
    .expect("a file");
    same_with_docker(
        "FROM scratch\nCOPY . /all\nWORKDIR /all\nCMD [\"./target/image/root/app\"]\n",
        home.path(),
        &Options::default(),
    );
}

/// Each step changes something: engine 20.10 loses the layer of a step that changes nothing.
#[test]
fn folders_into_folders_and_files_over_files() {
    let home = context();
    same_with_docker(
        "FROM scratch\nCOPY conf /etc\nCOPY run.me /etc/a.conf\nCOPY conf/d /etc/e/\nCOPY \
         target/image/root/app /etc\nCOPY run.me /deep/er/still\nENTRYPOINT [\"/etc/app\"]\n",
        home.path(),
        &Options::default(),
    );
}

/// Parents of a folder are not compared: the engine's old builder gives them to root, BuildKit and
/// microimage to the owner.
#[test]
fn owners_of_copied_files() {
    let home = context();
    same_with_docker(
        "FROM scratch\nCOPY --chown=1:2 conf /new\nCOPY --chown=3 run.me /p/q/f\nCOPY conf \
         /ex\nCOPY --chown=5:6 conf /ex\nCOPY --chown=7 conf/d /ex/d\nCOPY --chown=8:0 run.me \
         /ex/\nCOPY --chown=65532:65532 target/image/root/app /app\nCMD [\"/app\"]\n",
        home.path(),
        &Options::default(),
    );
}

/// Names of owners, looked up in the image's own files. User and group have the same number there.
/// For a user without a group, the engine's old builder uses the group of that name; BuildKit and
/// microimage use the group in /etc/passwd.
#[test]
fn names_of_owners() {
    let home = context();
    for (name, text) in [
        ("passwd", "root:x:0:0:root:/:\napp:x:65532:65532:app:/:\n"),
        ("group", "root:x:0:\napp:x:65532:\nusers:x:100:app\n"),
    ] {
        fs::write(home.path().join("conf").join(name), text).expect("a file");
        let readable = fs::Permissions::from_mode(0o644);
        fs::set_permissions(home.path().join("conf").join(name), readable).expect("ours");
    }
    same_with_docker(
        "FROM scratch\nCOPY conf/passwd conf/group /etc/\nCOPY --chown=app conf /a\nCOPY \
         --chown=app:users run.me /b\nCOPY --chown=7:users run.me /c\nCOPY --chown=app:9 run.me \
         /d\nCOPY --chown=root:root run.me /e\nCOPY target/image/root/app /app\nCMD \
         [\"/app\"]\n",
        home.path(),
        &Options::default(),
    );
}
