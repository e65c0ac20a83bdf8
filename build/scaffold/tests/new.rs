//! Tests of new projects: each is made in a temporary folder, then built, tested and packed by the
//! commands of its justfile. All kinds share compiled files, which are kept between runs
//! (CARGO_TARGET_TMPDIR).

use scaffold::client::{CLIENTS, Client};
use scaffold::deploy::function::Function;
use scaffold::kind::{KINDS, Kind};
use scaffold::name::Name;
use scaffold::project::{self, ProjectError, Source};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// firstbyte's repository.
fn root() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .expect("the repository is there")
}

/// Makes a project of this kind in `folder`, with the repository's lock file, whose versions this
/// machine has already.
fn made(folder: &Path, kind: &Kind, calls: Option<&Client>) -> PathBuf {
    let calling = calls.map_or_else(String::new, |client| format!("-{}", client.name));
    let name = Name::parse(&format!("new-{}{calling}", kind.name)).expect("a kind's name is valid");
    let path = folder.join(name.as_str());
    let path =
        project::create(&path, kind, calls, &name, &Source::Path(root())).expect("it is made");
    fs::copy(root().join("Cargo.lock"), path.join("Cargo.lock")).expect("the lock file is there");
    path
}

/// A command in the project, with the shared target folder.
fn command(program: impl AsRef<std::ffi::OsStr>, project: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(project)
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("projects"));
    command
}

/// Runs it; panics with its output if it fails.
fn done(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("it can be started");
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// `--offline` if this machine has all packages; otherwise cargo may fetch.
fn offline(project: &Path) -> &'static [&'static str] {
    let mut question = command(env!("CARGO"), project);
    let known = question.args(["metadata", "--offline", "--format-version=1"]).output();
    if known.is_ok_and(|known| known.status.success()) { &["--offline"] } else { &[] }
}

/// The image tool beside this test; if only this package is tested, it is built first.
fn microimage() -> PathBuf {
    let test = env::current_exe().expect("a process knows its file");
    let folder = test.parent().and_then(Path::parent).expect("tests are in deps/");
    let tool = folder.join("microimage");
    if !tool.is_file() {
        let profile = folder.file_name().and_then(|name| name.to_str()).expect("cargo named it");
        let profile = if profile == "debug" { "dev" } else { profile };
        done(Command::new(env!("CARGO")).current_dir(root()).args([
            "build",
            "--profile",
            profile,
            "--package=microimage",
        ]));
    }
    tool
}

#[test]
fn every_kind_passes_its_own_tests_and_the_first_becomes_an_image() {
    let folder = tempfile::tempdir().unwrap();
    let projects: Vec<_> =
        KINDS.iter().map(|kind| (kind, made(folder.path(), kind, None))).collect();
    for (kind, project) in &projects {
        let said = done(command(env!("CARGO"), project).arg("test").args(offline(project)));
        let tests = said
            .lines()
            .filter(|line| line.starts_with("test ") && line.ends_with(" ... ok"))
            .count();
        assert!(
            tests >= 2,
            "{}: a handler's tests and the socket's are expected\n{said}",
            kind.name
        );
    }
    let (_, project) = &projects[0];
    done(command(microimage(), project).arg("image"));
    let image = fs::read_to_string(project.join("target/image/image.json")).unwrap();
    let image: serde_json::Value = serde_json::from_str(&image).unwrap();
    assert_eq!(image["reference"], "new-event:latest");
    assert!(image["manifest_digest"].as_str().unwrap().starts_with("sha256:"), "{image}");
    // Without the flags or the profile the layer would be larger than this (SPECIFICATION.md).
    assert!(image["total_compressed_bytes"].as_u64().unwrap() < 1 << 20, "{image}");
    let checked = done(command(microimage(), project).arg("check"));
    assert!(checked.contains("0 failed"), "{checked}");
}

#[test]
fn carries_the_flags_and_the_profile_of_the_repository() {
    let table = |text: &str| text.parse::<toml::Table>().expect("it is TOML");
    let ours = |file: &str| table(&fs::read_to_string(root().join(file)).unwrap());
    let name = Name::parse("hello").unwrap();
    let files = project::files(&KINDS[0], None, &name, &Source::Path(root()));
    let theirs = |file: &str| table(&files.iter().find(|(path, _)| path == file).unwrap().1);
    let mut settings = ours(".cargo/config.toml");
    settings.remove("profile"); // for host tools, and for packages of functions that call out
    assert_eq!(theirs(".cargo/config.toml"), settings);
    assert_eq!(
        theirs("Cargo.toml")["profile"]["release"],
        ours("Cargo.toml")["profile"]["release"]
    );
    assert_eq!(
        theirs("Cargo.toml")["package"]["rust-version"],
        ours("Cargo.toml")["package"]["rust-version"]
    );
}

/// Each client with another kind: the pair compiles without a warning, passes its tests, and has
/// the repository's profile.
#[test]
fn a_client_combines_with_a_kind() {
    let folder = tempfile::tempdir().unwrap();
    let pairs =
        [("timer", "redis"), ("websocket", "https"), ("event", "postgres"), ("ckafka", "mysql")];
    for (kind, client) in pairs.into_iter().chain([("cos", "cos")]) {
        let (kind, client) = (Kind::named(kind).unwrap(), Client::named(client).unwrap());
        let project = made(folder.path(), kind, Some(client));
        let mut test = command(env!("CARGO"), &project);
        test.env("RUSTFLAGS", "-Dwarnings").env_remove(client.variable);
        let said = done(test.arg("test").args(offline(&project)));
        let says = if kind.web {
            "keeps_what_is_not_configured_to_the_log ... ok"
        } else {
            "names_what_is_not_configured ... ok"
        };
        assert!(said.contains(says), "{said}");
        assert!(said.contains("answers_every_sample_over_a_socket ... ok"), "{said}");
    }
}

#[test]
fn every_client_combines_with_every_kind() {
    let ours = fs::read_to_string(root().join(".cargo/config.toml")).unwrap();
    let ours: toml::Table = ours.parse().unwrap();
    for kind in &KINDS {
        for client in &CLIENTS {
            let name = Name::parse("hello").unwrap();
            let files = project::files(kind, Some(client), &name, &Source::Path(root()));
            let of = |path: &str| {
                let found = files.iter().find(|(name, _)| name == path);
                found.map(|(_, text)| text.as_str()).unwrap_or_else(|| panic!("{path} is missing"))
            };
            assert!(of("src/main.rs").contains("client::call("), "{}", of("src/main.rs"));
            assert!(of("src/client.rs").contains("pub fn call("));
            assert!(of("function.toml").contains(client.variable));
            assert!(of("README.md").contains(client.variable));
            of("function.toml").parse::<toml::Table>().expect("it is TOML");
            let theirs: toml::Table = of("Cargo.toml").parse().expect("it is TOML");
            let small = theirs["profile"]["release"].get("package").and_then(|it| it.as_table());
            for (package, profile) in small.into_iter().flatten() {
                assert_eq!(*profile, ours["profile"]["release"]["package"][package]);
            }
        }
    }
}

#[test]
fn leaves_no_placeholder_and_adapts_files_to_the_kind() {
    for kind in &KINDS {
        let files = project::files(
            kind,
            None,
            &Name::parse("hello").unwrap(),
            &Source::Git("https://example.org/f".into()),
        );
        for (path, text) in &files {
            let justfile = path == "justfile"; // just's own syntax has double braces
            assert!(justfile || !text.contains("{{"), "{path}: {text}");
        }
        let of =
            |path: &str| files.iter().find(|(name, _)| name == path).map(|(_, text)| text.as_str());
        let features = if kind.name == "websocket" { r#", features = ["websocket"]"# } else { "" };
        let dependency = format!("firstbyte = {{ git = \"https://example.org/f\"{features} }}");
        assert!(of("Cargo.toml").unwrap().contains(&dependency), "{}", kind.name);
        let expected = if kind.web { "type = \"web\"" } else { "type = \"event\"" };
        assert!(of("function.toml").unwrap().contains(expected), "{}", kind.name);
        let function = Function::parse(of("function.toml").unwrap()).unwrap();
        assert_eq!(function.websocket_idle_s.is_some(), kind.name == "websocket");
        assert_eq!(function.triggers.len(), usize::from(kind.name == "timer"), "{}", kind.name);
        assert_eq!(
            files.iter().filter(|(path, _)| path.starts_with("events/")).count(),
            usize::from(!kind.web)
        );
        assert!(of("src/main.rs").unwrap().contains("firstbyte::main!(app());"), "{}", kind.name);
        let readme = of("README.md").unwrap();
        assert_eq!(readme.contains("events/"), !kind.web, "a Web function has no events: {readme}");
        assert_eq!(
            readme.contains("just invoke --web GET '/hello/Ann?a=1&b=2'"),
            kind.web,
            "{readme}"
        );
        assert!(readme.contains("cargo install --locked --git https://example.org/f"), "{readme}");
        // This compares cargo-generate's script even if cargo-generate is missing.
        let script =
            fs::read_to_string(root().join("template/kind.rhai")).unwrap().replace("\\n", "\n");
        let invoked: Vec<_> =
            readme.lines().filter(|line| line.starts_with("just invoke ")).collect();
        assert_eq!(invoked.len(), 2, "{readme}");
        assert!(script.contains(&invoked.join("\n")), "{invoked:?} is not in kind.rhai");
    }
}

#[test]
fn an_event_function_gets_the_templates_own_function_toml() {
    let files =
        project::files(&KINDS[0], None, &Name::parse("hello").unwrap(), &Source::Path(root()));
    let theirs = &files.iter().find(|(path, _)| path == "function.toml").unwrap().1;
    assert_eq!(*theirs, fs::read_to_string(root().join("template/function.toml")).unwrap());
}

#[test]
fn cargo_generate_makes_the_same_projects() {
    if !Command::new("cargo-generate")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        eprintln!(
            "skipped: no `cargo-generate` on PATH; `cargo install cargo-generate` installs it"
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for source in ["https://example.org/firstbyte".to_owned(), root().display().to_string()] {
        for kind in &KINDS {
            let name = Name::parse(&format!("made-{}", kind.name)).unwrap();
            let into = tempfile::tempdir_in(folder.path()).unwrap();
            let mut generate = Command::new("cargo-generate");
            generate.args([
                "generate",
                "--silent",
                "--vcs",
                "none",
                "--name",
                name.as_str(),
                "--path",
            ]);
            generate.arg(root().join("template")).current_dir(into.path());
            generate.args([
                "-d",
                &format!("kind={}", kind.name),
                "-d",
                &format!("source={source}"),
            ]);
            done(&mut generate);
            let mut ours = project::files(kind, None, &name, &Source::parse(&source).unwrap());
            ours.sort();
            assert_eq!(tree(&into.path().join(name.as_str())), ours, "{}", kind.name);
        }
    }
}

/// All files below a folder, as relative path and text, sorted.
fn tree(root: &Path) -> Vec<(String, String)> {
    let (mut folders, mut files) = (vec![root.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).expect("it is below").display().to_string();
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn refuses_an_existing_path_and_a_path_inside_a_workspace() {
    let folder = tempfile::tempdir().unwrap();
    let create = |path: &Path| {
        project::create(path, &KINDS[0], None, &Name::of(path).unwrap(), &Source::Path(root()))
    };
    let there = folder.path().join("there");
    fs::write(&there, "mine").unwrap();
    assert!(matches!(create(&there), Err(ProjectError::Exists(path)) if path == there));
    assert_eq!(fs::read_to_string(&there).unwrap(), "mine");
    fs::create_dir(folder.path().join("around")).unwrap();
    fs::write(folder.path().join("around/Cargo.toml"), "[workspace]\n").unwrap();
    let inside = folder.path().join("around/deep/hello");
    assert!(matches!(create(&inside), Err(ProjectError::InsideWorkspace { .. })));
    let left: Vec<_> = fs::read_dir(folder.path().join("around"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, ["Cargo.toml"], "not even a parent folder was made");
}

/// Regression: the README's own example, `just new ../hello`, was refused, because the path began
/// with the workspace's.
#[test]
fn a_path_that_leads_out_of_a_workspace_is_outside() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("around")).unwrap();
    fs::write(folder.path().join("around/Cargo.toml"), "[workspace]\n").unwrap();
    let path = folder.path().join("around/../hello");
    let made =
        project::create(&path, &KINDS[0], None, &Name::of(&path).unwrap(), &Source::Path(root()))
            .unwrap();
    assert_eq!(made, folder.path().canonicalize().unwrap().join("hello"));
    assert!(made.join("src/main.rs").is_file());
}

#[test]
fn finds_firstbyte_around_a_folder_and_refuses_others() {
    assert_eq!(
        Source::around(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap(),
        Source::Path(root())
    );
    let elsewhere = tempfile::tempdir().unwrap();
    assert!(Source::around(elsewhere.path()).unwrap_err().to_string().contains("--firstbyte"));
    assert!(matches!(
        Source::parse(&elsewhere.path().display().to_string()),
        Err(ProjectError::NoFirstbyte(_))
    ));
    assert_eq!(
        Source::parse("git@example.org:f").unwrap(),
        Source::Git("git@example.org:f".into())
    );
}
