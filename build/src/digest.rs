//! Content addresses: the digest of a blob, the digest of a layer before compression, and readers
//! that verify what they read. It uses no files and no registries. SHA-256 is the only algorithm:
//! every registry supports it, and with one algorithm equal contents have one name. OCI image-spec,
//! descriptor.md, "Digests".

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use std::{fmt, io, io::Read, str::FromStr};

/// The SHA-256 digest of a blob as it is stored and sent: `sha256:` and 64 lower-case hex digits.
///
/// # Example
/// ```
/// use microimage::digest::Digest;
/// let digest = Digest::of(b"hello");
/// let expected = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
/// assert_eq!(digest.to_string(), expected);
/// assert_eq!(digest.to_string().parse(), Ok(digest));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// The digest of a layer's uncompressed tar (config.md, "Layer DiffID"). A type of its own, so that
/// it is never mixed up with the [`Digest`] of the compressed blob.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DiffId(pub Digest);

/// Text that is not a digest this program can verify.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// An algorithm other than SHA-256.
    #[error(
        "digest `{0}` uses an algorithm other than sha256; ask for the image by its sha256 digest"
    )]
    Algorithm(String),
    /// No `sha256:` followed by 64 lower-case hex digits.
    #[error("`{0}` is not a digest: expected `sha256:` and 64 lower-case hex digits")]
    Malformed(String),
}

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// The digest's 64 lower-case hex digits, without the algorithm: a blob's file name in an image
    /// layout.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl DiffId {
    /// The DiffID of an uncompressed tar.
    pub fn of(tar: &[u8]) -> DiffId {
        DiffId(Digest::of(tar))
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Digest, DigestError> {
        // The quoted text is shortened, because it may come from a peer.
        let shown = || text.chars().take(160).collect::<String>();
        let (algorithm, encoded) =
            text.split_once(':').ok_or_else(|| DigestError::Malformed(shown()))?;
        if algorithm != "sha256" {
            return Err(DigestError::Algorithm(shown()));
        }
        let mut bytes = [0; 32];
        if encoded.bytes().any(|b| b.is_ascii_uppercase())
            || hex::decode_to_slice(encoded, &mut bytes).is_err()
        {
            return Err(DigestError::Malformed(shown()));
        }
        Ok(Digest(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for DiffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A reader that counts and hashes the bytes that are read.
pub struct HashingReader<R> {
    inner: R,
    hasher: Sha256,
    size_bytes: u64,
}

impl<R: Read> HashingReader<R> {
    /// Hashes everything read from `inner` from here on.
    pub fn new(inner: R) -> HashingReader<R> {
        HashingReader { inner, hasher: Sha256::new(), size_bytes: 0 }
    }

    /// Number of bytes read so far.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The digest of all bytes read, and their number.
    pub fn finish(self) -> (Digest, u64) {
        (Digest(self.hasher.finalize().into()), self.size_bytes)
    }

    fn digest_so_far(&self) -> Digest {
        Digest(self.hasher.clone().finalize().into())
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        self.size_bytes += n as u64;
        Ok(n)
    }
}

/// A reader that reaches end of file only if it has read exactly the promised bytes. A wrong size
/// or digest is an error ([`io::ErrorKind::InvalidData`]) before end of file is reported, so a
/// caller that reads to the end has verified the blob.
pub struct VerifyingReader<R> {
    inner: HashingReader<io::Take<R>>,
    digest: Digest,
    size_bytes: u64,
    verified: bool,
}

impl<R: Read> VerifyingReader<R> {
    /// Expects `size_bytes` bytes with the digest `digest` from `inner`.
    pub fn new(inner: R, digest: Digest, size_bytes: u64) -> VerifyingReader<R> {
        // Reads one byte more than promised, so that a blob that is too long is noticed.
        let inner = HashingReader::new(inner.take(size_bytes.saturating_add(1)));
        VerifyingReader { inner, digest, size_bytes, verified: false }
    }
}

impl<R: Read> Read for VerifyingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.verified {
            return Ok(0);
        }
        let n = self.inner.read(buffer)?;
        let seen = self.inner.size_bytes();
        let lie = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        if seen > self.size_bytes {
            return Err(lie(format!(
                "blob `{}` is longer than its {} bytes",
                self.digest, self.size_bytes
            )));
        }
        if n == 0 {
            if seen < self.size_bytes {
                return Err(lie(format!(
                    "blob `{}` ends after {seen} of {} bytes",
                    self.digest, self.size_bytes
                )));
            }
            let found = self.inner.digest_so_far();
            if found != self.digest {
                return Err(lie(format!(
                    "blob `{}` has other bytes: their digest is `{found}`",
                    self.digest
                )));
            }
            self.verified = true;
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_text_that_is_not_a_sha256_digest() {
        let good = Digest::of(b"x").to_string();
        for (text, algorithm) in [
            ("", false),
            ("sha256", false),
            ("sha256:", false),
            (&good[..70], false),
            (&format!("{good}0"), false),
            (&good.to_uppercase(), true),
            (&format!("sha256:{}", "G".repeat(64)), false),
            (&format!("sha256:{}", "A".repeat(64)), false),
            (&format!("sha512:{}", "a".repeat(128)), true),
            ("sha256:../../../../etc/passwd", false),
        ] {
            let error = text.parse::<Digest>().expect_err(text);
            assert_eq!(matches!(error, DigestError::Algorithm(_)), algorithm, "{text}: {error}");
        }
    }

    #[test]
    fn a_verifying_reader_accepts_only_the_expected_bytes() {
        let read = |bytes: &[u8], digest, size| {
            let mut out = Vec::new();
            VerifyingReader::new(bytes, digest, size).read_to_end(&mut out).map(|_| out)
        };
        let digest = Digest::of(b"hello");
        assert_eq!(read(b"hello", digest, 5).expect("the promised bytes"), b"hello");
        for (bytes, size, says) in [
            (&b"hell"[..], 5, "ends after 4 of 5"),
            (b"hello!", 5, "longer than its 5"),
            (b"hullo", 5, "other bytes"),
            (b"hello", 6, "ends after"),
        ] {
            let error = read(bytes, digest, size).expect_err(says).to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
