//! Request: method, path, query, headers, body, all borrowed from the connection's buffer.
//! Not the parser (`wire`) and not the reader (`transport`): a value that a test can make without a socket.

use crate::error::{Error, Result};
use crate::json;
use crate::wire::{Field, Head, Status, Version};
use std::borrow::Cow;

/// One HTTP request, body complete. RFC 9110, section 3.4.
pub struct Request<'a> {
    method: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    version: Version,
    headers: Headers<'a>,
    body: Body<'a>,
    params: Option<matchit::Params<'a, 'a>>,
}

impl<'a> Request<'a> {
    /// Puts a request together from a parsed head, the buffer it was parsed from, and the body.
    pub fn new(head: &'a Head, head_bytes: &'a [u8], body: Body<'a>) -> Request<'a> {
        // The wire admits visible ASCII only in all three, so none of them is ever emptied here.
        let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).unwrap_or_default();
        Request {
            method: text(head.method.of(head_bytes)),
            path: text(head.path.of(head_bytes)),
            query: head.query.map(|query| text(query.of(head_bytes))),
            version: head.version,
            headers: Headers::new(head_bytes, &head.fields),
            body,
            params: None,
        }
    }

    /// The method as it was sent; methods are case-sensitive.
    pub fn method(&self) -> &'a str {
        self.method
    }

    /// The path as it was sent, percent-encoding untouched.
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// What follows the first `?`, undecoded; `None` if there is no `?`.
    pub fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// The peer's protocol version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The header fields, in the order they were sent.
    pub fn headers(&self) -> Headers<'a> {
        self.headers
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        self.body.as_bytes()
    }

    /// The body parsed as JSON, in place: `&str` fields of `T` point into the request's own bytes.
    ///
    /// # Errors
    /// 400 if the body is not JSON, is nested deeper than the limit, or is not a `T`.
    pub fn json<T: serde::Deserialize<'a>>(self) -> Result<T> {
        json::parse(self.body)
    }

    /// The body itself, to parse or keep.
    pub fn into_body(self) -> Body<'a> {
        self.body
    }

    /// The first value of a query parameter in `application/x-www-form-urlencoded` form, decoded.
    pub fn query_param(&self, name: &str) -> Option<Cow<'a, str>> {
        self.query?.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (form_decode(key) == name).then(|| form_decode(value))
        })
    }

    /// A path parameter of the route that matched, undecoded; `None` if the route has no such parameter.
    pub fn param(&self, name: &str) -> Option<&'a str> {
        self.params.as_ref()?.get(name)
    }

    /// A path parameter as a number or any other type that reads itself from text.
    ///
    /// # Errors
    /// 400 if the parameter is not there or not a `T`.
    pub fn parsed_param<T: std::str::FromStr>(&self, name: &str) -> Result<T> {
        self.param(name).and_then(|text| text.parse().ok()).ok_or_else(|| {
            Error::peer(Status::BAD_REQUEST, format!("the path parameter `{name}` is missing or malformed"))
        })
    }

    pub(crate) fn set_params(&mut self, params: matchit::Params<'a, 'a>) {
        self.params = Some(params);
    }
}

/// `+` is a space and `%XX` a byte (WHATWG URL, section 5.1); bytes that are not UTF-8 become U+FFFD.
fn form_decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte == b'+' || byte == b'%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digit = |at: usize| bytes.get(at).and_then(|&byte| char::from(byte).to_digit(16));
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                at += 2;
            }
            (b'+', ..) => out.push(b' '),
            _ => out.push(byte),
        }
        at += 1;
    }
    Cow::Owned(String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// The header fields of one request. Copies are free: it is two references.
#[derive(Clone, Copy)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    fields: &'a [Field],
}

impl<'a> Headers<'a> {
    pub(crate) fn new(bytes: &'a [u8], fields: &'a [Field]) -> Headers<'a> {
        Headers { bytes, fields }
    }

    /// The first value of a field, names compared without case; `None` if it is missing or not UTF-8.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.get_bytes(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The first value of a field as bytes: RFC 9110 allows any above 0x7f.
    pub fn get_bytes(&self, name: &str) -> Option<&'a [u8]> {
        self.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Names as they were sent, and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        self.fields
            .iter()
            .map(move |field| (std::str::from_utf8(field.name.of(bytes)).unwrap_or_default(), field.value.of(bytes)))
    }

    /// Number of field lines.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

/// A complete body, alone in its bytes: it can be parsed in place because it is followed by
/// [`Body::PADDING_BYTES`] that the JSON parser may read past the end.
pub struct Body<'a> {
    padded: &'a mut [u8],
    len: usize,
}

impl<'a> Body<'a> {
    /// Bytes after the body that its buffer must have.
    pub const PADDING_BYTES: usize = json::PADDING_BYTES;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_query_parameters() {
        for (text, decoded) in [
            ("a", "a"),
            ("a+b", "a b"),
            ("%41%2f", "A/"),
            ("%4", "%4"),
            ("%zz", "%zz"),
            ("%ff", "\u{fffd}"),
            ("%", "%"),
        ] {
            assert_eq!(form_decode(text), decoded);
        }
    }
}
