//! Floor program: its source (floor.c) and its compiler command. The time of its start is due to
//! the machine and the bench, not to a function.

use std::path::Path;
use std::process::Command;

/// The program's source: the physical limit of a start on this machine.
pub const SOURCE: &str = include_str!("../floor.c");
/// The source's path, relative to the project's root.
pub const SOURCE_PATH: &str = "benches/kit/floor.c";

/// Flags that leave out position independence, relocations, section padding and symbols, so that
/// the program is as small as possible.
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
