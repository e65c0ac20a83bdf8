//! Page cache and placement of files, on systems other than Linux, where the bench measures
//! nothing.

use std::fs::File;
use std::io;
use std::path::Path;

/// Always `false`.
pub(super) fn has_left_memory(_file: &File) -> io::Result<bool> {
    Ok(false)
}

/// Does nothing.
pub(super) fn drop_pages(_file: &File) -> io::Result<()> {
    Ok(())
}

/// Always fails: these systems have no such flag.
pub(super) fn spread(_path: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
