//! Baselines: builds well-known kinds of images for comparison, from Debian packages (mmdebstrap)
//! and from a crate. baselines/README.md lists their contents; downloads are kept in a cache folder
//! and images are built once. Only packages and crates are downloaded. The runner measures them.

mod debian;
mod pack;

use microimage::image::Image;
use microimage::scf;
use microimage::stage;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The answer of every baseline to the default request: the event itself.
pub use crate::request::TIMER_EVENT as ANSWER;

/// Port on which they listen, as a function does; their sources contain it too.
pub const PORT: u16 = scf::PORT;

const AXUM: [(&str, &str); 3] = [
    // Under other file names, because a package cannot contain a folder with a Cargo.toml.
    ("Cargo.toml", include_str!("../baselines/axum/manifest.toml")),
    ("Cargo.lock", include_str!("../baselines/axum/manifest.lock")),
    ("src/main.rs", include_str!("../baselines/axum/src/main.rs")),
];
const HTTP_SERVER: &str = include_str!("../baselines/http_server.py");
const FLASK: &str = include_str!("../baselines/flask_app.py");
const NODE: &str = include_str!("../baselines/node.js");
/// Size of the file that makes the large image large.
const PADDING_BYTES: usize = 250 << 20;

/// One image to compare with.
pub struct Baseline {
    /// Its name in the results.
    pub name: &'static str,
    /// Debian packages beside the essential ones; `None`: from scratch.
    packages: Option<&'static [&'static str]>,
    program: Program,
    argv: &'static [&'static str],
    padding_bytes: usize,
}

enum Program {
    /// A script as /app/main.
    Script(&'static str),
    /// axum for this target as /app/main.
    Axum(&'static str),
}

const MUSL: &str = "x86_64-unknown-linux-musl";
const GNU: &str = "x86_64-unknown-linux-gnu";
const RUN: &[&str] = &["/app/main"];

/// All baselines, smallest first.
pub const ALL: [Baseline; 6] = [
    Baseline {
        name: "axum-scratch",
        packages: None,
        program: Program::Axum(MUSL),
        argv: RUN,
        padding_bytes: 0,
    },
    Baseline {
        name: "axum-debian",
        packages: Some(&[]),
        program: Program::Axum(GNU),
        argv: RUN,
        padding_bytes: 0,
    },
    Baseline {
        name: "python-http",
        packages: Some(&["python3-minimal", "python3"]),
        program: Program::Script(HTTP_SERVER),
        argv: &["/usr/bin/python3", "/app/main"],
        padding_bytes: 0,
    },
    Baseline {
        name: "python-flask",
        packages: Some(&["python3-flask"]),
        program: Program::Script(FLASK),
        argv: &["/usr/bin/python3", "/app/main"],
        padding_bytes: 0,
    },
    Baseline {
        name: "node",
        packages: Some(&["nodejs"]),
        program: Program::Script(NODE),
        argv: &["/usr/bin/node", "/app/main"],
        padding_bytes: 0,
    },
    Baseline {
        name: "axum-250mib",
        packages: Some(&[]),
        program: Program::Axum(GNU),
        argv: RUN,
        padding_bytes: PADDING_BYTES,
    },
];

/// Why a baseline could not be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program is not installed.
    #[error("`{program}` is needed for the comparison images: {hint}")]
    Missing {
        /// Which program.
        program: &'static str,
        /// What to type.
        hint: &'static str,
    },
    /// A command failed.
    #[error("{what} failed: {last}")]
    Command {
        /// What was tried.
        what: String,
        /// The last lines that it printed.
        last: String,
    },
    /// A system call or a file failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The underlying error.
        source: io::Error,
    },
    /// The image cannot be read.
    #[error(transparent)]
    Image(#[from] microimage::image::ImageError),
}

impl Baseline {
    /// The image, from the cache below `folder` or built into it.
    ///
    /// # Errors
    /// [`Error`]: what is missing, or the last lines of the builder.
    pub fn image(&self, folder: &Path) -> Result<Image, Error> {
        let mut layers = Vec::new();
        if let Some(packages) = self.packages {
            layers.push(debian::layer(folder, packages)?);
        }
        let program = match self.program {
            Program::Script(text) => text.as_bytes().to_vec(),
            Program::Axum(target) => {
                let built = axum(folder, target)?;
                fs::read(&built).map_err(|source| io_error(&built, source))?
            }
        };
        let mut files = vec![("app/main", program)];
        if self.padding_bytes > 0 {
            files.push(("app/padding", noise(self.padding_bytes)));
        }
        layers.push(
            pack::layer(&files)
                .map_err(|source| Error::Io { what: "packing a layer".into(), source })?,
        );
        Ok(pack::image(self.name, layers, self.argv)?)
    }
}

/// Builds the axum baseline for a target; cargo keeps what it built.
fn axum(folder: &Path, target: &str) -> Result<PathBuf, Error> {
    // cargo runs in another folder
    let folder = std::path::absolute(folder).map_err(|e| io_error(folder, e))?;
    let source = folder.join("axum");
    for (name, text) in AXUM {
        let path = source.join(name);
        // An unchanged file keeps its time, so that cargo does not build it again.
        if fs::read_to_string(&path).is_ok_and(|found| found == text) {
            continue;
        }
        let parent = path.parent().unwrap_or(&source);
        fs::create_dir_all(parent)
            .and_then(|()| stage::write_file(&path, text.as_bytes()))
            .map_err(|e| io_error(&path, e))?;
    }
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--quiet", "--release", "--locked", "--target", target])
        .current_dir(&source);
    cargo.env("CARGO_TARGET_DIR", source.join("target")).env_remove("RUSTFLAGS");
    run(cargo, "cargo", "install Rust (`build/setup`)")?;
    Ok(source.join("target").join(target).join("release/axum-baseline"))
}

/// Bytes that cannot be compressed, the same each time.
fn noise(bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    fastrand::Rng::with_seed(250).fill(&mut noise);
    noise
}

/// Runs a builder; its output is shown only when it fails.
fn run(mut command: Command, program: &'static str, hint: &'static str) -> Result<(), Error> {
    let output = match command.stdin(Stdio::null()).output() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(Error::Missing { program, hint });
        }
        Err(source) => return Err(Error::Io { what: format!("starting `{program}`"), source }),
        Ok(output) => output,
    };
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = text.lines().rev().take(5).collect();
    Err(Error::Command {
        what: format!("`{program}`"),
        last: last.into_iter().rev().collect::<Vec<_>>().join(" | "),
    })
}

fn io_error(path: &Path, source: io::Error) -> Error {
    Error::Io { what: format!("`{}`", path.display()), source }
}
