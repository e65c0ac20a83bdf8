//! `docker load`: passes an image archive to Docker Engine through Docker's own client, which knows
//! the engine's address (context, DOCKER_HOST). It writes no archive.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why the image was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Docker's client is not installed.
    #[error(
        "`docker` cannot be run: {source}; install Docker's client, or load `{tar}` elsewhere with \
         `docker load --input`"
    )]
    Start {
        /// The archive.
        tar: PathBuf,
        /// The underlying I/O error.
        source: io::Error,
    },
    /// The engine refuses the archive or does not answer.
    #[error("`docker load` failed: {why}; check with `docker info` that the engine runs")]
    Refused {
        /// The client's own text.
        why: String,
    },
}

/// Loads `tar`.
///
/// # Errors
/// [`LoadError`].
pub fn into_docker(tar: &Path) -> Result<(), LoadError> {
    let output = Command::new("docker")
        .args(["load", "--quiet", "--input"])
        .arg(tar)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| LoadError::Start { tar: tar.to_owned(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let why = text.trim().chars().take(400).flat_map(char::escape_debug).collect();
    Err(LoadError::Refused { why })
}
