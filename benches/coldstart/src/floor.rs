//! Builds the floor program (floor/floor.c) with whatever C compiler can make a static executable
//! here. Nothing is fetched; where no compiler is found, there is no floor, and results say so.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The program's source: the physical limit of a start on this machine.
pub const SOURCE: &str = include_str!("../floor/floor.c");
/// musl's start is the shortest; glibc's static one serves where musl-tools is missing.
const COMPILERS: [&str; 3] = ["musl-gcc", "cc", "gcc"];

/// Compiles the floor program into `folder`; `None` when no compiler can.
///
/// # Errors
/// When the source cannot be written there.
pub fn build(folder: &Path) -> io::Result<Option<PathBuf>> {
    let (source, program) = (folder.join("floor.c"), folder.join("floor"));
    fs::write(&source, SOURCE)?;
    let built = COMPILERS.iter().any(|compiler| {
        let mut command = Command::new(compiler);
        command.args(["-static", "-Os", "-s", "-o"]).arg(&program).arg(&source);
        let done = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        done.is_ok_and(|status| status.success())
    });
    Ok(built.then_some(program))
}
