//! Parser of the header field `Authorization`: `TC3-HMAC-SHA256
//! Credential=ID/DATE/SERVICE/tc3_request, SignedHeaders=a;b, Signature=HEX`.

use crate::credential::ALGORITHM;

/// The field's parts, unverified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authorization<'a> {
    /// SecretId.
    pub id: &'a str,
    /// UTC date of the request's timestamp.
    pub date: &'a str,
    /// The service, `scf`.
    pub service: &'a str,
    /// Names of the signed header fields, separated by `;`.
    pub signed_headers: &'a str,
    /// The signature in hexadecimal digits.
    pub signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// Parses the field's value; `None` if it has another form.
    ///
    /// # Example
    /// ```
    /// use tc3::authorization::Authorization;
    /// let text = "TC3-HMAC-SHA256 Credential=id/2019-02-25/cvm/tc3_request, \
    ///             SignedHeaders=content-type;host, Signature=00ff";
    /// let parts = Authorization::parse(text).unwrap();
    /// assert_eq!((parts.id, parts.service, parts.signature), ("id", "cvm", "00ff"));
    /// assert_eq!(Authorization::parse("Bearer id"), None);
    /// ```
    pub fn parse(value: &'a str) -> Option<Authorization<'a>> {
        let rest = value.trim().strip_prefix(ALGORITHM)?.strip_prefix(' ')?;
        let mut parts = rest.split(',').map(str::trim);
        let mut part = |name: &str| parts.next()?.strip_prefix(name)?.strip_prefix('=');
        let (credential, signed_headers, signature) =
            (part("Credential")?, part("SignedHeaders")?, part("Signature")?);
        let mut scope = credential.split('/');
        let (id, date, service) = (scope.next()?, scope.next()?, scope.next()?);
        let is_whole = scope.next() == Some("tc3_request") && scope.next().is_none();
        (is_whole && parts.next().is_none()).then_some(Authorization {
            id,
            date,
            service,
            signed_headers,
            signature,
        })
    }
}
