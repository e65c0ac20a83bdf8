//! Test of the image end to end, without a daemon: static ELF → recipe → one layer → OCI layout and
//! docker-archive → unpacked folder → process → 200. microimage's own tests cover each step. This
//! test checks that the whole path loses and changes nothing.

use microimage::archive;
use microimage::assemble::{Assembled, Options, assemble};
use microimage::context::FolderContext;
use microimage::entry::LayerLimits;
use microimage::image::Image;
use microimage::layer::Format;
use microimage::recipe::Recipe;
use microimage::unpack::unpack_image;
use microimage::{layout, source};
use outside::peer::{Peer, get, invoke};
use outside::program;
use outside::server::Server;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A build context like the repository's, in its own folder: the recipe, its ignore file, the
/// staged program.
fn context_with(program: &Path) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    for name in ["scratch.Dockerfile", ".dockerignore"] {
        fs::copy(program::root().join(name), folder.path().join(name))
            .expect("the recipe is part of the repository");
    }
    let staged = folder.path().join("target/image/root");
    fs::create_dir_all(&staged).expect("a temporary folder is ours");
    fs::copy(program, staged.join("app")).expect("the program can be copied");
    fs::set_permissions(staged.join("app"), Permissions::from_mode(0o755))
        .expect("the copy is ours");
    folder
}

fn try_build(folder: &Path, options: &Options) -> Result<Assembled, String> {
    let text = fs::read_to_string(folder.join("scratch.Dockerfile")).expect("the recipe is there");
    let recipe = Recipe::parse(&text).map_err(|error| error.to_string())?;
    let context = FolderContext::open(folder).map_err(|error| error.to_string())?;
    assemble(&recipe, &context, options).map_err(|error| error.to_string())
}

fn build(folder: &Path, options: &Options) -> Image {
    try_build(folder, options)
        .expect("the recipe fits the context")
        .image
        .with_reference("outside:test")
}

/// Every path below `root`, relative, sorted.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("an unpacked folder can be read") {
            let path = entry.expect("a folder lists its entries").path();
            if path.is_dir() {
                folders.push(path.clone());
            }
            found.push(path.strip_prefix(root).expect("it is below").to_owned());
        }
    }
    found.sort();
    found
}

#[test]
fn an_elf_becomes_an_image_that_answers_200() {
    let folder = context_with(program::echo());
    let elf = fs::read(program::echo()).expect("the echo is built");
    let built = build(folder.path(), &Options::default());
    layout::write(&built, &folder.path().join("oci")).expect("the layout is written");
    let docker = build(folder.path(), &Options { format: Format::Docker, ..Options::default() });
    archive::write(&docker, &folder.path().join("docker.tar")).expect("the archive is written");

    for (place, expected) in [("oci", &built), ("docker.tar", &docker)] {
        let place = folder.path().join(place);
        let image = source::load(place.to_str().expect("a temporary path is text"))
            .expect("what was written is read");
        assert_eq!(image.manifest_digest(), expected.manifest_digest());
        assert_eq!(image.argv(), ["/app"]);
        assert_eq!(image.exposed_ports(), ["9000/tcp"]);
        assert_eq!(image.layers().len(), 1);

        let root = place.with_extension("root");
        unpack_image(&image, &root, &LayerLimits::default()).expect("every digest is right");
        assert_eq!(files(&root), [PathBuf::from("app")], "one file and nothing else");
        let app = root.join("app");
        assert_eq!(fs::read(&app).expect("it is unpacked"), elf, "not a byte changed");
        assert_eq!(app.metadata().expect("it is there").permissions().mode() & 0o7777, 0o755);
        assert_answers(start(&image, &root, &app));
    }
}

/// Runs it in the unpacked root if this process may change its root, as a runtime does; otherwise
/// as an ordinary program.
fn start(image: &Image, root: &Path, app: &Path) -> Server {
    let wrapper: &[&str] = if rustix::process::geteuid().is_root() {
        &["chroot"]
    } else {
        &["unshare", "-r", "chroot"]
    };
    let rooted = |program: &str| {
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).arg(root).arg(program);
        command
    };
    // Only a program that cannot be found inside distinguishes "permitted", by status 127, from
    // "not permitted".
    let permitted = rooted("/no-such-program")
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|it| it.code() == Some(127));
    let mut command = if permitted {
        rooted(&image.argv()[0])
    } else {
        eprintln!("without its own root: `{}` is not permitted here", wrapper.join(" "));
        Command::new(app)
    };
    command.args(&image.argv()[1..]).env_clear();
    command.envs(image.env().iter().filter_map(|variable| variable.split_once('=')));
    if !permitted {
        command.env_remove("PATH");
    }
    Server::start(command)
}

#[track_caller]
fn assert_answers(server: Server) {
    let mut peer = Peer::to(server.address);
    assert_eq!(peer.ask(invoke("{\"in\":\"the image\"}")).text(), "{\"in\":\"the image\"}");
    assert_eq!(peer.ask(get("/")).status, 200);
}

#[test]
fn the_same_elf_gives_the_same_image_from_any_folder() {
    let (first, second) = (context_with(program::echo()), context_with(program::echo()));
    fs::write(second.path().join("a file that .dockerignore keeps out"), "noise")
        .expect("a temporary folder is ours");
    let digest = |folder: &TempDir| build(folder.path(), &Options::default()).manifest_digest();
    assert_eq!(digest(&first), digest(&second));
}

#[test]
fn a_program_that_needs_a_loader_is_refused() {
    // This test itself: a dynamic ELF, as cargo builds it for the host.
    let folder = context_with(&std::env::current_exe().expect("a test has an executable"));
    let error = try_build(folder.path(), &Options::default())
        .expect_err("it would not start in an empty root");
    assert!(error.contains("static"), "{error}");
    assert!(!folder.path().join("oci").exists());
}
