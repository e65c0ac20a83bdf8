//! New project: the template's files under a new name, in a folder that appears complete or not at
//! all. It compiles nothing and overwrites nothing.

use crate::client::Client;
use crate::kind::Kind;
use crate::name::Name;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Where a project finds firstbyte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A folder on this machine, absolute.
    Path(PathBuf),
    /// A git repository.
    Git(String),
}

/// Why a project could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The path already exists.
    #[error("`{0}` exists already; nothing was written: choose another path")]
    Exists(PathBuf),
    /// No flag names the place of firstbyte, and this folder is not in its repository.
    #[error(
        "the place of firstbyte is unknown, and `{0}` is not inside its repository; add \
         `--firstbyte PATH|URL`"
    )]
    NoSource(PathBuf),
    /// The given folder does not contain firstbyte.
    #[error(
        "`{0}` does not contain firstbyte (no Cargo.toml of that name); give the folder of its \
         repository, or a git URL"
    )]
    NoFirstbyte(PathBuf),
    /// The folder is inside a workspace, which would include it.
    #[error(
        "`{path}` would be inside the cargo workspace `{workspace}`, which would include it; \
         choose a path outside"
    )]
    InsideWorkspace {
        /// The folder.
        path: PathBuf,
        /// The manifest around it.
        workspace: PathBuf,
    },
    /// A file or folder cannot be written.
    #[error("`{path}` cannot be {what}: {source}")]
    File {
        /// Its path.
        path: PathBuf,
        /// The operation.
        what: &'static str,
        /// The underlying I/O error.
        source: io::Error,
    },
}

/// The files that are the same in every project.
const FILES: [(&str, &str); 7] = [
    (".cargo/config.toml", include_str!("../../../template/.cargo/config.toml")),
    (".dockerignore", include_str!("../../../template/.dockerignore")),
    (".gitignore", include_str!("../../../template/.gitignore")),
    ("justfile", include_str!("../../../template/justfile")),
    ("rust-toolchain.toml", include_str!("../../../template/rust-toolchain.toml")),
    ("scratch.Dockerfile", include_str!("../../../template/scratch.Dockerfile")),
    ("tests/socket.rs", include_str!("../../../template/tests/socket.rs")),
];
const MANIFEST: &str = include_str!("../../../template/Cargo.toml.liquid");
const FUNCTION: &str = include_str!("../../../template/function.toml.liquid");
const README: &str = include_str!("../../../template/README.md.liquid");
/// How a function is invoked, for its README, by kind of input.
const INVOKE: [&str; 2] = [
    "just invoke                   # one invocation with the sample in events/; `just invoke \
     --list` names more\njust invoke --image           # the same, of the image that `just image` \
     made",
    "just invoke --web GET '/hello/Ann?a=1&b=2'           # one request through the \
     platform\njust invoke --web GET '/hello/Ann?a=1&b=2' --image   # the same, to the image that \
     `just image` made",
];
/// The trigger of a timer's function, at the end of its function.toml.
const TRIGGER: &str = r#"
[[trigger]]                    # `just deploy` makes and changes it, and removes it when it is gone
type = "timer"
name = "every-five-minutes"
cron = "0 */5 * * * * *"       # second minute hour day month weekday year, Beijing time
"#;
/// Settings of a function that accepts WebSockets, in its function.toml.
const WEBSOCKET: &str = "\
concurrency = 20               # WebSockets and other requests that an instance has at a time
websocket_idle_s = 600         # 10 to 7200, and at most timeout_s: a WebSocket is one request
";
/// Its test over a socket, and a message.
const TALK: [(&str, &str); 2] = [
    ("tests/websocket.rs", include_str!("../../../template/kinds/websocket_socket.rs")),
    ("samples/message.json", include_str!("../../../template/samples/message.json")),
];
/// The packages of the host tools.
const TOOLS: &str = "microimage coldstart emulator";

impl Source {
    /// `text` is a git URL, or a folder with firstbyte's repository.
    ///
    /// # Errors
    /// [`ProjectError::NoFirstbyte`].
    pub fn parse(text: &str) -> Result<Source, ProjectError> {
        if text.contains("://") || text.starts_with("git@") {
            return Ok(Source::Git(text.to_owned()));
        }
        match fs::canonicalize(text) {
            Ok(folder) if is_firstbyte(&folder) => Ok(Source::Path(folder)),
            _ => Err(ProjectError::NoFirstbyte(text.into())),
        }
    }

    /// The repository of firstbyte that contains `folder`.
    ///
    /// # Errors
    /// [`ProjectError::NoSource`].
    pub fn around(folder: &Path) -> Result<Source, ProjectError> {
        let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        let found = folder
            .ancestors()
            .find(|folder| is_firstbyte(folder))
            .map(|found| Source::Path(found.to_owned()));
        found.ok_or(ProjectError::NoSource(folder))
    }

    /// The dependency in Cargo.toml, without the braces.
    fn dependency(&self) -> String {
        match self {
            Source::Path(folder) => format!("path = {}", quoted(&folder.display().to_string())),
            Source::Git(url) => format!("git = {}", quoted(url)),
        }
    }

    /// The one command that installs the host tools.
    pub fn tools(&self) -> String {
        match self {
            Source::Path(folder) => {
                format!("just --justfile {} tools", folder.join("justfile").display())
            }
            Source::Git(url) => {
                format!("cargo install --locked --git {url} --profile host {TOOLS}")
            }
        }
    }

    fn home(&self) -> String {
        match self {
            Source::Path(folder) => folder.join("README.md").display().to_string(),
            Source::Git(url) => url.clone(),
        }
    }
}

/// The files of a project, as relative path and text.
pub fn files(
    kind: &Kind,
    calls: Option<&Client>,
    name: &Name,
    source: &Source,
) -> Vec<(String, String)> {
    let is_websocket = kind.is_websocket();
    let features = if is_websocket { ", features = [\"websocket\"]" } else { "" };
    let filled = |text: &str| {
        text.replace("{{project-name}}", name.as_str())
            .replace("{{function_type}}", if kind.web { "\"web\"  " } else { "\"event\"" })
            .replace("{{firstbyte}}", &format!("{}{features}", source.dependency()))
            .replace("{{timeout}}", if is_websocket { "600" } else { "3  " })
            .replace("{{websocket}}", if is_websocket { WEBSOCKET } else { "" })
            .replace("{{tools}}", &source.tools())
            .replace("{{home}}", &source.home())
            .replace("{{trigger}}", if kind.name == "timer" { TRIGGER } else { "" })
            .replace("{{invoke}}", INVOKE[usize::from(kind.web)])
    };
    let mut files = vec![
        ("Cargo.toml".to_owned(), filled(MANIFEST)),
        ("README.md".to_owned(), filled(README)),
        ("function.toml".to_owned(), filled(FUNCTION)),
        ("src/main.rs".to_owned(), kind.main.to_owned()),
    ];
    files.extend(FILES.map(|(path, text)| (path.to_owned(), text.to_owned())));
    if is_websocket {
        files.extend(TALK.map(|(path, text)| (path.to_owned(), text.to_owned())));
    }
    if let Some(sample) = kind.sample {
        files.push((format!("events/{}.json", kind.name), sample.to_owned()));
    }
    if let Some(client) = calls {
        for (path, text) in &mut files {
            *text = match path.as_str() {
                "Cargo.toml" => client.manifest(text),
                "README.md" => client.readme(text),
                "function.toml" => client.function(text),
                "src/main.rs" => client.main(kind),
                "tests/socket.rs" => client.socket(kind, text),
                _ => continue,
            };
        }
        files.extend(client.files());
    }
    files
}

/// Makes a project at `path`, whose parents are made if needed. It has a temporary name until it is
/// complete.
///
/// # Errors
/// [`ProjectError`]; nothing is then left.
pub fn create(
    path: &Path,
    kind: &Kind,
    calls: Option<&Client>,
    name: &Name,
    source: &Source,
) -> Result<PathBuf, ProjectError> {
    let at = |path: &Path, what| {
        let path = path.to_owned();
        move |source| ProjectError::File { path, what, source }
    };
    let path = resolved(path).map_err(at(path, "found"))?;
    if fs::symlink_metadata(&path).is_ok() {
        return Err(ProjectError::Exists(path));
    }
    if let Some(workspace) = workspace_around(&path) {
        return Err(ProjectError::InsideWorkspace { path, workspace });
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).map_err(at(parent, "made"))?;
    let staging = tempfile::Builder::new()
        .prefix(&format!(".{}.", name.as_str()))
        .tempdir_in(parent)
        .map_err(at(parent, "written to"))?;
    // Git and editors make world-readable folders, so this one is too.
    let root = staging.path().join(name.as_str());
    fs::create_dir(&root).map_err(at(&root, "made"))?;
    for (file, text) in files(kind, calls, name, source) {
        let file = root.join(file);
        let folder = file.parent().unwrap_or(&root);
        fs::create_dir_all(folder).map_err(at(folder, "made"))?;
        fs::write(&file, text).map_err(at(&file, "written"))?;
    }
    fs::rename(&root, &path).map_err(|source| match source.kind() {
        // Another process has made the path meanwhile.
        io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => {
            ProjectError::Exists(path.clone())
        }
        _ => ProjectError::File { path: path.clone(), what: "made", source },
    })?;
    Ok(path)
}

/// The absolute path without `..`: with it, `../hello` would seem to be inside this folder.
/// Existing parts are resolved by the kernel's rules, others as text.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    let mut resolved = PathBuf::new();
    for part in std::path::absolute(path)?.components() {
        match part {
            Component::ParentDir => _ = resolved.pop(),
            part => resolved.push(part),
        }
        resolved = fs::canonicalize(&resolved).unwrap_or(resolved);
    }
    Ok(resolved)
}

/// Whether a folder's manifest is firstbyte's.
fn is_firstbyte(folder: &Path) -> bool {
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    manifest.parse::<toml::Table>().is_ok_and(|manifest| {
        let name = manifest.get("package").and_then(|package| package.get("name"));
        name.and_then(toml::Value::as_str) == Some("firstbyte")
    })
}

/// The manifest of the workspace that would claim a package at `path`.
fn workspace_around(path: &Path) -> Option<PathBuf> {
    path.ancestors().skip(1).map(|folder| folder.join("Cargo.toml")).find(|manifest| {
        let text = fs::read_to_string(manifest).unwrap_or_default();
        text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("workspace"))
    })
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
