//! A registry, to push an image to and to pull one from. One manifest under one tag: no index and
//! no attestation, which would cost every cold start a request. OCI distribution-spec 1.1; the
//! token flow is Docker's (distribution, "Token Authentication"). Plain HTTP is spoken to this
//! machine only.

mod challenge;
mod credentials;
mod error;
mod spool;

pub use self::credentials::{Credentials, docker_credentials};
pub use self::error::RegistryError;

use self::spool::Spool;
use crate::archive::Section;
use crate::digest::Digest;
use crate::image::{self, Blob, Image, ImageError, MAX_JSON_BYTES, media_type};
use crate::json;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use oci_spec::image::ImageIndex;
use serde_json::json;
use std::fs::File;
use std::io::{BufReader, Read};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The largest layer that is pulled or pushed, in bytes: the largest image that any of the
/// platforms takes.
pub const MAX_BLOB_BYTES: u64 = 10 << 30;
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a registry may be silent.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Parses `HOST/NAME:TAG`, `NAME:TAG` (Docker Hub) or one with a digest.
///
/// # Errors
/// [`RegistryError::Reference`].
pub fn parse_reference(text: &str) -> Result<Reference, RegistryError> {
    let text = text.strip_prefix("docker://").unwrap_or(text);
    text.parse().map_err(|e: oci_client::ParseError| RegistryError::Reference {
        text: text.chars().take(200).collect(),
        why: e.to_string(),
    })
}

/// A layer is sent in pieces of this many bytes, so that no more of it is in memory.
const PIECE_BYTES: usize = 8 << 20;
/// How much of a refusal is read, in bytes.
const MAX_REFUSAL_BYTES: u64 = 16 << 10;
const USER_AGENT: &str = concat!("microimage/", env!("CARGO_PKG_VERSION"));

/// A connection to the registry of one reference.
pub struct Registry {
    runtime: tokio::runtime::Runtime,
    client: Client,
    /// For what the library reads without a bound, or would send a secret for without a look.
    http: reqwest::Client,
    auth: RegistryAuth,
    reference: Reference,
}

impl Registry {
    /// Prepares to talk about `reference`; nothing is sent yet.
    ///
    /// # Errors
    /// [`RegistryError`] when the system gives no event loop or no root certificates.
    pub fn new(reference: Reference, credentials: &Credentials) -> Result<Registry, RegistryError> {
        // Who came first has chosen, which is as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let host = reference.resolve_registry().to_owned();
        let failed = |why: String| RegistryError::Step {
            registry: host.clone(),
            step: "preparing".into(),
            why,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| failed(e.to_string()))?;
        let config = ClientConfig {
            protocol: if is_loopback(&host) {
                ClientProtocol::HttpsExcept(vec![host.clone()])
            } else {
                ClientProtocol::Https
            },
            connect_timeout: Some(CONNECT_TIMEOUT),
            read_timeout: Some(READ_TIMEOUT),
            user_agent: USER_AGENT,
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|e| failed(chain(&e)))?;
        let auth = match credentials {
            Credentials::Anonymous => RegistryAuth::Anonymous,
            Credentials::Basic { username, password } => {
                RegistryAuth::Basic(username.clone(), password.clone())
            }
        };
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .user_agent(USER_AGENT)
            .build()
            .map_err(|e| failed(chain(&e)))?;
        Ok(Registry { runtime, client, http, auth, reference })
    }

    /// Pushes `image`: what is missing of layers and configuration first, the manifest under the
    /// reference's tag last. Returns the reference with its digest, the form that platforms pin.
    ///
    /// # Errors
    /// [`RegistryError`] with the step; the tag then still names what it named.
    pub fn push(&self, image: &Image) -> Result<String, RegistryError> {
        self.require_tag()?;
        self.runtime.block_on(async {
            self.authorize(RegistryOperation::Push).await?;
            self.push_blobs(image).await?;
            self.put_manifest(&self.reference, image.manifest_bytes(), image.media_type()).await?;
            Ok(self.pinned(image.manifest_digest()))
        })
    }

    /// Pushes an index of `images`, one a platform, under the reference's tag, and the images by
    /// their digests. The tag must be the index's own: one that names a single manifest is what
    /// some platform pulls, and stays as it is.
    ///
    /// # Errors
    /// [`RegistryError`] with the step; the tag then still names what it named.
    pub fn push_index(&self, images: &[Image]) -> Result<String, RegistryError> {
        self.require_tag()?;
        let platform = |image: &Image| (image.os(), image.architecture());
        for (n, image) in images.iter().enumerate() {
            if images[..n].iter().any(|other| platform(other) == platform(image)) {
                let (os, architecture) = platform(image);
                return Err(ImageError::Manifest(format!(
                    "two images are for {os}/{architecture}; an index names one a platform"
                ))
                .into());
            }
        }
        self.runtime.block_on(async {
            let access = self.authorize(RegistryOperation::Push).await?;
            match self.manifest(&self.reference, &access).await {
                Ok(known) if image::parse_manifest(&known).is_ok() => {
                    return Err(RegistryError::TagTaken(self.reference.whole()));
                }
                Ok(_) | Err(RegistryError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
            let mut manifests = Vec::new();
            for image in images {
                self.push_blobs(image).await?;
                let digest = image.manifest_digest().to_string();
                let by_digest = self.reference.clone_with_digest(digest);
                self.put_manifest(&by_digest, image.manifest_bytes(), image.media_type()).await?;
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
            self.put_manifest(&self.reference, &index, media_type::OCI_INDEX).await?;
            Ok(self.pinned(Digest::of(&index)))
        })
    }

    /// Pulls the image. Its layers go into unnamed temporary files, verified as they arrive. Of an
    /// index the manifest for linux/`architecture` is taken.
    ///
    /// # Errors
    /// [`RegistryError`] with the step, a digest or size mismatch among them.
    pub fn pull(&self, architecture: &str) -> Result<Image, RegistryError> {
        self.runtime.block_on(async {
            let access = self.authorize(RegistryOperation::Pull).await?;
            let mut manifest = self.manifest(&self.reference, &access).await?;
            let mut chosen = false;
            if let Ok(index) = serde_json::from_slice::<ImageIndex>(&manifest)
                && image::parse_manifest(&manifest).is_err()
            {
                let digest = self.choose(&index, architecture)?;
                manifest =
                    self.manifest(&self.reference.clone_with_digest(digest), &access).await?;
                chosen = true;
            }
            let parsed = image::parse_manifest(&manifest)?;
            let config = image::descriptor(parsed.config())?;
            if config.size_bytes > MAX_JSON_BYTES {
                return Err(ImageError::Limit(format!(
                    "its configuration has {} bytes",
                    config.size_bytes
                ))
                .into());
            }
            let mut config_bytes = Vec::new();
            let (file, size) = self.pull_blob(&config, "the configuration").await?;
            section(&file, size)
                .read_to_end(&mut config_bytes)
                .map_err(|source| RegistryError::Blob { what: "read", source })?;
            let mut blobs = Vec::new();
            for layer in parsed.layers() {
                let layer = image::descriptor(layer)?;
                let (file, size) =
                    self.pull_blob(&layer, &format!("layer `{}`", layer.digest)).await?;
                blobs.push((layer.digest, file, size));
            }
            let image = Image::from_parts(manifest, config_bytes, |layer| {
                let (_, file, size) = blobs
                    .iter()
                    .find(|(digest, ..)| *digest == layer.digest)
                    .expect("each layer was pulled");
                let (file, size) = (Arc::clone(file), *size);
                Blob::new(move || {
                    Ok(Box::new(BufReader::with_capacity(1 << 16, section(&file, size))))
                })
            })?;
            let image = image.with_reference(self.reference.whole());
            Ok(if chosen { image.with_index() } else { image })
        })
    }

    fn require_tag(&self) -> Result<(), RegistryError> {
        if self.reference.tag().is_none() || self.reference.digest().is_some() {
            return Err(RegistryError::NoTag(self.reference.whole()));
        }
        Ok(())
    }

    /// The reference with a digest, the form that platforms pin.
    fn pinned(&self, digest: Digest) -> String {
        format!("{}@{digest}", self.reference.whole())
    }

    /// Pushes what the registry does not have of layers and configuration.
    async fn push_blobs(&self, image: &Image) -> Result<(), RegistryError> {
        for layer in image.layers() {
            let descriptor = layer.descriptor();
            if descriptor.size_bytes > MAX_BLOB_BYTES {
                return Err(ImageError::Limit(format!(
                    "layer `{}` has {} bytes",
                    descriptor.digest, descriptor.size_bytes
                ))
                .into());
            }
            if !self.has(descriptor.digest).await? {
                let reader =
                    layer.open().map_err(|source| RegistryError::Blob { what: "read", source })?;
                if descriptor.size_bytes <= PIECE_BYTES as u64 {
                    let mut reader = reader;
                    let mut bytes = Vec::new();
                    reader
                        .read_to_end(&mut bytes)
                        .map_err(|source| RegistryError::Blob { what: "read", source })?;
                    self.push_blob(bytes, descriptor.digest).await?;
                } else {
                    self.push_pieces(reader, descriptor.digest).await?;
                }
            }
        }
        let config = image.config_descriptor().digest;
        if !self.has(config).await? {
            self.push_blob(image.config_bytes().to_vec(), config).await?;
        }
        Ok(())
    }

    async fn put_manifest(
        &self,
        reference: &Reference,
        bytes: &[u8],
        media_type: &str,
    ) -> Result<(), RegistryError> {
        let header = http::HeaderValue::from_str(media_type).map_err(|_| {
            ImageError::Manifest(format!("its media type `{}` is none", media_type.escape_debug()))
        })?;
        let result = self.client.push_manifest_raw(reference, bytes.to_vec(), header).await;
        result.map(drop).map_err(|e| self.error("pushing the manifest".to_owned(), e))
    }

    /// Asks for a token, or finds that none is needed. The name and the password go where the
    /// registry says, over TLS or on this machine, and nowhere else.
    async fn authorize(&self, operation: RegistryOperation) -> Result<Access, RegistryError> {
        let step = || "asking for a token".to_owned();
        let mut wants_basic = false;
        if let RegistryAuth::Basic(..) = &self.auth {
            let url = format!("{}/v2/", self.base());
            let reply =
                self.http.get(&url).send().await.map_err(|e| self.error(step(), e.into()))?;
            for header in reply.headers().get_all(http::header::WWW_AUTHENTICATE) {
                let challenge = String::from_utf8_lossy(header.as_bytes());
                if let Some(realm) = challenge::open_realm(&challenge) {
                    let registry = self.reference.resolve_registry().to_owned();
                    return Err(RegistryError::Realm { registry, realm });
                }
                wants_basic = true;
            }
        }
        let result = self.client.auth(&self.reference, &self.auth, operation).await;
        match (result.map_err(|e| self.error(step(), e))?, &self.auth) {
            (Some(token), _) => Ok(Access::Bearer(token)),
            (None, RegistryAuth::Basic(name, password)) if wants_basic => {
                Ok(Access::Basic(name.clone(), password.clone()))
            }
            _ => Ok(Access::Open),
        }
    }

    /// Scheme and host of the registry.
    fn base(&self) -> String {
        let host = self.reference.resolve_registry();
        format!("{}://{host}", if is_loopback(host) { "http" } else { "https" })
    }

    async fn has(&self, digest: Digest) -> Result<bool, RegistryError> {
        let result = self.client.blob_exists(&self.reference, &digest.to_string()).await;
        result.map_err(|e| self.error(format!("looking for blob `{digest}`"), e))
    }

    async fn push_blob(&self, bytes: Vec<u8>, digest: Digest) -> Result<(), RegistryError> {
        let result = self.client.push_blob(&self.reference, bytes, &digest.to_string()).await;
        result.map(drop).map_err(|e| self.error(format!("pushing blob `{digest}`"), e))
    }

    /// Sends a layer piece by piece; the reader verifies it on the way, so that a damaged one is
    /// never finished.
    async fn push_pieces(
        &self,
        mut reader: impl Read + Send + 'static,
        digest: Digest,
    ) -> Result<(), RegistryError> {
        let pieces = std::iter::from_fn(move || {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            match (&mut reader).take(PIECE_BYTES as u64).read_to_end(&mut piece) {
                Ok(0) => None,
                Ok(_) => Some(Ok(bytes::Bytes::from(piece))),
                Err(error) => Some(Err(OciDistributionError::from(error))),
            }
        });
        let stream = futures_util::stream::iter(pieces);
        let result =
            self.client.push_blob_stream(&self.reference, stream, &digest.to_string(), None).await;
        result.map(drop).map_err(|e| self.error(format!("pushing blob `{digest}`"), e))
    }

    /// A manifest's bytes, no more of them than a manifest may have; by digest they are verified
    /// here.
    async fn manifest(
        &self,
        reference: &Reference,
        access: &Access,
    ) -> Result<Vec<u8>, RegistryError> {
        let accepted = [
            media_type::OCI_MANIFEST,
            media_type::DOCKER_MANIFEST,
            media_type::OCI_INDEX,
            media_type::DOCKER_INDEX,
        ];
        let step = || "pulling the manifest".to_owned();
        let name = reference.digest().or(reference.tag()).unwrap_or("latest");
        let url = format!("{}/v2/{}/manifests/{name}", self.base(), reference.repository());
        let request = self.http.get(&url).header(http::header::ACCEPT, accepted.join(", "));
        let request = match access {
            Access::Open => request,
            Access::Bearer(token) => request.bearer_auth(token),
            Access::Basic(name, password) => request.basic_auth(name, Some(password)),
        };
        let mut reply = request.send().await.map_err(|e| self.error(step(), e.into()))?;
        let status = reply.status();
        let limit = if status.is_success() { MAX_JSON_BYTES } else { MAX_REFUSAL_BYTES };
        let mut bytes = Vec::new();
        while let Some(piece) = reply.chunk().await.map_err(|e| self.error(step(), e.into()))? {
            if (bytes.len() + piece.len()) as u64 > limit {
                if !status.is_success() {
                    break;
                }
                return Err(
                    ImageError::Limit(format!("its manifest has more than {limit} bytes")).into()
                );
            }
            bytes.extend_from_slice(&piece);
        }
        if !status.is_success() {
            let said = String::from_utf8_lossy(&bytes)
                .chars()
                .take(300)
                .flat_map(char::escape_debug)
                .collect::<String>();
            let (registry, why) =
                (self.reference.resolve_registry().to_owned(), format!("status {status}: {said}"));
            return Err(match status.as_u16() {
                401 | 403 => RegistryError::Denied { registry, step: step(), why },
                404 => RegistryError::NotFound(self.reference.whole()),
                _ => RegistryError::Step { registry, step: step(), why },
            });
        }
        let found = Digest::of(&bytes);
        if let Some(wanted) = reference.digest()
            && wanted != found.to_string()
        {
            return Err(self.step(
                "pulling the manifest".into(),
                format!("its bytes have the digest `{found}`, not `{wanted}`"),
            ));
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

    async fn pull_blob(
        &self,
        descriptor: &image::Descriptor,
        what: &str,
    ) -> Result<(Arc<File>, u64), RegistryError> {
        if descriptor.size_bytes > MAX_BLOB_BYTES {
            return Err(ImageError::Limit(format!(
                "{what} has {} bytes, at most {MAX_BLOB_BYTES} are pulled",
                descriptor.size_bytes
            ))
            .into());
        }
        let file =
            tempfile::tempfile().map_err(|source| RegistryError::Blob { what: "kept", source })?;
        let digest = descriptor.digest.to_string();
        let mut spool = Spool { file, left: descriptor.size_bytes };
        let result = self.client.pull_blob(&self.reference, digest.as_str(), &mut spool).await;
        result.map_err(|e| self.error(format!("pulling {what}"), e))?;
        if spool.left > 0 {
            return Err(
                self.step(format!("pulling {what}"), format!("it ends {} bytes early", spool.left))
            );
        }
        Ok((Arc::new(spool.file), descriptor.size_bytes))
    }

    fn step(&self, step: String, why: String) -> RegistryError {
        RegistryError::Step { registry: self.reference.resolve_registry().to_owned(), step, why }
    }

    /// The library's error, sorted by what a person can do about it.
    fn error(&self, step: String, error: OciDistributionError) -> RegistryError {
        use OciDistributionError as E;
        let registry = self.reference.resolve_registry().to_owned();
        let why = chain(&error);
        let status = match &error {
            E::ServerError { code, .. } => Some(*code),
            E::RequestError(request) => request.status().map(|s| s.as_u16()),
            E::UnauthorizedError { .. }
            | E::AuthenticationFailure(_)
            | E::RegistryTokenDecodeError(_) => Some(401),
            E::RegistryError { envelope, .. } => envelope.errors.iter().find_map(|e| {
                use oci_client::errors::OciErrorCode as Code;
                match e.code {
                    Code::Unauthorized | Code::Denied => Some(401),
                    Code::ManifestUnknown | Code::NameUnknown | Code::NotFound => Some(404),
                    _ => None,
                }
            }),
            _ => None,
        };
        match (status, &error) {
            (Some(401 | 403), _) => RegistryError::Denied { registry, step, why },
            (None, E::RequestError(request)) if request.is_connect() || request.is_timeout() => {
                RegistryError::Connect { registry, step, why }
            }
            _ => RegistryError::Step { registry, step, why },
        }
    }
}

/// What the registry wants to see before it gives a manifest.
enum Access {
    Open,
    Bearer(String),
    Basic(String, String),
}

/// Whether a registry is on this machine, where plain HTTP stays.
fn is_loopback(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        _ => registry,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// An error and what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text.chars().take(600).collect()
}

fn section(file: &Arc<File>, size: u64) -> Section {
    Section::new(Arc::clone(file), 0, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_plain_http_to_this_machine_only() {
        for (registry, expected) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("127.9.9.9", true),
            ("[::1]:5000", true),
            ("localhost.example.com", false),
            ("127.0.0.1.example.com:80", false),
            ("10.0.0.1:5000", false),
            ("registry.example.com", false),
        ] {
            assert_eq!(is_loopback(registry), expected, "{registry}");
        }
    }
}
