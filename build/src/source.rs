//! Loader of an image by the text that a user writes: an OCI layout, an archive, or a registry
//! reference. It chooses the reader and reads nothing itself.

use crate::archive::{self, ArchiveError};
use crate::image::Image;
use crate::layout::{self, FolderStore, LayoutError};
#[cfg(feature = "registry")]
use crate::registry::{
    self, Access, Credentials, Reference, Registry, RegistryError, RegistryPurpose,
};
use std::path::{Path, PathBuf};

/// Why an image could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The path does not exist.
    #[error(
        "`{0}` does not exist; name the folder of an image layout, an archive (`docker save -o \
         FILE NAME` writes one of Docker's images), or HOST/NAME:TAG of a registry, where Docker \
         Hub's host is docker.io; `just image` writes target/image/oci and target/image/docker.tar"
    )]
    Missing(PathBuf),
    /// The folder is not an OCI layout, or the layout is malformed.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The file is not an image archive, or the archive is malformed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The registry returned an error.
    #[cfg(feature = "registry")]
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// Loads the image at `place`: the folder of an OCI image layout or an archive file (docker-archive
/// or a tar of a layout), followed by `#NAME` if it contains several images, where NAME is a tag or
/// digest; or `HOST/NAME:TAG` from a registry, without credentials (the host has a dot, a port, or
/// is `localhost`).
///
/// # Errors
/// [`SourceError`]: the place does not exist, is not an image, or is malformed.
pub fn load(place: &str) -> Result<Image, SourceError> {
    match on_disk(place, "amd64") {
        Some(result) => result,
        #[cfg(feature = "registry")]
        None if names_a_host(place) => {
            Ok(Registry::new(registry::parse_reference(place)?, &Credentials::Anonymous)?
                .pull("amd64")?)
        }
        None => Err(SourceError::Missing(place.into())),
    }
}

/// [`load`] with the credentials that `credentials` returns for a registry. From an index of
/// several platforms it takes the manifest for `architecture`.
///
/// # Errors
/// [`SourceError`]: the place does not exist, is not an image, or is malformed.
#[cfg(feature = "registry")]
pub fn load_with(
    place: &str,
    architecture: &str,
    credentials: impl FnOnce(&str) -> Result<Credentials, RegistryError>,
) -> Result<Image, SourceError> {
    load_or(place, architecture, |reference| {
        let credentials = credentials(reference.resolve_registry())?;
        Registry::new(reference, &credentials)
    })
}

/// [`load`] with `access` for registries. From an index of several platforms it takes the manifest
/// for `architecture`.
///
/// # Errors
/// [`SourceError`]: the place does not exist, is not an image, or is malformed.
#[cfg(feature = "registry")]
pub fn load_through(
    place: &str,
    architecture: &str,
    access: &Access,
) -> Result<Image, SourceError> {
    load_or(place, architecture, |reference| {
        Ok(Registry::open(reference, access, RegistryPurpose::InPassing))
    })
}

/// Loads from the path, or otherwise from the registry to which `connect` connects.
#[cfg(feature = "registry")]
fn load_or(
    place: &str,
    architecture: &str,
    connect: impl FnOnce(Reference) -> Result<Registry, RegistryError>,
) -> Result<Image, SourceError> {
    match on_disk(place, architecture) {
        Some(result) => result,
        None if names_a_host(place) => {
            Ok(connect(registry::parse_reference(place)?)?.pull(architecture)?)
        }
        None => Err(SourceError::Missing(place.into())),
    }
}

/// The image at a path; `None` if the path does not exist.
fn on_disk(place: &str, architecture: &str) -> Option<Result<Image, SourceError>> {
    let (path, select) = match place.rsplit_once('#') {
        Some((path, select)) if !Path::new(place).exists() => (Path::new(path), Some(select)),
        _ => (Path::new(place), None),
    };
    if path.is_dir() {
        Some(
            layout::read(&FolderStore(path.to_owned()), select, architecture)
                .map_err(SourceError::from),
        )
    } else if path.exists() {
        Some(archive::read(path, select, architecture).map_err(SourceError::from))
    } else {
        None
    }
}

/// Whether text that is not a path names a registry: its first part is a host by Docker's rule.
#[cfg(feature = "registry")]
fn names_a_host(place: &str) -> bool {
    let place = place.strip_prefix("docker://").map_or(place, |rest| rest);
    let Some((host, _)) = place.split_once('/') else { return false };
    !host.is_empty()
        && !place.starts_with(['.', '/'])
        && (host == "localhost" || host.contains(['.', ':']))
}
