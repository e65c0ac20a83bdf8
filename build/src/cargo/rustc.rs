//! The compiler that cargo will use: its path and version, and whether the components that a build
//! needs are installed. It compiles nothing.

use super::CargoError;
use crate::elf::Architecture;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The compiler that cargo will use in a folder.
pub(super) struct Rustc {
    pub sysroot: PathBuf,
    pub commit: String,
    pub version: String,
}

impl Rustc {
    pub fn ask(folder: &Path) -> Result<Rustc, CargoError> {
        let run = |arguments: &[&str]| {
            let start = |source| CargoError::Start { program: "rustc".into(), source };
            let output = Command::new("rustc")
                .args(arguments)
                .current_dir(folder)
                .output()
                .map_err(start)?;
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let sysroot = PathBuf::from(run(&["--print", "sysroot"])?.trim());
        let verbose = run(&["-vV"])?;
        let field = |name: &str| {
            verbose.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("unknown").to_owned()
        };
        Ok(Rustc { sysroot, commit: field("commit-hash: "), version: field("release: ") })
    }

    /// The compiler's support routines as shipped, including those written in C. A recompiled
    /// standard library contains only those in Rust, and C code compiled by gcc may call
    /// `__popcountdi2`.
    pub fn compiled_builtins(&self, architecture: Architecture) -> Result<PathBuf, CargoError> {
        let target = architecture.rust_target();
        let folder = self.sysroot.join(format!("lib/rustlib/{target}/lib"));
        let files = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let found = files.into_iter().find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("libcompiler_builtins-") && name.ends_with(".rlib")
        });
        let what = format!("the Rust target `{target}`");
        found.ok_or_else(|| CargoError::NotInstalled {
            what,
            remedy: format!("rustup target add {target}"),
        })
    }

    pub fn require(&self, path: &str, what: &str, remedy: &str) -> Result<(), CargoError> {
        if self.sysroot.join(path).is_dir() {
            return Ok(());
        }
        Err(CargoError::NotInstalled { what: what.to_owned(), remedy: remedy.to_owned() })
    }
}
