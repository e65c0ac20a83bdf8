//! Registry errors, one variant for each thing that the user can do about them. An error names the
//! failed step and never contains a secret.

use crate::image::ImageError;
use std::io;
use std::path::PathBuf;

/// Why a registry could not be used, and at which step.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The text is not an image reference.
    #[error(
        "`{text}` is not an image reference ({why}); write `HOST/NAME:TAG` or \
         `HOST/NAME@sha256:…`"
    )]
    Reference {
        /// The text as given.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// A push to a reference that has only a digest.
    #[error("`{0}` has no tag to push to; write `HOST/NAME:TAG`")]
    NoTag(String),
    /// Pushing the index would replace an image under the same tag.
    #[error(
        "`{0}` names one image, which a deployment may pull; give the index a tag of its \
         own"
    )]
    TagTaken(String),
    /// The registry could not be reached.
    #[error(
        "`{registry}` cannot be reached while {step}: {why}; check the host, the network and the \
         proxy settings"
    )]
    Connect {
        /// Host and port.
        registry: String,
        /// The step that failed.
        step: String,
        /// The network's error.
        why: String,
    },
    /// The registry does not speak TLS, and plain HTTP is not allowed for it.
    #[error(
        "`{registry}` does not speak TLS ({why}); check the port, or allow plain HTTP for this \
         registry with `--insecure-registry {registry}`"
    )]
    NotTls {
        /// Host and port.
        registry: String,
        /// The peer's reply to the handshake.
        why: String,
    },
    /// The registry's certificate is not trusted.
    #[error(
        "the certificate of `{registry}` is not trusted: {why}; name its authority, or the \
         certificate itself, with `--ca FILE`, or put it into /etc/docker/certs.d/{registry}/ca.crt"
    )]
    Certificate {
        /// Host and port.
        registry: String,
        /// What is wrong with it.
        why: String,
    },
    /// The registry requires a client certificate.
    #[error(
        "`{registry}` asks for a client certificate: {why}; put it and its key into \
         /etc/docker/certs.d/{registry}, as client.cert and client.key"
    )]
    ClientCertificate {
        /// Host and port.
        registry: String,
        /// What is missing or wrong.
        why: String,
    },
    /// A certificates file cannot be used.
    #[error("the certificates in `{path}` cannot be used: {why}; name a PEM file")]
    CertificateFile {
        /// Path of the file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The registry refuses the request.
    #[error("`{registry}` refuses access while {step}: {}", login.advice(registry, why))]
    Denied {
        /// Host and port.
        registry: String,
        /// The step that failed.
        step: String,
        /// The registry's own text.
        why: String,
        /// The credentials of the request.
        login: Login,
    },
    /// There is a user name without a password, or a password without a user name.
    #[error(
        "the credentials for `{registry}` are incomplete: {has} is set, {lacks} is missing; set \
         both, or `docker login {registry}`"
    )]
    Half {
        /// Host and port.
        registry: String,
        /// The part that is set, and where.
        has: String,
        /// The missing part.
        lacks: String,
    },
    /// The registry asks for a password over plain HTTP.
    #[error(
        "the token server `{}` of `{registry}` does not use HTTPS; no password was sent, \
         ask who runs the registry", realm.escape_debug()
    )]
    Realm {
        /// Host and port.
        registry: String,
        /// Address of the token server.
        realm: String,
    },
    /// The image does not exist.
    #[error("`{0}` does not exist in the registry; check name and tag, or push it first")]
    NotFound(String),
    /// Any other failure.
    #[error("`{registry}` failed while {step}: {why}")]
    Step {
        /// Host and port.
        registry: String,
        /// The step that failed.
        step: String,
        /// What went wrong.
        why: String,
    },
    /// An index has no image for linux and the requested architecture.
    #[error("`{reference}` is an index without linux/{architecture}; it has: {holds}")]
    Platform {
        /// The image.
        reference: String,
        /// The requested architecture.
        architecture: String,
        /// Platforms of the index.
        holds: String,
    },
    /// The image is inconsistent or too large.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A layer could not be read or stored.
    #[error("a layer cannot be {what}: {source}")]
    Blob {
        /// The step that failed.
        what: &'static str,
        /// The underlying I/O error.
        source: io::Error,
    },
    /// A credentials file or a credential helper failed.
    #[error(
        "the credentials for `{registry}` cannot be read: {why}; run `docker login {registry}` to \
         write them again"
    )]
    Credentials {
        /// Host and port.
        registry: String,
        /// What is wrong.
        why: String,
    },
}

/// The credentials that a refused request had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// No credentials were found.
    Absent,
    /// The registry or its token server does not accept the credentials.
    Wrong {
        /// The user name, or `a token`.
        user: String,
        /// Where the credentials were found.
        origin: String,
    },
    /// The credentials are valid and lack the permission.
    Insufficient {
        /// The user name, or `a token`.
        user: String,
    },
}

impl Login {
    fn advice(&self, registry: &str, why: &str) -> String {
        match self {
            Login::Absent => format!(
                "no password was found for it ({why}); run `docker login {registry}`, or set \
                 MICROIMAGE_REGISTRY, MICROIMAGE_USERNAME and MICROIMAGE_PASSWORD"
            ),
            Login::Wrong { user, origin } => format!(
                "it does not accept the password of `{user}` from {origin} ({why}); run `docker \
                 login {registry}` again"
            ),
            Login::Insufficient { user } => format!(
                "`{user}` is logged in and lacks the permission ({why}); ask the registry's \
                 administrator, or run `docker login {registry}` as another user"
            ),
        }
    }
}
