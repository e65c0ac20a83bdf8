//! Test of the library as its users get it: the packaged files, with a crate that depends on them,
//! without this repository's settings.

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

/// A folder that is kept, so that its crates are compiled once.
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
        // With the present time: all files of a package have the same time, so cargo would not
        // notice changes.
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
        None => cargo.env("CC_x86_64_unknown_linux_musl", "musl-gcc"), // for mimalloc
    };
    run(&mut cargo);
    at.join(target).join("debug").join("fresh")
}

/// Its anonymous memory after six small events and a large one, in KiB.
fn own_kib(program: &Path) -> u64 {
    let server = Server::start(Command::new(program));
    for _ in 0..6 {
        let reply = ask(server.address, invoke(r#"{"name":"Ada"}"#));
        assert_eq!((reply.status, reply.text()), (200, r#""Hello, Ada!""#));
    }
    // More than the boot arena can hold: from here on mimalloc allocates.
    let long = "a".repeat(200_000);
    let reply = ask(server.address, invoke(format!(r#"{{"name":"{long}"}}"#)));
    assert_eq!(reply.status, 200);
    process::own_kib(server.id())
}

/// Regression: without the flags of .cargo/config.toml, which a crate does not contain, mimalloc is
/// set up before main, reserves 1 GiB at a time and requests huge pages: the process had 10 MB of
/// anonymous memory instead of 1.
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

/// Files that a package's sources include (`include_str!` and similar macros) and that the package
/// does not contain; `packed` lists its files.
fn not_packed(folder: &Path, packed: &[PathBuf]) -> Vec<String> {
    let mut missing = Vec::new();
    for source in packed.iter().filter(|path| path.extension().is_some_and(|it| it == "rs")) {
        let Ok(text) = fs::read_to_string(folder.join(source)) else { continue };
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (at, _) in text.match_indices("include_") {
            let Some((_, rest)) = text[at..].split_once("!(\"") else { continue };
            let Some((name, _)) = rest.split_once('"') else { continue };
            let mut path = source.parent().expect("a file has a folder").to_owned();
            for part in name.split('/') {
                if part == ".." {
                    path.pop()
                } else {
                    path.push(part);
                    true
                };
            }
            if name.starts_with('$') || !packed.contains(&path) {
                missing.push(format!("{}: {name}", source.display()));
            }
        }
    }
    missing
}

/// The packages are published in this order, because each needs the ones before it.
#[test]
fn the_tools_packages_contain_all_files_that_they_include() {
    let packages = [
        ("tc3", "build/tc3"),
        ("bench-kit", "benches/kit"),
        ("microimage", "build"),
        ("firstbyte-scaffold", "build/scaffold"),
        ("coldstart", "benches/coldstart"),
    ];
    for (name, folder) in packages {
        let output = Command::new(env!("CARGO"))
            .current_dir(root())
            .args(["package", "--package", name, "--list", "--allow-dirty", "--quiet"])
            .output()
            .expect("cargo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let packed: Vec<PathBuf> =
            String::from_utf8(output.stdout).unwrap().lines().map(PathBuf::from).collect();
        let folder = root().join(folder);
        let missing = not_packed(&folder, &packed);
        // These files belong to the feature `projects`, which only this repository uses.
        let missing: Vec<_> = missing
            .into_iter()
            .filter(|line| {
                name != "firstbyte-scaffold"
                    || !["src/project.rs", "src/client.rs", "src/kind.rs"]
                        .iter()
                        .any(|file| line.starts_with(file))
            })
            .collect();
        assert!(missing.is_empty(), "{name} is published without {missing:?}");
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            assert!(packed.contains(&PathBuf::from(licence)), "{name}: no {licence}");
        }
    }
    // The check finds a missing file: here the list has a source without the file that it includes.
    let folder = root().join("build");
    let sources = vec![PathBuf::from("src/commands.rs")];
    assert_eq!(not_packed(&folder, &sources), ["src/commands.rs: ../scratch.Dockerfile"]);
}
