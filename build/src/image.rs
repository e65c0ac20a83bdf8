//! Image as an immutable value: manifest bytes, configuration bytes, and layers, each with a
//! descriptor and a source of bytes. It opens nothing itself; sources ([`crate::source`]) create an
//! image, sinks ([`crate::layout`], [`crate::archive`]) write one. Its parts have been parsed once,
//! within limits, and are consistent. OCI image-spec 1.1: manifest.md, config.md; Docker's image
//! manifest version 2, schema 2.

mod blob;
pub mod media_type;

pub use blob::{Blob, Compression, Descriptor};

use crate::digest::{DiffId, Digest, VerifyingReader};
use oci_spec::image::{ImageConfiguration, ImageManifest};
use std::collections::BTreeSet;
use std::{io, io::Read, sync::Arc};

/// The largest manifest or configuration that is read, in bytes: what registries accept (OCI
/// distribution-spec 1.1, "Pushing Manifests").
pub const MAX_JSON_BYTES: u64 = 4 * 1024 * 1024;
/// Largest number of layers of an image; the kernel's overlay accepts fewer than this.
pub const MAX_LAYERS: usize = 512;

/// One layer: its entries in manifest and configuration, and its bytes.
#[derive(Clone, Debug)]
pub struct Layer {
    descriptor: Descriptor,
    diff_id: DiffId,
    blob: Blob,
}

impl Layer {
    /// Media type, digest and size of the compressed blob.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Digest of the uncompressed tar, from the configuration; it is verified only when the layer
    /// is unpacked.
    pub fn diff_id(&self) -> DiffId {
        self.diff_id
    }

    /// Opens the compressed bytes. The reader fails before end of file if size or digest differ
    /// from the descriptor.
    ///
    /// # Errors
    /// The source's error; a mismatch is reported while reading as [`io::ErrorKind::InvalidData`].
    pub fn open(&self) -> io::Result<VerifyingReader<Box<dyn Read + Send>>> {
        Ok(VerifyingReader::new(
            self.blob.open_unverified()?,
            self.descriptor.digest,
            self.descriptor.size_bytes,
        ))
    }
}

/// An image: immutable, cheap to clone, consistent (as many DiffIDs as layers; the configuration
/// has the digest in the manifest).
#[derive(Clone, Debug)]
pub struct Image(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    reference: Option<String>,
    further_references: Vec<String>,
    chosen_from_index: bool,
    media_type: String,
    manifest_bytes: Vec<u8>,
    manifest_digest: Digest,
    manifest: ImageManifest,
    config_bytes: Vec<u8>,
    config_descriptor: Descriptor,
    config: ImageConfiguration,
    layers: Vec<Layer>,
}

/// Why parts do not form an image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The manifest is not JSON of the expected form.
    #[error("the manifest is not an image manifest: {0}")]
    Manifest(String),
    /// The configuration is not JSON of the expected form.
    #[error("the image configuration cannot be read: {0}")]
    Config(String),
    /// Manifest or configuration exceed [`MAX_JSON_BYTES`], or there are more than [`MAX_LAYERS`]
    /// layers.
    #[error("the image exceeds a limit: {0}")]
    Limit(String),
    /// The configuration's digest is not the one in the manifest.
    #[error(
        "the image configuration is `{found}`, the manifest states `{promised}`; fetch the \
         image again"
    )]
    ConfigDigest {
        /// Digest of the actual bytes.
        found: Digest,
        /// Digest in the manifest.
        promised: Digest,
    },
    /// The numbers of DiffIDs and of layers differ.
    #[error(
        "the manifest has {layers} layers, the configuration {diff_ids} DiffIDs; the image is \
         broken, build it again"
    )]
    LayerCount {
        /// Number of layers in the manifest.
        layers: usize,
        /// Number of DiffIDs in the configuration.
        diff_ids: usize,
    },
    /// A digest inside manifest or configuration is malformed or of another algorithm.
    #[error(transparent)]
    Digest(#[from] crate::digest::DigestError),
}

impl Image {
    /// Makes an image from a manifest, its configuration and a source for each layer's bytes.
    ///
    /// # Errors
    /// [`ImageError`] if the parts exceed a limit, cannot be parsed or contradict each other.
    pub fn from_parts(
        manifest: Vec<u8>,
        config: Vec<u8>,
        mut blob_of: impl FnMut(&Descriptor) -> Blob,
    ) -> Result<Image, ImageError> {
        for (what, bytes) in [("the manifest", &manifest), ("the configuration", &config)] {
            if bytes.len() as u64 > MAX_JSON_BYTES {
                return Err(ImageError::Limit(format!(
                    "{what} has {} bytes, more than the limit of {MAX_JSON_BYTES}",
                    bytes.len()
                )));
            }
        }
        let parsed = parse_manifest(&manifest)?;
        let config_descriptor = descriptor(parsed.config())?;
        let found = Digest::of(&config);
        if found != config_descriptor.digest {
            return Err(ImageError::ConfigDigest { found, promised: config_descriptor.digest });
        }
        let parsed_config: ImageConfiguration =
            serde_json::from_slice(&config).map_err(|e| ImageError::Config(e.to_string()))?;
        let diff_ids = parsed_config.rootfs().diff_ids();
        if diff_ids.len() != parsed.layers().len() {
            return Err(ImageError::LayerCount {
                layers: parsed.layers().len(),
                diff_ids: diff_ids.len(),
            });
        }
        let mut layers = Vec::new();
        for (layer, diff_id) in parsed.layers().iter().zip(diff_ids) {
            let descriptor = descriptor(layer)?;
            let blob = blob_of(&descriptor);
            layers.push(Layer { descriptor, diff_id: DiffId(diff_id.parse()?), blob });
        }
        let media_type = match parsed.media_type() {
            Some(stated) => stated.to_string(),
            None => media_type::OCI_MANIFEST.to_owned(), // the field is optional in OCI only
        };
        Ok(Image(Arc::new(Parts {
            reference: None,
            further_references: Vec::new(),
            chosen_from_index: false,
            media_type,
            manifest_digest: Digest::of(&manifest),
            manifest_bytes: manifest,
            manifest: parsed,
            config_bytes: config,
            config_descriptor,
            config: parsed_config,
            layers,
        })))
    }

    /// Sets the image's name, for example `echo:latest`.
    pub fn with_reference(self, reference: impl Into<String>) -> Image {
        let mut parts = self.into_parts();
        parts.reference = Some(reference.into());
        Image(Arc::new(parts))
    }

    /// Sets further names, in addition to [`reference`](Image::reference).
    pub fn with_further_references(self, references: Vec<String>) -> Image {
        let mut parts = self.into_parts();
        parts.further_references = references;
        Image(Arc::new(parts))
    }

    /// Marks the image as chosen from an index of several platforms.
    pub fn with_index(self) -> Image {
        let mut parts = self.into_parts();
        parts.chosen_from_index = true;
        Image(Arc::new(parts))
    }

    fn into_parts(self) -> Parts {
        Arc::try_unwrap(self.0).unwrap_or_else(|shared| shared.copy())
    }

    /// The name under which the image was found or built, if it has one.
    pub fn reference(&self) -> Option<&str> {
        self.0.reference.as_deref()
    }

    /// Every name of the image, beginning with the one under which it was found or built.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        self.reference().into_iter().chain(self.0.further_references.iter().map(String::as_str))
    }

    /// Whether the image was found under the name of an index of several platforms.
    pub fn chosen_from_index(&self) -> bool {
        self.0.chosen_from_index
    }

    /// Media type of the manifest: OCI's or Docker's.
    pub fn media_type(&self) -> &str {
        &self.0.media_type
    }

    /// The manifest, byte for byte.
    pub fn manifest_bytes(&self) -> &[u8] {
        &self.0.manifest_bytes
    }

    /// Digest of the manifest: the image's identity.
    pub fn manifest_digest(&self) -> Digest {
        self.0.manifest_digest
    }

    /// The parsed manifest.
    pub fn manifest(&self) -> &ImageManifest {
        &self.0.manifest
    }

    /// The manifest's descriptor, as an index or a layout lists it.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor {
            media_type: self.0.media_type.clone(),
            digest: self.0.manifest_digest,
            size_bytes: self.0.manifest_bytes.len() as u64,
        }
    }

    /// The configuration, byte for byte.
    pub fn config_bytes(&self) -> &[u8] {
        &self.0.config_bytes
    }

    /// Media type, digest and size of the configuration.
    pub fn config_descriptor(&self) -> &Descriptor {
        &self.0.config_descriptor
    }

    /// The parsed configuration.
    pub fn config(&self) -> &ImageConfiguration {
        &self.0.config
    }

    /// The layers, lowest first.
    pub fn layers(&self) -> &[Layer] {
        &self.0.layers
    }

    /// The entrypoint; empty if the image has none.
    pub fn entrypoint(&self) -> &[String] {
        self.run_config().and_then(|c| c.entrypoint().as_deref()).unwrap_or_default()
    }

    /// The default arguments; empty if the image has none.
    pub fn cmd(&self) -> &[String] {
        self.run_config().and_then(|c| c.cmd().as_deref()).unwrap_or_default()
    }

    /// The executed command line: the entrypoint, then the default arguments.
    pub fn argv(&self) -> Vec<String> {
        [self.entrypoint(), self.cmd()].concat()
    }

    /// Environment as `NAME=value`, in the image's order.
    pub fn env(&self) -> &[String] {
        self.run_config().and_then(|c| c.env().as_deref()).unwrap_or_default()
    }

    /// Working directory; `/` if the image has none.
    pub fn working_dir(&self) -> &str {
        let stated = self.run_config().and_then(|c| c.working_dir().as_deref()).unwrap_or_default();
        if stated.is_empty() { "/" } else { stated }
    }

    /// User (and group) as in the configuration, for example `65532:65532`; empty if it has none,
    /// which means root.
    pub fn user(&self) -> &str {
        self.run_config().and_then(|c| c.user().as_deref()).unwrap_or_default()
    }

    /// Ports as in the configuration, for example `9000/tcp`, sorted.
    pub fn exposed_ports(&self) -> Vec<String> {
        let mut ports =
            self.run_config().and_then(|c| c.exposed_ports().clone()).unwrap_or_default();
        ports.sort();
        ports
    }

    /// The TCP ports among them, in ascending order: `9000/tcp`, `9000`, and each of
    /// `8000-8002/tcp`
    /// (image-spec, config.md, ExposedPorts: the default protocol is TCP).
    pub fn tcp_ports(&self) -> Vec<u16> {
        let mut ports = BTreeSet::new();
        for text in self.exposed_ports() {
            let (range, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            if let (true, Ok(first), Ok(last)) =
                (protocol.eq_ignore_ascii_case("tcp"), first.parse::<u16>(), last.parse::<u16>())
            {
                ports.extend(first.max(1)..=last);
            }
        }
        ports.into_iter().collect()
    }

    /// Labels, sorted by name.
    pub fn labels(&self) -> Vec<(&str, &str)> {
        sorted_pairs(self.run_config().and_then(|c| c.labels().as_ref()))
    }

    /// The manifest's annotations, sorted by name.
    pub fn annotations(&self) -> Vec<(&str, &str)> {
        sorted_pairs(self.0.manifest.annotations().as_ref())
    }

    /// Architecture by Go's name, for example `amd64`.
    pub fn architecture(&self) -> String {
        self.0.config.architecture().to_string()
    }

    /// Operating system by Go's name, for example `linux`.
    pub fn os(&self) -> String {
        self.0.config.os().to_string()
    }

    /// Size of all layers as stored and sent, in bytes: platforms limit this size.
    pub fn total_compressed_bytes(&self) -> u64 {
        self.0.layers.iter().map(|l| l.descriptor.size_bytes).sum()
    }

    fn run_config(&self) -> Option<&oci_spec::image::Config> {
        self.0.config.config().as_ref()
    }
}

impl Parts {
    fn copy(&self) -> Parts {
        Parts {
            reference: self.reference.clone(),
            further_references: self.further_references.clone(),
            chosen_from_index: self.chosen_from_index,
            media_type: self.media_type.clone(),
            manifest_bytes: self.manifest_bytes.clone(),
            manifest_digest: self.manifest_digest,
            manifest: self.manifest.clone(),
            config_bytes: self.config_bytes.clone(),
            config_descriptor: self.config_descriptor.clone(),
            config: self.config.clone(),
            layers: self.layers.clone(),
        }
    }
}

/// Parses an image manifest within limits.
///
/// # Errors
/// [`ImageError`] if it is not a manifest; the message says so if it is an index.
pub fn parse_manifest(bytes: &[u8]) -> Result<ImageManifest, ImageError> {
    let manifest: ImageManifest = serde_json::from_slice(bytes).map_err(|e| {
        let index = serde_json::from_slice::<oci_spec::image::ImageIndex>(bytes).is_ok();
        let what = if index {
            "it is an index of several platforms; name one manifest by its digest".to_owned()
        } else {
            e.to_string()
        };
        ImageError::Manifest(what)
    })?;
    if manifest.schema_version() != 2 {
        return Err(ImageError::Manifest(format!(
            "schemaVersion is {}, only 2 is supported",
            manifest.schema_version()
        )));
    }
    if manifest.layers().len() > MAX_LAYERS {
        return Err(ImageError::Limit(format!(
            "{} layers, more than the limit of {MAX_LAYERS}",
            manifest.layers().len()
        )));
    }
    Ok(manifest)
}

/// The manifest's entry for one blob, with a digest that can be verified.
///
/// # Errors
/// [`ImageError::Digest`] if the digest uses an unknown algorithm.
pub fn descriptor(stated: &oci_spec::image::Descriptor) -> Result<Descriptor, ImageError> {
    Ok(Descriptor {
        media_type: stated.media_type().to_string(),
        digest: stated.digest().to_string().parse()?,
        size_bytes: stated.size(),
    })
}

fn sorted_pairs(map: Option<&std::collections::HashMap<String, String>>) -> Vec<(&str, &str)> {
    let mut pairs: Vec<_> =
        map.into_iter().flatten().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    pairs.sort_unstable();
    pairs
}
