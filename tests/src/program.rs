//! Programs under test, which cargo builds.

use cargo_metadata::Message;
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is a folder of the repository")
}

/// A root folder with `program` and these files of /etc only, as in an image from scratch. The
/// folder exists as long as the first value.
pub fn in_scratch(program: &Path, files: &[(&str, &str)]) -> (TempDir, Command) {
    let root = TempDir::new().expect("a folder can be made");
    copy(program, &root.path().join("app"));
    fs::create_dir(root.path().join("etc")).expect("there is room");
    for (name, text) in files {
        fs::write(root.path().join("etc").join(name), text).expect("there is room");
    }
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--root").arg(root.path()).arg("/app");
    (root, command)
}

/// Copies a program, in a process of its own: what a test beside this one forks would inherit a
/// file that is open for writing here, and until it calls exec the kernel says "Text file busy".
fn copy(program: &Path, to: &Path) {
    let status = Command::new("cp").arg(program).arg(to).status().expect("every system has cp");
    assert!(status.success(), "there is room for a copy of {}", program.display());
}

/// The target of functions.
pub const TARGET: &str = "x86_64-unknown-linux-musl";

/// The echo example's static ELF, built with the command of docs/CONTRACTS.md, section 3, once a
/// process. FIRSTBYTE_ECHO names another program instead: one that runs it under a checker
/// (tests/memcheck).
pub fn echo() -> &'static Path {
    static ECHO: OnceLock<PathBuf> = OnceLock::new();
    ECHO.get_or_init(|| {
        std::env::var_os("FIRSTBYTE_ECHO").map_or_else(|| build_example("echo"), PathBuf::from)
    })
}

/// The function of programs/waiting.rs, built as functions are, once per process.
pub fn waiting() -> &'static Path {
    static WAITING: OnceLock<PathBuf> = OnceLock::new();
    WAITING.get_or_init(|| build_example("waiting"))
}

/// The function of programs/calling.rs, built as functions are, once per process.
pub fn calling() -> &'static Path {
    static CALLING: OnceLock<PathBuf> = OnceLock::new();
    CALLING.get_or_init(|| build_example("calling"))
}

/// The function of programs/own_stack.rs, built as functions are, once per process.
pub fn own_stack() -> &'static Path {
    static OWN_STACK: OnceLock<PathBuf> = OnceLock::new();
    OWN_STACK.get_or_init(|| build_example("own_stack"))
}

/// The chat example, built as functions are, once per process.
pub fn chat() -> &'static Path {
    static CHAT: OnceLock<PathBuf> = OnceLock::new();
    CHAT.get_or_init(|| {
        build(&["--example", "chat", "--features", "websocket"], |built| built == "chat").remove(0)
    })
}

/// A function of examples/calls, by its package's name. All are built together, once per process,
/// so that shared dependencies are compiled once. `call-https-lean` is the one without the public
/// authorities.
pub fn call(name: &str) -> &'static Path {
    static CALLS: OnceLock<Vec<PathBuf>> = OnceLock::new();
    let all = CALLS.get_or_init(|| {
        let is_call = |name: &str| name.starts_with("call-");
        // Both programs have the same name, so this one is copied before the other is built.
        let built = build(&["--package", "call-https", "--no-default-features"], is_call);
        let lean = built[0].with_file_name("call-https-lean");
        copy(&built[0], &lean);
        let mut all = build(&["--package", "call-*"], is_call);
        all.push(lean);
        all
    });
    all.iter()
        .find(|program| program.ends_with(name))
        .unwrap_or_else(|| panic!("there is no package `{name}` in examples/calls"))
}

/// A function of examples/ that is a package of its own, by its name. All are built together, once
/// per process.
pub fn package(name: &str) -> &'static Path {
    static PACKAGES: OnceLock<Vec<PathBuf>> = OnceLock::new();
    PACKAGES
        .get_or_init(|| {
            build(&["--package", "example-*"], |built: &str| built.starts_with("example-"))
        })
        .iter()
        .find(|program| program.ends_with(name))
        .unwrap_or_else(|| panic!("there is no package `{name}` in examples/"))
}

/// A function of examples/, built as functions are.
pub fn example(name: &str) -> PathBuf {
    build_example(name)
}

fn build_example(name: &str) -> PathBuf {
    build(&["--example", name], |built| built == name).remove(0)
}

/// The programs that cargo builds, at least one.
fn build(what: &[&str], is_wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut cargo = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["build", "--release", "--target", TARGET, "--message-format=json"])
        .args(what)
        .stdout(Stdio::piped())
        .spawn()
        .expect("cargo runs: it is the one that built this test");
    let messages = BufReader::new(cargo.stdout.take().expect("its output was asked for"));
    let executables: Vec<PathBuf> = Message::parse_stream(messages)
        .filter_map(|message| match message.expect("cargo writes one JSON value a line") {
            Message::CompilerArtifact(artifact) if is_wanted(&artifact.target.name) => {
                artifact.executable
            }
            _ => None,
        })
        .map(Into::into)
        .collect();
    let status = cargo.wait().expect("cargo ends");
    assert!(
        status.success() && !executables.is_empty(),
        "`{what:?}` does not build; run `build/setup`"
    );
    executables
}
