//! Deployed image: name and tag, pinned by the digest in image.json. A tag can move and a digest
//! cannot, and the platform stores the pinned form anyway.

use crate::deploy::registry::Registry;
use serde::Deserialize;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// `HOST/NAME:TAG`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageName {
    host: String,
    path: String,
    tag: String,
}

/// The image in a new project's function.toml, which the user replaces.
const PLACEHOLDER: &str = "namespace/function";

/// Why a text is not a valid image name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageNameError {
    /// It already has a digest.
    #[error("leave the digest out: it is taken from target/image/image.json")]
    Digest,
    /// It has no tag.
    #[error("it has no tag; write HOST/NAMESPACE/NAME:TAG")]
    Tag,
    /// A part is missing or has an invalid character.
    #[error("write HOST/NAMESPACE/NAME:TAG in lower case, without a scheme")]
    Shape,
    /// A name in the personal registry has exactly two parts.
    #[error("the personal registry has no deeper names; write HOST/NAMESPACE/NAME:TAG")]
    Depth,
}

impl ImageName {
    /// Parses `HOST/NAME:TAG`.
    ///
    /// # Errors
    /// [`ImageNameError`] says what to write.
    pub fn parse(text: &str) -> Result<ImageName, ImageNameError> {
        if text.contains('@') {
            return Err(ImageNameError::Digest);
        }
        let (host, rest) = text.split_once('/').ok_or(ImageNameError::Shape)?;
        let (path, tag) = rest.rsplit_once(':').ok_or(ImageNameError::Tag)?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        let tag_does = (1..=128).contains(&tag.len())
            && tag.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
            && !tag.starts_with(['.', '-']);
        let path_does = path.split('/').all(|part| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(plain)
        });
        let host_does = host.contains(['.', ':']) && host.chars().all(|c| plain(c) || c == ':');
        if !(host_does && path_does && tag_does) {
            return Err(ImageNameError::Shape);
        }
        if Registry::of(host) == Some(Registry::Personal) && path.split('/').count() != 2 {
            return Err(ImageNameError::Depth);
        }
        Ok(ImageName { host: host.to_owned(), path: path.to_owned(), tag: tag.to_owned() })
    }

    /// The registry's host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its name without the namespaces.
    pub fn last(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Whether it is the placeholder of a new project.
    pub fn is_placeholder(&self) -> bool {
        self.path == PLACEHOLDER
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.host, self.path, self.tag)
    }
}

/// An image's digest: `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest(String);

/// The image that `just image` built, according to image.json.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its name and tag; without `--tag`, the name is that of the function.
    pub reference: String,
    /// Its manifest's digest.
    pub digest: Digest,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum MadeError {
    /// There is no image.json.
    #[error(
        "there is no image yet: `{path}` cannot be read: {source}; build it with `just image` \
         (before a real deployment, push it with `just push`, too)"
    )]
    NoImage {
        /// The file.
        path: PathBuf,
        /// The underlying I/O error.
        source: io::Error,
    },
    /// The file does not have the form that `just image` writes.
    #[error("`{path}` has no manifest's digest and no reference; type `just image` again")]
    NoDigest {
        /// The file.
        path: PathBuf,
    },
}

impl Made {
    /// Parses image.json.
    ///
    /// # Errors
    /// [`MadeError`] says what to type.
    pub fn read(path: &Path) -> Result<Made, MadeError> {
        #[derive(Deserialize)]
        struct Summary {
            reference: String,
            manifest_digest: String,
        }
        let text = fs::read(path)
            .map_err(|source| MadeError::NoImage { path: path.to_owned(), source })?;
        let wrong = || MadeError::NoDigest { path: path.to_owned() };
        let summary: Summary = serde_json::from_slice(&text).map_err(|_| wrong())?;
        let digest = Digest::parse(&summary.manifest_digest).ok_or_else(wrong)?;
        Ok(Made { reference: summary.reference, digest })
    }

    /// The name without registry, namespaces and tag.
    pub fn name(&self) -> &str {
        let last = self.reference.rsplit('/').next().unwrap_or_default();
        last.split(':').next().unwrap_or_default()
    }
}

impl Digest {
    /// `sha256:…`.
    pub fn parse(text: &str) -> Option<Digest> {
        let hex = text.strip_prefix("sha256:")?;
        let does = hex.len() == 64 && hex.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
        does.then(|| Digest(text.to_owned()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_names_and_states_what_is_wrong_with_invalid_ones() {
        for name in [
            "ccr.ccs.tencentyun.com/ns/fn:v1",
            "127.0.0.1:5000/fn:a.B-1",
            "t.tencentcloudcr.com/a/b/c:v",
        ] {
            assert_eq!(ImageName::parse(name).unwrap().to_string(), name);
        }
        for (name, expected) in [
            ("ccr.ccs.tencentyun.com/ns/fn", ImageNameError::Tag),
            ("fn:v1", ImageNameError::Shape),
            ("https://ccr.ccs.tencentyun.com/ns/fn:v1", ImageNameError::Shape),
            ("ccr.ccs.tencentyun.com/ns/Fn:v1", ImageNameError::Shape),
            ("ccr.ccs.tencentyun.com/ns/:v1", ImageNameError::Shape),
            ("ccr.ccs.tencentyun.com/ns/fn:", ImageNameError::Shape),
            ("ccr.ccs.tencentyun.com/ns/fn:v 1", ImageNameError::Shape),
            ("ccr.ccs.tencentyun.com/a/b/c:v1", ImageNameError::Depth),
            ("ccr.ccs.tencentyun.com/ns/fn:v1@sha256:00", ImageNameError::Digest),
        ] {
            assert_eq!(ImageName::parse(name), Err(expected), "{name}");
        }
    }

    #[test]
    fn an_images_own_name_has_no_registry_and_no_tag() {
        let digest = Digest::parse(&format!("sha256:{}", "0a".repeat(32))).unwrap();
        for reference in ["fn:latest", "fn", "127.0.0.1:5000/ns/fn:v1", "127.0.0.1:5000/ns/fn"] {
            assert_eq!(
                Made { reference: reference.to_owned(), digest: digest.clone() }.name(),
                "fn"
            );
        }
    }

    #[test]
    fn refuses_invalid_digests() {
        let good = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(Digest::parse(&good).unwrap().to_string(), good);
        for wrong in
            ["", "sha256:", "sha256:0a", &good[7..], &good.to_uppercase(), &format!("{good}0")]
        {
            assert_eq!(Digest::parse(wrong), None, "{wrong}");
        }
    }
}
