//! Where an image is loaded from, by what a person types: an OCI layout, an archive. It decides which reader to use and does
//! no reading of its own.

use crate::archive::{self, ArchiveError};
use crate::image::Image;
use crate::layout::{self, FolderStore, LayoutError};
use std::path::{Path, PathBuf};

/// Why no image could be loaded.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Nothing is there.
    #[error("`{0}` does not exist; `just image` writes target/image/oci and target/image/docker.tar")]
    Missing(PathBuf),
    /// The folder is no OCI layout, or a broken one.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The file is no image archive, or a broken one.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// Loads the image at `place`: the folder of an OCI image layout or an archive file (docker-archive or a tar of a layout),
/// followed by `#NAME` when it holds several images and NAME is a tag or digest.
///
/// # Errors
/// [`SourceError`]: nothing there, not an image, or broken.
pub fn load(place: &str) -> Result<Image, SourceError> {
    let (path, select) = match place.rsplit_once('#') {
        Some((path, select)) if !Path::new(place).exists() => (Path::new(path), Some(select)),
        _ => (Path::new(place), None),
    };
    if path.is_dir() {
        Ok(layout::read(&FolderStore(path.to_owned()), select)?)
    } else if path.exists() {
        Ok(archive::read(path, select)?)
    } else {
        Err(SourceError::Missing(path.to_owned()))
    }
}
