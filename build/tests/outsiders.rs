//! Other programs accept our images: Docker Engine, skopeo, umoci, containerd, Debian's registry.
//! Each test runs if its program is installed (`build/setup --docker`); otherwise it prints what is
//! missing.

mod common;

use common::{HELLO, MemoryContext, docker};
use microimage::assemble::{Options, assemble};
use microimage::entry::LayerLimits;
use microimage::image::{Compression, Image};
use microimage::layer::Format;
use microimage::recipe::Recipe;
use microimage::{archive, contents, layout, source};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The image, and its two forms on disk: `oci` and `docker.tar`.
fn image(home: &Path, format: Format, compression: Compression) -> Image {
    let context = MemoryContext::default().program("app", HELLO).file("etc/config", b"x");
    let recipe = Recipe::parse(
        "FROM scratch\nCOPY app /app\nCOPY etc /etc\nENV A=1\nEXPOSE 9000\nENTRYPOINT [\"/app\"]\n",
    )
    .expect("a recipe");
    let options = Options { format, compression, ..Options::default() };
    let name = format!("microimage-outsiders:{}", std::process::id());
    let image = assemble(&recipe, &context, &options).expect("an image").image.with_reference(name);
    layout::write(&image, &home.join("oci")).expect("a layout");
    archive::write(&image, &home.join("docker.tar")).expect("an archive");
    image
}

/// Runs a program and expects it to succeed; `None`, with a message, if it is not installed.
fn run(program: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => {
            assert!(
                output.status.success(),
                "{program} {arguments:?}\n{}",
                String::from_utf8_lossy(&output.stderr)
            );
            Some(output)
        }
        Err(error) => {
            common::skipped(format_args!(
                "`{program}` is not installed ({error}); `build/setup --docker` installs it"
            ));
            None
        }
    }
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn docker_engine_loads_runs_and_saves_it() {
    if !docker(&["info"]).is_ok_and(|o| o.status.success()) {
        common::skipped(format_args!("no Docker Engine answers `docker info`"));
        return;
    }
    for (format, compression) in [
        (Format::Oci, Compression::Gzip),
        (Format::Docker, Compression::Gzip),
        (Format::Docker, Compression::None),
    ] {
        let home = tempfile::tempdir().expect("a folder");
        let ours = image(home.path(), format, compression);
        let name = ours.reference().expect("named").to_owned();
        run("docker", &["load", "-i", &path(&home.path().join("docker.tar"))]);
        let id = run("docker", &["inspect", "--format", "{{.Id}}", &name]).expect("docker is here");
        assert_eq!(
            String::from_utf8_lossy(&id.stdout).trim(),
            ours.config_descriptor().digest.to_string()
        );
        let ran = run("docker", &["run", "--rm", "--read-only", "--network", "none", &name])
            .expect("docker is here");
        assert_eq!(ran.stdout, b"ok\n");
        let saved = common::load_through_docker(&name, &home.path().join("saved.tar"));
        let files =
            |image: &Image| contents::read(image, &LayerLimits::default()).expect("readable").files;
        assert_eq!(
            (files(&saved), saved.argv(), saved.env()),
            (files(&ours), ours.argv(), ours.env())
        );
        run("docker", &["rmi", &name]);
    }
}

#[test]
fn skopeo_reads_and_copies_both_forms() {
    let home = tempfile::tempdir().expect("a folder");
    let ours = image(home.path(), Format::Oci, Compression::Gzip);
    let (oci, tar) = (
        format!("oci:{}", path(&home.path().join("oci"))),
        format!("docker-archive:{}", path(&home.path().join("docker.tar"))),
    );
    let Some(seen) = run("skopeo", &["inspect", "--format", "{{.Digest}}", &oci]) else { return };
    assert_eq!(String::from_utf8_lossy(&seen.stdout).trim(), ours.manifest_digest().to_string());
    // A copy by skopeo has the same manifest.
    let copy = home.path().join("copy");
    run("skopeo", &["--insecure-policy", "copy", &oci, &format!("oci:{}:latest", path(&copy))]);
    assert_eq!(
        source::load(&path(&copy)).expect("skopeo's layout").manifest_bytes(),
        ours.manifest_bytes()
    );
    // A docker-archive has no manifest; the configuration stays the same.
    let archive = home.path().join("copy.tar");
    run(
        "skopeo",
        &["--insecure-policy", "copy", &tar, &format!("docker-archive:{}:x:1", path(&archive))],
    );
    let copied = source::load(&path(&archive)).expect("skopeo's archive");
    assert_eq!((copied.config_bytes(), copied.reference()), (ours.config_bytes(), Some("x:1")));
    let found = contents::read(&copied, &LayerLimits::default()).expect("readable");
    assert_eq!(
        found.files,
        contents::read(&ours, &LayerLimits::default()).expect("readable").files
    );
}

#[test]
fn umoci_unpacks_it_and_makes_images_that_we_read() {
    let home = tempfile::tempdir().expect("a folder");
    image(home.path(), Format::Oci, Compression::Gzip);
    let tag = std::process::id();
    let (layout, bundle) = (path(&home.path().join("oci")), home.path().join("bundle"));
    let Some(_) = run(
        "umoci",
        &["unpack", "--rootless", "--image", &format!("{layout}:{tag}"), &path(&bundle)],
    ) else {
        return;
    };
    assert_eq!(fs::read(bundle.join("rootfs/app")).expect("the program"), HELLO);
    fs::write(bundle.join("rootfs/new"), "from umoci").expect("a file");
    fs::remove_file(bundle.join("rootfs/etc/config")).expect("a file");
    run("umoci", &["repack", "--image", &format!("{layout}:second"), &path(&bundle)]);
    // Its second layer has a whiteout for the removed file.
    let second = source::load(&format!("{layout}#second")).expect("umoci's image");
    let files = contents::read(&second, &LayerLimits::default()).expect("readable").files;
    let names: Vec<_> = files.keys().map(|p| p.display().to_string()).collect();
    assert_eq!(
        (second.layers().len(), names),
        (2, vec!["app".to_owned(), "etc".into(), "new".into()])
    );
}

#[test]
fn containerd_imports_it_with_our_digest() {
    let home = tempfile::tempdir().expect("a folder");
    let ours = image(home.path(), Format::Oci, Compression::Gzip);
    let (socket, config) = (home.path().join("containerd.sock"), home.path().join("config.toml"));
    let text = format!(
        "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = \
         [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = {socket:?}\n",
        home.path().join("root"),
        home.path().join("state")
    );
    fs::write(&config, text).expect("a file");
    let child = Command::new("containerd")
        .args(["--config", &path(&config)])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut containerd) = child else {
        common::skipped(format_args!("`containerd` is not installed"));
        return;
    };
    let ctr = |arguments: &[&str]| {
        Command::new("ctr").args(["--address", &path(&socket)]).args(arguments).output()
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    let ready = loop {
        if ctr(&["version"]).is_ok_and(|o| o.status.success()) {
            break true;
        }
        if containerd.try_wait().expect("our own child").is_some() || Instant::now() > deadline {
            break false;
        }
        thread::sleep(Duration::from_millis(20)); // between two checks whether it is ready
    };
    let mut result = None;
    if ready {
        let imported =
            ctr(&["images", "import", "--no-unpack", &path(&home.path().join("docker.tar"))])
                .expect("ctr");
        result = Some((imported, ctr(&["images", "ls"]).expect("ctr")));
    }
    let _ = containerd.kill();
    let _ = containerd.wait();
    let Some((imported, list)) = result else {
        common::skipped(format_args!("containerd does not start here (it needs root)"));
        return;
    };
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    let name = format!("docker.io/library/{}", ours.reference().expect("named"));
    assert!(list.contains(&name) && list.contains(&ours.manifest_digest().to_string()), "{list}");
}
