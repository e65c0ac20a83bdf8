//! Programs of a comparison: our function from the root workspace, the floor from a C file, the
//! peers from their own workspace, and any ELF file that the user names. Each is built as its users
//! would build it and then copied, so that a later build cannot change it during a run.

use bench_kit::floor;
use cargo_metadata::Message;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The target for which all functions are built.
const TARGET: &str = "x86_64-unknown-linux-musl";

/// The peers' workspace, relative to the project's root.
const PEERS: &str = "benches/peers";

/// Name of the first program to which ratios are taken.
pub const FLOOR: &str = "floor";
/// Name of the second program to which ratios are taken.
pub const RIVAL: &str = "axum";
/// Our function.
pub const OURS: &str = "firstbyte";

/// The same function with its work inside `firstbyte::blocking`: a package of its own.
pub const OURS_BLOCKING: &str = "firstbyte-blocking-first";
/// The package of our function.
const OURS_PACKAGE: &str = "function-template";

/// Prefix of our function in another profile, as in `firstbyte-tiny`.
const OURS_IN: &str = "firstbyte-";
/// The other profiles (docs/profiles.md).
const PROFILES: [&str; 3] = ["hardened", "small", "tiny"];

/// Our functions that call out: the packages of examples/calls.
const OURS_CALLING: &str = "call-";
/// Their peers: the usual alternatives.
const CALLING_PEERS: &str = "axum-";

/// The programs of a full run, in the order of the table.
pub const ALL: [&str; 8] =
    [FLOOR, OURS, OURS_BLOCKING, "blocking", "hyper", RIVAL, "minihttp-tuned", "minihttp-default"];

/// Why a program is not available.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This folder is not the project's root.
    #[error("`{0}` not found; run the bench from the project's root")]
    Root(PathBuf),
    /// No program has this name.
    #[error(
        "unknown program `{0}`; use {list}, one of our profiles (firstbyte-hardened, -small, \
         -tiny), or name an ELF: `--program NAME=PATH`",
        list = ALL.join(", ")
    )]
    Unknown(String),
    /// The program to compare with is not in the run.
    #[error(
        "`--against {name}`: the programs of this run are {}; add it with `--program \
         {name}=PATH` or `--only`",
        there.join(", ")
    )]
    Absent {
        /// The requested name.
        name: String,
        /// The programs of the run.
        there: Vec<String>,
    },
    /// A tool cannot be run.
    #[error("cannot run `{command}`: {source}; run build/setup")]
    Tool {
        /// The command line.
        command: String,
        /// The underlying error.
        source: io::Error,
    },
    /// A program does not build.
    #[error("`{command}` failed:\n{output}")]
    Build {
        /// The command line.
        command: String,
        /// Its output.
        output: String,
    },
    /// A file cannot be copied.
    #[error("cannot copy `{path}`: {source}")]
    Copy {
        /// The file.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
}

/// A program that is ready to start.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its name on the command line and in the results.
    pub name: String,
    /// Absolute path of its copy.
    pub path: PathBuf,
    /// Size of the program file.
    pub elf_bytes: u64,
}

/// Checks that a program of this name is in the run, so that others can be compared with it.
///
/// # Errors
/// [`Error::Absent`], which lists the programs of the run.
pub fn require(programs: &[Program], name: &str) -> Result<(), Error> {
    let there: Vec<String> = programs.iter().map(|program| program.name.clone()).collect();
    if there.iter().any(|there| there == name) {
        return Ok(());
    }
    Err(Error::Absent { name: name.to_owned(), there })
}

/// Folders of the project.
#[derive(Debug, Clone)]
pub struct Places {
    /// The project's root.
    pub root: PathBuf,
    /// Cargo's target folder of the root workspace.
    pub target: PathBuf,
}

impl Places {
    /// The project in the current folder; `target` is CARGO_TARGET_DIR, if it is set.
    ///
    /// # Errors
    /// If the current folder is not the project's root.
    pub fn find(target: Option<PathBuf>) -> Result<Self, Error> {
        let root =
            std::path::absolute(".").map_err(|source| Error::Copy { path: ".".into(), source })?;
        if !root.join(PEERS).join("Cargo.toml").is_file() {
            return Err(Error::Root(PEERS.into()));
        }
        let target = root.join(target.unwrap_or_else(|| "target".into()));
        Ok(Self { root, target })
    }

    /// Builds the program of this name, and stages it.
    ///
    /// # Errors
    /// If the name is unknown, or the program does not build.
    pub fn build(&self, name: &str) -> Result<Program, Error> {
        let built = match name {
            FLOOR => self.floor()?,
            OURS => self.ours(OURS_PACKAGE, "fast", false)?,
            OURS_BLOCKING => self.ours(OURS_BLOCKING, "fast", false)?,
            _ if name.starts_with(OURS_IN) && PROFILES.contains(&&name[OURS_IN.len()..]) => {
                self.ours(OURS_PACKAGE, &name[OURS_IN.len()..], false)?
            }
            _ if name.starts_with(OURS_CALLING) => self.ours(name, "fast", false)?,
            peer if ALL.contains(&peer) || peer.starts_with(CALLING_PEERS) => self.cargo(
                &self.root.join(PEERS),
                &self.target.join("peers"),
                &format!("peer-{peer}"),
            )?,
            _ => return Err(Error::Unknown(name.into())),
        };
        self.stage(name, &built)
    }

    /// Our function with its symbols.
    ///
    /// # Errors
    /// If it does not build.
    pub fn build_with_symbols(&self) -> Result<Program, Error> {
        self.stage("firstbyte-with-symbols", &self.ours(OURS_PACKAGE, "fast", true)?)
    }

    /// Copies a program to the folder of started programs, and syncs it: dirty pages cannot be
    /// evicted.
    ///
    /// # Errors
    /// If it cannot be copied.
    pub fn stage(&self, name: &str, from: &Path) -> Result<Program, Error> {
        let path = self.target.join("start/programs").join(name);
        let copy = || {
            fs::create_dir_all(path.with_file_name(""))?;
            let elf_bytes = fs::copy(from, &path)?;
            File::open(&path)?.sync_all()?;
            Ok(elf_bytes)
        };
        let elf_bytes = copy().map_err(|source| Error::Copy { path: from.to_owned(), source })?;
        Ok(Program { name: name.into(), path, elf_bytes })
    }

    fn floor(&self) -> Result<PathBuf, Error> {
        let path = self.target.join("start/floor");
        fs::create_dir_all(path.with_file_name(""))
            .map_err(|source| Error::Copy { path: path.clone(), source })?;
        run(&mut floor::compile("musl-gcc", &self.root.join(floor::SOURCE_PATH), &path))?;
        Ok(path)
    }

    /// One of our functions as `just image` builds it, with ordered functions; plain cargo does not
    /// order them.
    fn ours(&self, package: &str, profile: &str, symbols: bool) -> Result<PathBuf, Error> {
        let mut command = Command::new(self.root.join("build/host"));
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        if symbols {
            command.env("CARGO_PROFILE_RELEASE_STRIP", "none");
        }
        command.args(["microimage", "image", package, "--stage-only", "--profile", profile]);
        let said = String::from_utf8_lossy(&run(&mut command)?).into_owned();
        said.lines()
            .find_map(|line| line.strip_prefix("staged"))
            .map(|path| PathBuf::from(path.trim()))
            .ok_or_else(|| Error::Build {
                command: "microimage image".into(),
                output: format!("no program in its output: {said}"),
            })
    }

    /// Builds one package in its workspace: the folder decides which .cargo/config.toml applies.
    fn cargo(&self, workspace: &Path, target: &Path, package: &str) -> Result<PathBuf, Error> {
        let mut command = Command::new("cargo");
        command.current_dir(workspace).env("CARGO_TARGET_DIR", target);
        command.args([
            "build",
            "--quiet",
            "--locked",
            "--release",
            "--target",
            TARGET,
            "--package",
            package,
        ]);
        let messages = run(command.arg("--message-format=json-render-diagnostics"))?;
        let built = Message::parse_stream(messages.as_slice()).filter_map(|message| match message
            .ok()?
        {
            Message::CompilerArtifact(artifact) => artifact.executable,
            _ => None,
        });
        built.last().map(PathBuf::from).ok_or_else(|| Error::Build {
            command: format!("cargo build --package {package}"),
            output: "cargo reported no program".into(),
        })
    }
}

/// Runs a command to its end; returns its standard output.
fn run(command: &mut Command) -> Result<Vec<u8>, Error> {
    let text = format!("{command:?}").replace('"', "");
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|source| Error::Tool { command: text.clone(), source })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Error::Build {
        command: text,
        output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_of_against_has_to_be_in_the_run() {
        let program = |name: &str| Program { name: name.into(), path: "x".into(), elf_bytes: 1 };
        let programs = [program("firstbyte"), program("old")];
        require(&programs, "old").expect("it is there");
        let error = require(&programs, "older").expect_err("it is not");
        assert_eq!(
            error.to_string(),
            "`--against older`: the programs of this run are firstbyte, old; add it with \
             `--program older=PATH` or `--only`"
        );
    }
}
