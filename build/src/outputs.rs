//! Output files of a build: an image layout, an archive for `docker load`, and image.json for
//! programs. Each appears complete or not at all. It builds nothing. docs/CONTRACTS.md, section 4,
//! has the fields of image.json.

use crate::archive::{self, ArchiveError};
use crate::assemble::Assembled;
use crate::digest::{DiffId, Digest};
use crate::layout::{self, LayoutError};
use crate::loadable::{LoadableError, loadable};
use crate::stage;
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};

/// The content of image.json.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Name and tag.
    pub reference: String,
    /// Further names; omitted if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub further_references: Vec<String>,
    /// For example `linux/amd64`.
    pub platform: String,
    /// The image's identity.
    pub manifest_digest: Digest,
    /// Digest of the configuration; Docker Engine calls it the image id.
    pub config_digest: Digest,
    /// The layers; images built here have one.
    pub layers: Vec<LayerSummary>,
    /// Size of the program, in bytes.
    pub elf_bytes: u64,
    /// Size of all layers as sent, in bytes.
    pub total_compressed_bytes: u64,
}

/// One layer in image.json.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerSummary {
    /// Digest of the compressed blob.
    pub digest: Digest,
    /// Digest of the tar.
    pub diff_id: DiffId,
    /// Size of the compressed blob, in bytes.
    pub compressed_bytes: u64,
    /// Size of the tar, in bytes.
    pub uncompressed_bytes: u64,
}

/// Why the outputs could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The layout was not written.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The archive was not written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The image could not be converted for the archive.
    #[error(transparent)]
    Loadable(#[from] LoadableError),
    /// image.json was not written.
    #[error("`{path}` cannot be written: {source}")]
    File {
        /// Path of the file.
        path: PathBuf,
        /// The underlying I/O error.
        source: io::Error,
    },
}

impl Summary {
    /// The content of image.json for an image that was just assembled.
    pub fn of(assembled: &Assembled) -> Summary {
        let image = &assembled.image;
        let layers = image.layers().iter().map(|layer| LayerSummary {
            digest: layer.descriptor().digest,
            diff_id: layer.diff_id(),
            compressed_bytes: layer.descriptor().size_bytes,
            uncompressed_bytes: assembled.layer_uncompressed_bytes,
        });
        Summary {
            reference: image.reference().unwrap_or_default().to_owned(),
            further_references: image.references().skip(1).map(str::to_owned).collect(),
            platform: format!("{}/{}", image.os(), image.architecture()),
            manifest_digest: image.manifest_digest(),
            config_digest: image.config_descriptor().digest,
            layers: layers.collect(),
            elf_bytes: assembled.program.size_bytes(),
            total_compressed_bytes: image.total_compressed_bytes(),
        }
    }
}

/// Writes `folder`/oci, `folder`/docker.tar and, last, `folder`/image.json.
///
/// # Errors
/// [`OutputError`]; files written before the error remain and are complete.
pub fn write(assembled: &Assembled, folder: &Path) -> Result<Summary, OutputError> {
    layout::write(&assembled.image, &folder.join("oci"))?;
    archive::write(&loadable(&assembled.image)?, &folder.join("docker.tar"))?;
    let summary = Summary::of(assembled);
    let path = folder.join("image.json");
    let mut text = serde_json::to_string_pretty(&summary).expect("our own type serialises");
    text.push('\n');
    stage::write_file(&path, text.as_bytes())
        .map_err(|source| OutputError::File { path, source })?;
    Ok(summary)
}
