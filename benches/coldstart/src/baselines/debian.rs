//! Debian root filesystems by mmdebstrap, reduced as Debian's slim images are, compressed once and
//! kept.

use super::pack::{Layer, compressed};
use super::{Error, io_error, run};
use microimage::stage;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Paths that slim images leave out.
const LEFT_OUT: [&str; 4] =
    ["/usr/share/man/*", "/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*"];

/// The layer with the essential packages and these.
///
/// # Errors
/// mmdebstrap is not installed, or failed.
pub fn layer(folder: &Path, packages: &[&str]) -> Result<Layer, Error> {
    let name =
        std::iter::once("debian").chain(packages.iter().copied()).collect::<Vec<_>>().join("+");
    let cache = folder.join("debian");
    fs::create_dir_all(&cache).map_err(|e| io_error(&cache, e))?;
    let (kept, diff_id) =
        (cache.join(format!("{name}.tar.gz")), cache.join(format!("{name}.diff-id")));
    if let (Ok(bytes), Ok(diff_id)) = (fs::read(&kept), fs::read_to_string(&diff_id)) {
        return Ok(Layer { bytes, diff_id: diff_id.trim().to_owned() });
    }
    // Another run may make the same one: each in a folder of its own, removed at the end.
    let making = stage::Staging::private_folder(&kept).map_err(|e| io_error(&cache, e))?;
    let tar = making.path().join(format!("{name}.tar"));
    let mut command = Command::new("mmdebstrap");
    // The sandbox makes device files. The time is fixed, so that two builds give the same files.
    command
        .args(["--quiet", "--variant=essential", "--skip=output/dev"])
        .env("SOURCE_DATE_EPOCH", "0");
    command.args(LEFT_OUT.map(|path| format!("--dpkgopt=path-exclude={path}")));
    if !packages.is_empty() {
        command.arg(format!("--include={}", packages.join(",")));
    }
    command.arg(codename()).arg(&tar);
    run(command, "mmdebstrap", "install Debian's package mmdebstrap (`build/setup --baselines`)")?;
    let plain = fs::read(&tar).map_err(|e| io_error(&tar, e))?;
    let layer = compressed(&plain);
    stage::write_file(&kept, &layer.bytes).map_err(|e| io_error(&kept, e))?;
    stage::write_file(&diff_id, layer.diff_id.as_bytes()).map_err(|e| io_error(&diff_id, e))?;
    Ok(layer)
}

/// This machine's Debian release, so that a program linked here finds its libraries there.
fn codename() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.map_or_else(|| "stable".into(), |name| name.trim_matches('"').to_owned())
}
