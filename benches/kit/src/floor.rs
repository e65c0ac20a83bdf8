//! The floor program's source (floor.c) and how it is compiled: what a start costs with it is the
//! machine's and the bench's, not a function's.

use std::path::Path;
use std::process::Command;

/// The program's source: the physical limit of a start on this machine.
pub const SOURCE: &str = include_str!("../floor.c");
/// The source, seen from the project's root.
pub const SOURCE_PATH: &str = "benches/kit/floor.c";

/// Without position independence, relocations, section padding and symbols: nothing smaller starts
/// here.
const FLAGS: [&str; 5] = [
    "-static",
    "-no-pie",
    "-Os",
    "-s",
    "-Wl,-z,noseparate-code,-z,norelro,--build-id=none,--gc-sections",
];

/// The command that compiles the file `source` into the file `program`.
pub fn compile(compiler: &str, source: &Path, program: &Path) -> Command {
    let mut command = Command::new(compiler);
    command.args(FLAGS).arg("-o").arg(program).arg(source);
    command
}
