//! Registry errors, sorted by what the user can do about them. An error names the step and never a
//! secret.

use crate::image::ImageError;
use std::io;
use std::path::PathBuf;

/// Why a registry could not be used, and at which step.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Text that is not a reference.
    #[error(
        "`{text}` is not an image reference ({why}); write `HOST/NAME:TAG` or \
         `HOST/NAME@sha256:…`"
    )]
    Reference {
        /// As given.
        text: String,
        /// What is wrong.
        why: String,
    },
    /// Pushing by digest alone.
    #[error("`{0}` has no tag to push to; write `HOST/NAME:TAG`")]
    NoTag(String),
    /// An index would take the place of an image.
    #[error(
        "`{0}` names one image, which something may pull by that tag; give the index a tag of its \
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
        /// What was being done.
        step: String,
        /// The network's error.
        why: String,
    },
    /// The registry does not speak TLS, and may be asked in no other way.
    #[error(
        "`{registry}` does not speak TLS ({why}); check the port, or allow plain HTTP for this \
         registry with `--insecure-registry {registry}`"
    )]
    NotTls {
        /// Host and port.
        registry: String,
        /// What came instead.
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
    /// The registry wants a certificate of its client's.
    #[error(
        "`{registry}` asks for a client certificate: {why}; put it and its key into \
         /etc/docker/certs.d/{registry}, as client.cert and client.key"
    )]
    ClientCertificate {
        /// Host and port.
        registry: String,
        /// What is missing, or wrong.
        why: String,
    },
    /// A file of certificates cannot be used.
    #[error("the certificates in `{path}` cannot be used: {why}; name a PEM file")]
    CertificateFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The registry refuses what was asked.
    #[error("`{registry}` refuses access while {step}: {}", login.advice(registry, why))]
    Denied {
        /// Host and port.
        registry: String,
        /// What was being done.
        step: String,
        /// The registry's own text.
        why: String,
        /// With which credentials.
        login: Login,
    },
    /// There is a user name without a password, or a password without a user name.
    #[error(
        "the credentials for `{registry}` are incomplete: {has} is there, {lacks} is not; set \
         both, or `docker login {registry}`"
    )]
    Half {
        /// Host and port.
        registry: String,
        /// What there is, and where.
        has: String,
        /// What there is not.
        lacks: String,
    },
    /// The registry wants a password sent over plain HTTP.
    #[error(
        "`{registry}` sends those who log in to `{}`, which is not HTTPS; nothing was sent there, \
         ask who runs the registry", realm.escape_debug()
    )]
    Realm {
        /// Host and port.
        registry: String,
        /// Where it sends.
        realm: String,
    },
    /// There is no such image.
    #[error("`{0}` does not exist in the registry; check name and tag, or push it first")]
    NotFound(String),
    /// Any other answer.
    #[error("`{registry}` failed while {step}: {why}")]
    Step {
        /// Host and port.
        registry: String,
        /// What was being done.
        step: String,
        /// What went wrong.
        why: String,
    },
    /// The tag names several platforms and none is linux with the wanted architecture.
    #[error("`{reference}` is an index without linux/{architecture}; it holds: {holds}")]
    Platform {
        /// The image.
        reference: String,
        /// What was looked for.
        architecture: String,
        /// What there is.
        holds: String,
    },
    /// The image is inconsistent or too large.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A layer could not be read or kept.
    #[error("a layer cannot be {what}: {source}")]
    Blob {
        /// What was tried.
        what: &'static str,
        /// The underlying I/O error.
        source: io::Error,
    },
    /// A file of credentials or a credential helper.
    #[error(
        "the credentials for `{registry}` cannot be read: {why}; `docker login {registry}` writes \
         them anew"
    )]
    Credentials {
        /// Host and port.
        registry: String,
        /// What is wrong.
        why: String,
    },
}

/// Which credentials a refused request had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// None: none were found.
    Absent,
    /// Some that the registry, or its token server, does not accept.
    Wrong {
        /// The user name, or `a token`.
        user: String,
        /// Where they were found.
        origin: String,
    },
    /// Some that are accepted and do not suffice.
    Insufficient {
        /// The user name, or `a token`.
        user: String,
    },
}

impl Login {
    fn advice(&self, registry: &str, why: &str) -> String {
        match self {
            Login::Absent => format!(
                "no password for it was found ({why}); `docker login {registry}`, or set \
                 MICROIMAGE_REGISTRY, MICROIMAGE_USERNAME and MICROIMAGE_PASSWORD"
            ),
            Login::Wrong { user, origin } => format!(
                "it does not accept the password of `{user}` from {origin} ({why}); `docker login \
                 {registry}` again"
            ),
            Login::Insufficient { user } => format!(
                "`{user}` is logged in, but may not do this ({why}); ask who runs the registry, \
                 or `docker login {registry}` as another user"
            ),
        }
    }
}
