//! Referrers: the manifest of a document about an image, with the image as its `subject`, and the
//! index under the fallback tag, which lists such manifests if a registry has no referrers API. It
//! sends nothing. OCI distribution-spec 1.1, "Referrers Tag Schema"; image-spec 1.1, manifest.md,
//! "Guidelines for Artifact Usage".

use crate::digest::Digest;
use crate::image::{Descriptor, ImageError, media_type};
use crate::json;
use serde_json::{Value, json};

/// The media type of an empty configuration.
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
/// The content of an empty configuration.
pub(super) const EMPTY: &[u8] = b"{}";

/// A document about an image.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// Media type of the document's kind.
    pub artifact_type: &'static str,
    /// The file's name, for lists that people read.
    pub title: &'static str,
    /// The document.
    pub bytes: Vec<u8>,
}

/// The manifest of `attachment`, with the image that `subject` describes.
pub(super) fn manifest(subject: &Descriptor, attachment: &Attachment) -> Vec<u8> {
    json::canonical(&json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "artifactType": attachment.artifact_type,
        "config": {"mediaType": EMPTY_TYPE, "digest": Digest::of(EMPTY), "size": EMPTY.len()},
        "layers": [{
            "mediaType": attachment.artifact_type,
            "digest": Digest::of(&attachment.bytes),
            "size": attachment.bytes.len(),
            "annotations": {"org.opencontainers.image.title": attachment.title},
        }],
        "subject": {
            "mediaType": subject.media_type,
            "digest": subject.digest,
            "size": subject.size_bytes,
        },
    }))
}

/// The fallback tag of an image.
pub(super) fn tag(subject: Digest) -> String {
    format!("sha256-{}", subject.hex())
}

/// Adds `manifest` to the index under the fallback tag, unless it is there already. `known` is the
/// current index.
pub(super) fn index(
    known: Option<&[u8]>,
    manifest: &[u8],
    artifact_type: &str,
) -> Result<Vec<u8>, ImageError> {
    let digest = Digest::of(manifest);
    let mut manifests = Vec::new();
    if let Some(known) = known {
        let index: Value = serde_json::from_slice(known)
            .map_err(|error| ImageError::Manifest(error.to_string()))?;
        let listed = index.get("manifests").and_then(Value::as_array).ok_or_else(|| {
            ImageError::Manifest("the fallback tag of its referrers names no index".to_owned())
        })?;
        manifests = listed.clone();
    }
    if !manifests.iter().any(|known| known["digest"] == digest.to_string()) {
        manifests.push(json!({
            "mediaType": media_type::OCI_MANIFEST,
            "digest": digest,
            "size": manifest.len(),
            "artifactType": artifact_type,
        }));
    }
    Ok(json::canonical(&json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_INDEX,
        "manifests": manifests,
    })))
}
