//! Documents about an image beside it in the registry: manifests with a `subject`, found by the
//! referrers API or, where a registry lacks it, by the fallback tag. The image's own tag stays as
//! it is. OCI distribution-spec 1.1, "Pushing Manifests with Subject", "Referrers Tag Schema";
//! image-spec 1.1, manifest.md, "Guidelines for Artifact Usage".

use super::Registry;
use super::error::RegistryError;
use super::progress::Transfer;
use super::upload::Source;
use crate::digest::Digest;
use crate::image::{Descriptor, ImageError, media_type};
use crate::json;
use serde_json::{Value, json};

/// The media type of a configuration that says nothing, and its content.
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
const EMPTY: &[u8] = b"{}";

/// A document about an image.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// What kind of document it is, as a media type.
    pub artifact_type: &'static str,
    /// The file's name, for people who list what there is.
    pub title: &'static str,
    /// The document.
    pub bytes: Vec<u8>,
}

impl Registry {
    /// Pushes a document about the image that `subject` describes. Returns its digest.
    ///
    /// # Errors
    /// [`RegistryError`] with the step; the image and its tag are as they were.
    pub fn attach(
        &self,
        subject: &Descriptor,
        attachment: &Attachment,
    ) -> Result<Digest, RegistryError> {
        self.link.wants("pull,push", &[]);
        let document = Digest::of(&attachment.bytes);
        let size = attachment.bytes.len() as u64;
        let transfer = Transfer::new("pushing", 2, size + EMPTY.len() as u64, self.report.clone());
        for bytes in [attachment.bytes.as_slice(), EMPTY] {
            let source = Source::Bytes(bytes);
            self.push_blob(Digest::of(bytes), bytes.len() as u64, source, &transfer)?;
        }
        let manifest = json::canonical(&json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "artifactType": attachment.artifact_type,
            "config": {"mediaType": EMPTY_TYPE, "digest": Digest::of(EMPTY), "size": EMPTY.len()},
            "layers": [{
                "mediaType": attachment.artifact_type, "digest": document, "size": size,
                "annotations": {"org.opencontainers.image.title": attachment.title},
            }],
            "subject": {
                "mediaType": subject.media_type,
                "digest": subject.digest,
                "size": subject.size_bytes,
            },
        }));
        let digest = Digest::of(&manifest);
        let understood =
            self.put_manifest(&digest.to_string(), &manifest, media_type::OCI_MANIFEST)?;
        if !understood {
            self.list_under_tag(
                subject.digest,
                &json!({
                    "mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": manifest.len(),
                    "artifactType": attachment.artifact_type,
                }),
            )?;
        }
        Ok(digest)
    }

    /// Adds a descriptor to the index under the fallback tag, `sha256-…`.
    fn list_under_tag(&self, subject: Digest, descriptor: &Value) -> Result<(), RegistryError> {
        let tag = format!("sha256-{}", subject.hex());
        let mut manifests = match self.manifest(&tag) {
            Ok(known) => {
                let index: Value = serde_json::from_slice(&known)
                    .map_err(|error| ImageError::Manifest(error.to_string()))?;
                match index.get("manifests").and_then(Value::as_array) {
                    Some(manifests) => manifests.clone(),
                    None => return Err(RegistryError::TagTaken(tag)),
                }
            }
            Err(RegistryError::NotFound(_)) => Vec::new(),
            Err(error) => return Err(error),
        };
        let is_same = |known: &Value| known.get("digest") == descriptor.get("digest");
        if !manifests.iter().any(is_same) {
            manifests.push(descriptor.clone());
        }
        let index = json::canonical(&json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests,
        }));
        self.put_manifest(&tag, &index, media_type::OCI_INDEX)?;
        Ok(())
    }
}
