//! Body: a request's complete bytes, with padding behind them so that the JSON parser can work in
//! place. `transport` reads them.

use std::fmt;

/// Largest body of a synchronous invocation, and its largest result, in bytes: the platform's limit
/// (docs/CONTRACTS.md, section 2).
pub(crate) const SYNCHRONOUS_BYTES: usize = 6 * 1024 * 1024;

/// A request's complete body, in a buffer of its own. It can be parsed in place, because
/// [`Body::PADDING_BYTES`] follow it that the JSON parser may read.
pub struct Body<'a> {
    padded: &'a mut [u8],
    len: usize,
}

impl<'a> Body<'a> {
    /// Number of bytes that the buffer must have after the body; `json` checks that the parser
    /// needs no more.
    pub const PADDING_BYTES: usize = 64;

    /// Makes a body of the first `len` bytes of `padded`.
    ///
    /// # Panics
    /// If fewer than [`Body::PADDING_BYTES`] follow the body. That is a caller's mistake; no peer
    /// can cause it.
    pub fn new(padded: &'a mut [u8], len: usize) -> Body<'a> {
        assert!(padded.len() >= len + Self::PADDING_BYTES, "a body's buffer lacks its padding");
        Body { padded, len }
    }

    /// Makes a body of all of `bytes`, and appends the padding.
    pub fn from_vec(bytes: &'a mut Vec<u8>) -> Body<'a> {
        let len = bytes.len();
        bytes.resize(len + Self::PADDING_BYTES, 0);
        Body::new(bytes, len)
    }

    /// The body's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.padded[..self.len]
    }

    /// The body's bytes, valid for as long as the request.
    pub fn into_bytes(self) -> &'a [u8] {
        &self.padded[..self.len]
    }

    /// The padded buffer and the body's size within it, for the JSON parser.
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
    fn the_padding_is_not_part_of_the_body() {
        let mut bytes = b"abc".to_vec();
        let body = Body::from_vec(&mut bytes);
        assert_eq!((body.as_bytes(), format!("{body:?}").as_str()), (&b"abc"[..], "Body(3 bytes)"));
        assert_eq!(body.into_bytes(), b"abc");
        assert_eq!(bytes.len(), 3 + Body::PADDING_BYTES);
    }
}
