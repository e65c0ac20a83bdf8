//! An image with an additional layer whose only file is a nonce: no node can have cached that
//! layer. Nodes may still have cached layers that other images share; the results note that.

use super::ledger::{Kind, LedgerError, LedgerFile};
use super::names::RunId;
use microimage::image::{Blob, Compression, Image, ImageError};
use microimage::layer::{self, Format, LayerError};
use microimage::registry::{self, Access, Registry, RegistryError, RegistryPurpose};
use microimage::rootfs::{Node, Rootfs};
use serde_json::Value;

/// Path of the nonce in the image; no program reads it.
const FILE: &str = "var/firstbyte-bench-nonce";

/// Why the image could not be made.
#[derive(Debug, thiserror::Error)]
pub enum NonceError {
    /// The registry refused a request or is unreachable.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The image cannot be assembled.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The layer cannot be made.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The ledger could not record the image, so the run did not push it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The image's own documents are invalid.
    #[error("the image's {0} has no {1}: it cannot be given a layer")]
    Document(&'static str, &'static str),
}

/// An image of the user's registry, with its content on this machine.
pub struct Original {
    image: Image,
    /// `HOST/NAMESPACE/NAME`.
    repository: String,
}

impl Original {
    /// Pulls the image.
    ///
    /// # Errors
    /// [`NonceError`]
    pub fn pull(reference: &str, access: &Access) -> Result<Self, NonceError> {
        let parsed = registry::parse_reference(reference)?;
        let repository = format!("{}/{}", parsed.registry(), parsed.repository());
        let image = Registry::open(parsed, access, RegistryPurpose::ByTarget).pull("amd64")?;
        Ok(Self { image, repository })
    }

    /// The image.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Pushes the image with a new nonce under a tag of this run; returns `HOST/NAME:TAG@sha256:…`.
    ///
    /// # Errors
    /// [`NonceError`]
    pub fn push(
        &self,
        run: &RunId,
        number: u64,
        access: &Access,
        ledger: &mut LedgerFile,
    ) -> Result<String, NonceError> {
        let image = with_nonce(&self.image, &format!("{} {number}\n", run.as_str()))?;
        let reference = format!("{}:{}", self.repository, run.tag(number));
        ledger.intend(Kind::Tag, &reference, None)?;
        let parsed = registry::parse_reference(&reference)?;
        let pinned = Registry::open(parsed, access, RegistryPurpose::ByTarget).push(&image)?;
        ledger.made(Kind::Tag, &reference)?;
        Ok(pinned)
    }
}

/// Adds one layer to the image.
fn with_nonce(image: &Image, nonce: &str) -> Result<Image, NonceError> {
    let mut rootfs = Rootfs::default();
    let file = Node::File { executable: false, content: nonce.as_bytes().into() };
    rootfs.insert(FILE, file).map_err(|_| NonceError::Document("layer", "place"))?;
    let docker = image.media_type().contains("docker");
    let format = if docker { Format::Docker } else { Format::Oci };
    let packed = layer::pack(&rootfs, 0, format, Compression::Gzip)?;
    let document = |what, bytes: &[u8]| {
        serde_json::from_slice::<Value>(bytes).map_err(|_| NonceError::Document(what, "JSON"))
    };
    let mut config = document("configuration", image.config_bytes())?;
    config
        .pointer_mut("/rootfs/diff_ids")
        .and_then(Value::as_array_mut)
        .ok_or(NonceError::Document("configuration", "DiffIDs"))?
        .push(packed.diff_id.to_string().into());
    if let Some(history) = config.get_mut("history").and_then(Value::as_array_mut) {
        history.push(serde_json::json!({ "comment": "a nonce of firstbyte's coldstart" }));
    }
    let config = config.to_string().into_bytes();
    let mut manifest = document("manifest", image.manifest_bytes())?;
    let sum = microimage::digest::Digest::of(&config).to_string();
    (manifest["config"]["digest"], manifest["config"]["size"]) = (sum.into(), config.len().into());
    let descriptor = &packed.descriptor;
    manifest
        .get_mut("layers")
        .and_then(Value::as_array_mut)
        .ok_or(NonceError::Document("manifest", "layers"))?
        .push(serde_json::json!({
            "mediaType": descriptor.media_type,
            "digest": descriptor.digest.to_string(),
            "size": descriptor.size_bytes,
        }));
    let known = image.layers();
    Ok(Image::from_parts(manifest.to_string().into_bytes(), config, |wanted| {
        match known.iter().find(|layer| layer.descriptor().digest == wanted.digest) {
            Some(layer) => {
                let layer = layer.clone();
                Blob::new(move || Ok(Box::new(layer.open()?)))
            }
            None => Blob::from_bytes(packed.bytes.clone()),
        }
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use microimage::digest::Digest;
    use microimage::image::media_type;
    use std::io::Read as _;

    #[test]
    fn one_layer_more_and_nothing_else_changes() {
        let tar = vec![0u8; 1024];
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "config": {"Entrypoint": ["/app"]},
            "rootfs": {"type": "layers", "diff_ids": [Digest::of(&tar).to_string()]},
        });
        let config = config.to_string().into_bytes();
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
            "config": {"mediaType": media_type::OCI_CONFIG, "digest": Digest::of(&config),
                "size": config.len()},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": Digest::of(&tar), "size": tar.len()}],
        });
        let bytes = manifest.to_string().into_bytes();
        let image = Image::from_parts(bytes, config, |_| Blob::from_bytes(tar.clone())).unwrap();
        let (one, other) = (with_nonce(&image, "1").unwrap(), with_nonce(&image, "2").unwrap());
        assert_ne!(one.manifest_digest(), other.manifest_digest());
        assert_eq!(one.layers().len(), 2);
        assert_eq!(one.layers()[0].descriptor(), image.layers()[0].descriptor());
        assert_eq!(one.argv(), ["/app"]);
        let mut packed = Vec::new();
        one.layers()[1].open().unwrap().read_to_end(&mut packed).unwrap();
        assert_eq!(packed.len() as u64, one.layers()[1].descriptor().size_bytes);
        assert_eq!(with_nonce(&image, "1").unwrap().manifest_digest(), one.manifest_digest());
    }
}
