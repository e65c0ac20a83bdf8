//! Body: a request's bytes, complete, with the padding behind them that lets the JSON parser work
//! in place. Not the reader (`transport`), which waits until they are all there.

use std::fmt;

/// Size of the largest body that a synchronous invocation may have, and of its largest result, in
/// bytes: the platform's limit (docs/CONTRACTS.md, section 2).
pub(crate) const SYNCHRONOUS_BYTES: usize = 6 * 1024 * 1024;

/// A complete body, alone in its bytes: it can be parsed in place because it is followed by
/// [`Body::PADDING_BYTES`] that the JSON parser may read past the end.
pub struct Body<'a> {
    padded: &'a mut [u8],
    len: usize,
}

impl<'a> Body<'a> {
    /// Bytes after the body that its buffer must have; `json` checks that the parser's are no more.
    pub const PADDING_BYTES: usize = 64;

    /// The first `len` bytes of `padded` are the body.
    ///
    /// # Panics
    /// If fewer than [`Body::PADDING_BYTES`] follow them: our own invariant, never a peer's doing.
    pub fn new(padded: &'a mut [u8], len: usize) -> Body<'a> {
        assert!(padded.len() >= len + Self::PADDING_BYTES, "a body's buffer lacks its padding");
        Body { padded, len }
    }

    /// Pads `bytes` in place and takes what was in it as the body.
    pub fn from_vec(bytes: &'a mut Vec<u8>) -> Body<'a> {
        let len = bytes.len();
        bytes.resize(len + Self::PADDING_BYTES, 0);
        Body::new(bytes, len)
    }

    /// The body's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.padded[..self.len]
    }

    /// The body's bytes for as long as the request lives.
    pub fn into_bytes(self) -> &'a [u8] {
        &self.padded[..self.len]
    }

    /// The padded buffer and the body's size within it: for the JSON parser.
    pub(crate) fn into_padded(self) -> (&'a mut [u8], usize) {
        (self.padded, self.len)
    }
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_its_padding_to_itself() {
        let mut bytes = b"abc".to_vec();
        let body = Body::from_vec(&mut bytes);
        assert_eq!((body.as_bytes(), format!("{body:?}").as_str()), (&b"abc"[..], "Body(3 bytes)"));
        assert_eq!(body.into_bytes(), b"abc");
        assert_eq!(bytes.len(), 3 + Body::PADDING_BYTES);
    }
}
