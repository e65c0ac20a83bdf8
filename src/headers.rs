//! Headers: the fields of one request, borrowed from the request's bytes. `wire` parses and checks
//! them. RFC 9110, section 5.

use crate::secret::is_secret;
use crate::wire::Field;
use std::borrow::Cow;
use std::fmt;

/// The header fields of one request. Copies are free: it is two references.
///
/// `Debug` prints names and values, but `redacted` in place of a value that may be a secret: the
/// platforms' credentials, `authorization`, `cookie`, and every name that contains a word such as
/// `secret`, `token`, `password` or `api-key`.
#[derive(Clone, Copy)]
pub struct Headers<'a>(Fields<'a>);

#[derive(Clone, Copy)]
enum Fields<'a> {
    /// Parsed from HTTP: positions in the head's bytes.
    Wire { bytes: &'a [u8], fields: &'a [Field] },
    /// From an event or a test.
    Pairs(&'a [(&'a str, &'a str)]),
}

impl<'a> Headers<'a> {
    pub(crate) fn new(bytes: &'a [u8], fields: &'a [Field]) -> Headers<'a> {
        Headers(Fields::Wire { bytes, fields })
    }

    pub(crate) fn from_pairs(pairs: &'a [(&'a str, &'a str)]) -> Headers<'a> {
        Headers(Fields::Pairs(pairs))
    }

    /// The first value of a field, names compared without case; `None` if it is missing or not
    /// UTF-8.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.get_bytes(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The first value of a field as bytes: RFC 9110 allows any byte above 0x7f.
    pub fn get_bytes(&self, name: &str) -> Option<&'a [u8]> {
        match self.0 {
            Fields::Wire { bytes, fields } => fields
                .iter()
                .find(|field| field.name.of(bytes).eq_ignore_ascii_case(name.as_bytes()))
                .map(|field| field.value.of(bytes)),
            Fields::Pairs(pairs) => pairs
                .iter()
                .find(|(field, _)| field.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.as_bytes()),
        }
    }

    /// Names as they were sent, with their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let all = self.0;
        (0..self.len()).map(move |index| match all {
            Fields::Wire { bytes, fields } => fields.get(index).map_or(("", &[][..]), |field| {
                (
                    std::str::from_utf8(field.name.of(bytes)).unwrap_or_default(),
                    field.value.of(bytes),
                )
            }),
            Fields::Pairs(pairs) => {
                pairs.get(index).map_or(("", &[][..]), |(name, value)| (name, value.as_bytes()))
            }
        })
    }

    /// Number of field lines.
    pub fn len(&self) -> usize {
        match self.0 {
            Fields::Wire { fields, .. } => fields.len(),
            Fields::Pairs(pairs) => pairs.len(),
        }
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(name, value)| {
                let shown = match is_secret(name) {
                    true => Cow::Borrowed("redacted"),
                    false => String::from_utf8_lossy(value),
                };
                (name, shown)
            }))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Body;
    use crate::event::Event;
    use crate::request::Request;

    #[test]
    fn prints_no_secret() {
        let headers = [
            ("Host", "seen"),
            ("X-Scf-Secret-Id", "HIDDEN"),
            ("x-scf-secret-key", "HIDDEN"),
            ("X-SCF-SESSION-TOKEN", "HIDDEN"),
            ("x-fc-access-key-id", "HIDDEN"),
            ("x-fc-access-key-secret", "HIDDEN"),
            ("x-fc-security-token", "HIDDEN"),
            ("X-CFF-Auth-Token", "HIDDEN"),
            ("X-CFF-Security-Access-Key", "HIDDEN"),
            ("X-CFF-Security-Secret-Key", "HIDDEN"),
            ("X-CFF-Security-Token", "HIDDEN"),
            ("x-amzn-request-context", "HIDDEN"),
            ("x-amzn-lambda-context", "HIDDEN"),
            ("Authorization", "HIDDEN"),
            ("Proxy-Authorization", "HIDDEN"),
            ("Cookie", "HIDDEN"),
            ("X-Api-Key", "HIDDEN"),
        ];
        let mut body = b"HIDDEN".to_vec();
        let (headers, body) = (Headers::from_pairs(&headers), Body::from_vec(&mut body));
        let request = Request::assemble("GET", "/", Some("token=HIDDEN"), headers, body);
        let printed = format!("{request:?} {:?} {:?}", request.context(), request.headers());
        assert!(!printed.contains("HIDDEN"), "{printed}");
        assert!(printed.contains("seen"));
        let event = Event::new(request);
        assert!(!format!("{event:?}").contains("HIDDEN"));
    }

    #[test]
    fn finds_fields_in_any_case_and_keeps_their_order() {
        let pairs = [("Accept", "a"), ("x-twice", "1"), ("X-Twice", "2")];
        let headers = Headers::from_pairs(&pairs);
        assert_eq!(
            (headers.get("ACCEPT"), headers.get("x-TWICE"), headers.get("x")),
            (Some("a"), Some("1"), None)
        );
        assert_eq!(headers.iter().map(|(_, value)| value).collect::<Vec<_>>(), [b"a", b"1", b"2"]);
        assert!(!headers.is_empty() && Headers::from_pairs(&[]).is_empty());
    }
}
