//! The library as its users get it: the packaged files, with a crate that depends on them, and none
//! of this repository's settings.

use outside::peer::{ask, invoke};
use outside::process;
use outside::program::{TARGET, root};
use outside::server::Server;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The README's function, as a crate beside the unpacked package.
const MANIFEST: &str = r#"
[package]
name = "fresh"
version = "0.1.0"
edition = "2024"

[dependencies]
firstbyte = { path = "../firstbyte-VERSION" }
serde = { version = "1", features = ["derive"] }

[workspace]
"#;

const FUNCTION: &str = r#"
use firstbyte::{App, Event, Json, Result};

#[derive(serde::Deserialize)]
struct Greeting<'a> {
    name: &'a str,
}

fn hello(event: Event<'_>) -> Result<Json<String>> {
    let greeting: Greeting = event.json()?;
    Ok(Json(format!("Hello, {}!", greeting.name)))
}

fn main() -> std::process::ExitCode {
    App::new().event(hello).serve()
}
"#;

fn run(command: &mut Command) {
    let output = command.output().expect("cargo runs: it is the one that built this test");
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A folder that is kept: what is compiled in it is compiled once.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("package")
}

/// Unpacks what `cargo package` makes, with a crate of its own beside it, outside the workspace.
fn unpacked() -> PathBuf {
    let (at, version) = (folder(), env!("CARGO_PKG_VERSION"));
    let packed = at.join("packed");
    run(Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["package", "--package", "firstbyte", "--no-verify", "--allow-dirty", "--quiet"])
        .arg("--target-dir")
        .arg(&packed));
    let (made, taken) =
        (packed.join("package").join(format!("firstbyte-{version}.crate")), at.join("taken.crate"));
    let bytes = fs::read(made).unwrap();
    if fs::read(&taken).ok().as_ref() != Some(&bytes) {
        // With the time of now: a package's files all have the same one, by which cargo would not
        // see that they have changed.
        fs::write(&taken, bytes).unwrap();
        run(Command::new("tar").current_dir(&at).arg("-xzmf").arg(&taken));
    }
    let fresh = at.join("fresh");
    fs::create_dir_all(fresh.join("src")).unwrap();
    fs::write(fresh.join("Cargo.toml"), MANIFEST.replace("VERSION", version)).unwrap();
    fs::write(fresh.join("src/main.rs"), FUNCTION).unwrap();
    fresh
}

/// Builds the fresh crate; `settings` is a `--config` file, as a project's own .cargo/config.toml.
fn built(fresh: &Path, target: &str, settings: Option<&Path>) -> PathBuf {
    let at = folder().join(if settings.is_some() { "with" } else { "without" });
    let mut cargo = Command::new(env!("CARGO"));
    // Not below the repository: cargo reads .cargo/config.toml of each folder on the way up.
    cargo.current_dir("/").args(["build", "--quiet", "--target", target]);
    cargo.arg("--manifest-path").arg(fresh.join("Cargo.toml")).arg("--target-dir").arg(&at);
    match settings {
        Some(settings) => cargo.arg("--config").arg(settings),
        None => cargo.env("CC_x86_64_unknown_linux_musl", "musl-gcc"), // no C compiler, no mimalloc
    };
    run(&mut cargo);
    at.join(target).join("debug").join("fresh")
}

/// Memory of its own, not the file's, after six small events and a large one, in KiB.
fn own_kib(program: &Path) -> u64 {
    let server = Server::start(Command::new(program));
    for _ in 0..6 {
        let reply = ask(server.address, invoke(r#"{"name":"Ada"}"#));
        assert_eq!((reply.status, reply.text()), (200, r#""Hello, Ada!""#));
    }
    // More than the arena of a start holds: from here on the allocator is mimalloc for certain.
    let long = "a".repeat(200_000);
    let reply = ask(server.address, invoke(format!(r#"{{"name":"{long}"}}"#)));
    assert_eq!(reply.status, 200);
    process::own_kib(server.id())
}

/// Without the flags of .cargo/config.toml, which do not travel with a crate, mimalloc is set up
/// before main, reserves 1 GiB at a time and asks for huge pages: it had 10 MB of its own instead
/// of 1.
#[test]
fn a_crate_on_the_packaged_files_is_small_with_and_without_our_flags() {
    let fresh = unpacked();
    let glibc = "x86_64-unknown-linux-gnu";
    let settings = root().join("template/.cargo/config.toml");
    for (target, settings) in [(glibc, None), (TARGET, None), (TARGET, Some(settings.as_path()))] {
        let own_kib = own_kib(&built(&fresh, target, settings));
        let flags = if settings.is_some() { "with" } else { "without" };
        println!("{target} {flags} our flags: {own_kib} KiB of its own");
        assert!(own_kib <= 2048, "{target} {flags} our flags: {own_kib} KiB of its own");
    }
}
