//! Registry client: pushes and pulls an image. One manifest under one tag: an index or attestation
//! would cost every cold start a request. OCI distribution-spec 1.1; the token flow is Docker's
//! (distribution, "Token Authentication"). Plain HTTP is used for this machine, and for registries
//! that are marked as insecure.

mod address;
mod attempts;
mod auth_file;
mod challenge;
mod credentials;
mod download;
mod error;
mod identity;
mod link;
mod progress;
mod referrers;
mod tls;
mod trust;
mod upload;

pub use self::credentials::{Credentials, Found, Keychain, RegistryPurpose};
pub use self::error::{Login, RegistryError};
pub use self::progress::{Progress, Report};
pub use self::referrers::Attachment;
pub use self::trust::Trust;
pub use oci_spec::distribution::Reference;

use self::link::{Ask, Content, Link, Target, Verdict, chain, lock};
use self::progress::Transfer;
use self::trust::Configurations;
use self::upload::{Source, Upload};
use crate::archive::Section;
use crate::digest::Digest;
use crate::image::{self, Blob, Image, ImageError, MAX_JSON_BYTES, media_type};
use crate::json;
use crate::reference;
use oci_spec::image::ImageIndex;
use serde_json::json;
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use ureq::http::{Method, header};

/// The largest layer that the client pulls or pushes, in bytes: the largest image that any of the
/// platforms accepts.
pub const MAX_BLOB_BYTES: u64 = 10 << 30;
/// Number of concurrent blob transfers: about as many as in Docker.
const PARALLEL: usize = 4;
/// The supported media types of manifests.
const ACCEPTED: [&str; 4] = [
    media_type::OCI_MANIFEST,
    media_type::DOCKER_MANIFEST,
    media_type::OCI_INDEX,
    media_type::DOCKER_INDEX,
];

/// Parses `HOST/NAME:TAG`, `NAME:TAG` (Docker Hub) or one with a digest.
///
/// # Errors
/// [`RegistryError::Reference`].
pub fn parse_reference(text: &str) -> Result<Reference, RegistryError> {
    let text = text.strip_prefix("docker://").unwrap_or(text);
    reference::parse(text).map_err(|why| RegistryError::Reference {
        text: text.chars().take(200).collect(),
        why: why.to_owned(),
    })
}

/// Access to registries: credentials, trusted certificates, a report of progress.
#[derive(Clone, Default)]
pub struct Access {
    /// Sources of credentials.
    pub keychain: Keychain,
    /// Trusted certificates.
    pub trust: Trust,
    /// Called with the progress of each transfer.
    pub report: Option<Report>,
}

/// Creates an HTTP client with this crate's TLS: it trusts what the system and `trust` trust, and
/// uses the proxy of `config`. For services other than registries.
pub fn client(config: ureq::config::Config, trust: Trust) -> ureq::Agent {
    link::agent(config, Arc::new(Configurations::new(trust)))
}

/// A connection to the registry of one reference.
pub struct Registry {
    link: Link,
    reference: Reference,
    report: Option<Report>,
    /// Repositories of the same registry that may already have the blobs to push.
    mount_from: Vec<String>,
}

impl Registry {
    /// Prepares a connection for `reference` with fixed credentials; it trusts what the system
    /// trusts, and sends nothing yet.
    ///
    /// # Errors
    /// None at present: the first request reports problems.
    pub fn new(reference: Reference, credentials: &Credentials) -> Result<Registry, RegistryError> {
        let found = Found { credentials: credentials.clone(), origin: "the caller".to_owned() };
        let lookup = Box::new(move || Ok(found.clone()));
        let host = reference.resolve_registry();
        let link = Link::new(host, reference.repository(), Trust::default(), lookup);
        Ok(Registry { link, reference, report: None, mount_from: Vec::new() })
    }

    /// Prepares a connection for `reference` with the settings of `access`; reads and sends nothing
    /// yet.
    pub fn open(reference: Reference, access: &Access, asked: RegistryPurpose) -> Registry {
        let host = reference.resolve_registry().to_owned();
        let (keychain, registry) = (access.keychain.clone(), host.clone());
        let repository = reference.repository().to_owned();
        let lookup = Box::new(move || keychain.find(&registry, &repository, asked));
        let link = Link::new(&host, reference.repository(), access.trust.clone(), lookup);
        Registry { link, reference, report: access.report.clone(), mount_from: Vec::new() }
    }

    /// Takes blobs from `repository` of the same registry where it has them, instead of sending
    /// them again (distribution-spec, "Mounting a blob from another repository").
    pub fn mounting_from(mut self, repository: &str) -> Registry {
        if repository != self.reference.repository() {
            self.mount_from.push(repository.to_owned());
        }
        self
    }

    /// Pushes `image`: first the missing layers and configuration, last the manifest under the
    /// reference's tag. Returns the reference with its digest, the form that platforms pin.
    ///
    /// # Errors
    /// [`RegistryError`] with the step; the tag is then unchanged.
    pub fn push(&self, image: &Image) -> Result<String, RegistryError> {
        let tag = self.tag()?;
        self.link.wants("pull,push", &self.mount_from);
        self.push_blobs(image)?;
        self.put_manifest(tag, image.manifest_bytes(), image.media_type())?;
        Ok(self.pinned(image.manifest_digest()))
    }

    /// Pushes an index of `images`, one per platform, under the reference's tag, and the images by
    /// their digests. The tag must belong to the index: if it names a single manifest, some
    /// platform pulls it, so this function does not replace it.
    ///
    /// # Errors
    /// [`RegistryError`] with the step; the tag is then unchanged.
    pub fn push_index(&self, images: &[Image]) -> Result<String, RegistryError> {
        let tag = self.tag()?;
        let platform = |image: &Image| (image.os(), image.architecture());
        for (n, image) in images.iter().enumerate() {
            if images[..n].iter().any(|other| platform(other) == platform(image)) {
                let (os, architecture) = platform(image);
                return Err(ImageError::Manifest(format!(
                    "two images are for {os}/{architecture}; an index has one image per platform"
                ))
                .into());
            }
        }
        self.link.wants("pull,push", &self.mount_from);
        match self.manifest(tag) {
            Ok(known) if image::parse_manifest(&known).is_ok() => {
                return Err(RegistryError::TagTaken(self.reference.whole()));
            }
            Ok(_) | Err(RegistryError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        let mut manifests = Vec::new();
        for image in images {
            self.push_blobs(image)?;
            let digest = image.manifest_digest().to_string();
            self.put_manifest(&digest, image.manifest_bytes(), image.media_type())?;
            let descriptor = image.descriptor();
            manifests.push(json!({
                "mediaType": descriptor.media_type,
                "digest": descriptor.digest,
                "size": descriptor.size_bytes,
                "platform": {"os": image.os(), "architecture": image.architecture()},
            }));
        }
        let index = json::canonical(&json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_INDEX,
            "manifests": manifests,
        }));
        self.put_manifest(tag, &index, media_type::OCI_INDEX)?;
        Ok(self.pinned(Digest::of(&index)))
    }

    /// Pulls the image. Its layers go into unnamed temporary files, verified as they arrive. From
    /// an index it takes the manifest for linux/`architecture`.
    ///
    /// # Errors
    /// [`RegistryError`] with the step, for example for a digest or size mismatch.
    pub fn pull(&self, architecture: &str) -> Result<Image, RegistryError> {
        self.link.wants("pull", &[]);
        let name = self.reference.digest().or(self.reference.tag()).unwrap_or("latest");
        let mut manifest = self.manifest(name)?;
        let mut chosen = false;
        if let Ok(index) = serde_json::from_slice::<ImageIndex>(&manifest)
            && image::parse_manifest(&manifest).is_err()
        {
            manifest = self.manifest(&self.choose(&index, architecture)?)?;
            chosen = true;
        }
        let parsed = image::parse_manifest(&manifest)?;
        let config = image::descriptor(parsed.config())?;
        if config.size_bytes > MAX_JSON_BYTES {
            let why = format!("its configuration has {} bytes", config.size_bytes);
            return Err(ImageError::Limit(why).into());
        }
        let mut wanted = vec![(config.clone(), "the configuration".to_owned())];
        let mut seen = HashSet::from([config.digest]);
        for layer in parsed.layers() {
            let layer = image::descriptor(layer)?;
            let what = format!("layer `{}`", layer.digest);
            if layer.size_bytes > MAX_BLOB_BYTES {
                return Err(ImageError::Limit(format!(
                    "{what} has {} bytes, more than the limit of {MAX_BLOB_BYTES}",
                    layer.size_bytes
                ))
                .into());
            }
            if seen.insert(layer.digest) {
                wanted.push((layer, what));
            }
        }
        let bytes = wanted.iter().map(|(descriptor, _)| descriptor.size_bytes).sum();
        let transfer = Transfer::new("pulling", wanted.len(), bytes, self.report.clone());
        let files = in_parallel(&wanted, |(descriptor, what)| {
            let file = download::pull(&self.link, descriptor, what, &transfer)?;
            transfer.finished();
            Ok((descriptor.digest, Arc::new(file), descriptor.size_bytes))
        })?;
        let find = |wanted: Digest| {
            let known = files.iter().find(|(digest, ..)| *digest == wanted);
            known.map(|(_, file, size)| (Arc::clone(file), *size)).expect("each blob was pulled")
        };
        let mut config_bytes = Vec::new();
        let (file, size) = find(config.digest);
        Section::new(file, 0, size)
            .read_to_end(&mut config_bytes)
            .map_err(|source| RegistryError::Blob { what: "read", source })?;
        let image = Image::from_parts(manifest, config_bytes, |layer| {
            let (file, size) = find(layer.digest);
            Blob::new(move || Ok(Box::new(BufReader::with_capacity(1 << 16, section(&file, size)))))
        })?;
        let image = image.with_reference(self.reference.whole());
        Ok(if chosen { image.with_index() } else { image })
    }

    /// Pushes a document about the image that `subject` describes; the image's tag does not change.
    /// If the registry has no referrers API, the function lists the document under the fallback
    /// tag, `sha256-…`. Returns the digest of the document's manifest.
    ///
    /// # Errors
    /// [`RegistryError`] with the step; the image is unchanged.
    pub fn attach(
        &self,
        subject: &image::Descriptor,
        attachment: &Attachment,
    ) -> Result<Digest, RegistryError> {
        self.link.wants("pull,push", &[]);
        let bytes = (attachment.bytes.len() + referrers::EMPTY.len()) as u64;
        let transfer = Transfer::new("pushing", 2, bytes, self.report.clone());
        for bytes in [attachment.bytes.as_slice(), referrers::EMPTY] {
            let source = Source::Bytes(bytes);
            self.push_blob(Digest::of(bytes), bytes.len() as u64, source, &transfer)?;
        }
        let manifest = referrers::manifest(subject, attachment);
        let digest = Digest::of(&manifest);
        let has_api =
            self.put_manifest(&digest.to_string(), &manifest, media_type::OCI_MANIFEST)?;
        if !has_api {
            let tag = referrers::tag(subject.digest);
            let known = match self.manifest(&tag) {
                Ok(known) => Some(known),
                Err(RegistryError::NotFound(_)) => None,
                Err(error) => return Err(error),
            };
            let index = referrers::index(known.as_deref(), &manifest, attachment.artifact_type)?;
            self.put_manifest(&tag, &index, media_type::OCI_INDEX)?;
        }
        Ok(digest)
    }

    /// The tag to push to.
    fn tag(&self) -> Result<&str, RegistryError> {
        match (self.reference.tag(), self.reference.digest()) {
            (Some(tag), None) => Ok(tag),
            _ => Err(RegistryError::NoTag(self.reference.whole())),
        }
    }

    /// The reference with a digest, the form that platforms pin.
    fn pinned(&self, digest: Digest) -> String {
        format!("{}@{digest}", self.reference.whole())
    }

    /// Pushes the layers and the configuration that the registry lacks.
    fn push_blobs(&self, image: &Image) -> Result<(), RegistryError> {
        let config = image.config_descriptor();
        let mut seen = HashSet::from([config.digest]);
        let mut wanted = vec![(config, None)];
        for layer in image.layers() {
            let descriptor = layer.descriptor();
            if descriptor.size_bytes > MAX_BLOB_BYTES {
                return Err(ImageError::Limit(format!(
                    "layer `{}` has {} bytes",
                    descriptor.digest, descriptor.size_bytes
                ))
                .into());
            }
            if seen.insert(descriptor.digest) {
                wanted.push((descriptor, Some(layer)));
            }
        }
        let bytes = wanted.iter().map(|(descriptor, _)| descriptor.size_bytes).sum();
        let transfer = Transfer::new("pushing", wanted.len(), bytes, self.report.clone());
        in_parallel(&wanted, |(descriptor, layer)| {
            let source = match layer {
                Some(layer) => Source::Layer(layer),
                None => Source::Bytes(image.config_bytes()),
            };
            let (digest, size_bytes) = (descriptor.digest, descriptor.size_bytes);
            self.push_blob(digest, size_bytes, source, &transfer)
        })?;
        Ok(())
    }

    fn push_blob(
        &self,
        digest: Digest,
        size_bytes: u64,
        source: Source<'_>,
        transfer: &Transfer,
    ) -> Result<(), RegistryError> {
        let (link, mount_from) = (&self.link, self.mount_from.as_slice());
        Upload { link, digest, size_bytes, source, mount_from, transfer }.run()?;
        transfer.finished();
        Ok(())
    }

    /// Puts a manifest under a tag or its digest. Returns whether the registry has processed its
    /// `subject` (distribution-spec, "Pushing Manifests with Subject").
    fn put_manifest(
        &self,
        name: &str,
        bytes: &[u8],
        media_type: &str,
    ) -> Result<bool, RegistryError> {
        let step = "pushing the manifest";
        if header::HeaderValue::from_str(media_type).is_err() {
            let why = format!("invalid media type `{}`", media_type.escape_debug());
            return Err(ImageError::Manifest(why).into());
        }
        let path = format!("manifests/{name}");
        let mut ask = Ask::new(Method::PUT, Target::Path(&path))
            .header(header::CONTENT_TYPE, media_type)
            .content(Content::Bytes(bytes));
        let mut reply = self.link.send(step, &mut ask)?;
        if !(200..300).contains(&reply.status()) {
            return Err(self.link.unexpected(step, &mut reply));
        }
        let ours = Digest::of(bytes).to_string();
        if let Some(theirs) = reply.header("docker-content-digest").filter(|theirs| *theirs != ours)
        {
            let why = format!("it has other bytes: their digest is `{}`", theirs.escape_debug());
            return Err(self.link.step(step, why));
        }
        let understood = reply.header("oci-subject").is_some();
        reply.finish();
        Ok(understood)
    }

    /// Reads the manifest under a tag or digest, up to the largest size of a manifest; verifies it
    /// if requested by digest.
    fn manifest(&self, name: &str) -> Result<Vec<u8>, RegistryError> {
        let step = "pulling the manifest";
        let path = format!("manifests/{name}");
        let mut attempts = attempts::Attempts::new();
        let bytes = self.link.retried(step, &mut attempts, || {
            let mut ask = Ask::new(Method::GET, Target::Path(&path))
                .header(header::ACCEPT, ACCEPTED.join(", "));
            let mut reply = self.link.attempt(step, &mut ask)?;
            match reply.status() {
                200..=299 => {}
                404 => return Err(RegistryError::NotFound(self.reference.whole()).into()),
                401 | 403 => {
                    let why = reply.refusal();
                    return Err(self.link.denied(step, why, Verdict::Forbidden).into());
                }
                _ => return Err(self.link.unexpected(step, &mut reply).into()),
            }
            let bytes = reply
                .bytes(MAX_JSON_BYTES)
                .map_err(|error| link::Trouble::passing(chain(&error)))?
                .ok_or_else(|| {
                    let why = format!("its manifest has more than {MAX_JSON_BYTES} bytes");
                    RegistryError::from(ImageError::Limit(why))
                })?;
            Ok(bytes)
        })?;
        let found = Digest::of(&bytes).to_string();
        if name.contains(':') && name != found {
            let why = format!("its bytes have the digest `{found}`, not `{name}`");
            return Err(self.link.step(step, why));
        }
        Ok(bytes)
    }

    fn choose(&self, index: &ImageIndex, architecture: &str) -> Result<String, RegistryError> {
        let platform = |d: &oci_spec::image::Descriptor| {
            d.platform().as_ref().map_or_else(
                || "unknown".to_owned(),
                |p| format!("{}/{}", p.os(), p.architecture()),
            )
        };
        let wanted = format!("linux/{architecture}");
        match index.manifests().iter().find(|d| platform(d) == wanted) {
            Some(descriptor) => Ok(descriptor.digest().to_string()),
            None => Err(RegistryError::Platform {
                reference: self.reference.whole(),
                architecture: architecture.to_owned(),
                holds: index
                    .manifests()
                    .iter()
                    .take(20)
                    .map(platform)
                    .collect::<Vec<_>>()
                    .join(", "),
            }),
        }
    }
}

fn section(file: &Arc<File>, size: u64) -> Section {
    Section::new(Arc::clone(file), 0, size)
}

/// Runs `work` on each item, a few at a time, and returns the results in order. After an error it
/// starts no further item.
fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, RegistryError> + Sync,
) -> Result<Vec<R>, RegistryError> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    let done: Mutex<Vec<(usize, R)>> = Mutex::default();
    let worker = || {
        while lock(&failed).is_none() {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(n) else { return };
            match work(item) {
                Ok(result) => lock(&done).push((n, result)),
                Err(error) => {
                    lock(&failed).get_or_insert(error);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..PARALLEL.min(items.len()) {
            scope.spawn(worker);
        }
        worker();
    });
    if let Some(error) = failed.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
        return Err(error);
    }
    let mut done = done.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    done.sort_by_key(|(n, _)| *n);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}
