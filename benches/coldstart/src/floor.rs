//! Floor program: built with any C compiler that can make a static executable here. Nothing is
//! downloaded; without a compiler there is no floor, and results state that.

use bench_kit::floor;
use microimage::assemble::{Options, assemble};
use microimage::context::FolderContext;
use microimage::image::Image;
use microimage::recipe::Recipe;
use microimage::scf;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Compilers to try: musl's start is the shortest; a static glibc is used without musl-tools.
const COMPILERS: [&str; 3] = ["musl-gcc", "cc", "gcc"];

/// Port of the floor program if `PORT` is not set: a function's port.
pub const PORT: u16 = scf::PORT;

/// The floor program that [`build`] left in `folder`, as an image.
///
/// # Errors
/// Why it cannot be assembled.
pub fn image(folder: &Path) -> Result<Image, String> {
    // For engines that run only images.
    let recipe = format!("FROM scratch\nCOPY floor /app\nEXPOSE {PORT}\nENTRYPOINT [\"/app\"]\n");
    let recipe = Recipe::parse(&recipe).map_err(|e| e.to_string())?;
    let context = FolderContext::open(folder).map_err(|e| e.to_string())?;
    let assembled = assemble(&recipe, &context, &Options::default()).map_err(|e| e.to_string())?;
    Ok(assembled.image)
}

/// Compiles the floor program into `folder`; `None` if no compiler can.
///
/// # Errors
/// If the source cannot be written there.
pub fn build(folder: &Path) -> io::Result<Option<PathBuf>> {
    let (source, program) = (folder.join("floor.c"), folder.join("floor"));
    fs::write(&source, floor::SOURCE)?;
    let built = COMPILERS.iter().any(|compiler| {
        let mut command = floor::compile(compiler, &source, &program);
        let done =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        done.is_ok_and(|status| status.success())
    });
    Ok(built.then_some(program))
}
