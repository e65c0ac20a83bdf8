//! What can go wrong with a registry, by what a person can do about it. It names the step, never a
//! secret.

use crate::image::ImageError;
use std::io;

/// Why a registry could not be used, and at which step.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Text that is no reference.
    #[error(
        "`{text}` is not an image reference ({why}); write `HOST/NAME:TAG` or `HOST/NAME@sha256:…`"
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
        /// The network's word.
        why: String,
    },
    /// The registry wants to know who asks, or does not let them.
    #[error(
        "`{registry}` refuses access while {step}: {why}; `docker login {registry}`, or set \
         MICROIMAGE_REGISTRY, MICROIMAGE_USERNAME and MICROIMAGE_PASSWORD"
    )]
    Denied {
        /// Host and port.
        registry: String,
        /// What was being done.
        step: String,
        /// The registry's word.
        why: String,
    },
    /// A name and a password would go there for everyone on the way to read.
    #[error(
        "`{registry}` sends those who log in to `{}`, which is not HTTPS; nothing was sent there, \
         ask who runs the registry",
        realm.escape_debug()
    )]
    Realm {
        /// Host and port.
        registry: String,
        /// Where it sends.
        realm: String,
    },
    /// No such image.
    #[error("`{0}` does not exist in the registry; check name and tag, or push it first")]
    NotFound(String),
    /// Any other answer.
    #[error("`{registry}` failed while {step}: {why}")]
    Step {
        /// Host and port.
        registry: String,
        /// What was being done.
        step: String,
        /// The registry's word.
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
        /// The system's word.
        source: io::Error,
    },
    /// The docker configuration or a credential helper.
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
