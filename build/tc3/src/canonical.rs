//! Canonical form of a request, over which the signature is computed. Document 213/30654, steps 1
//! and 2.

use crate::credential::ALGORITHM;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

/// Value of `X-TC-Content-SHA256` of a client that does not sign the body; the hash of this text is
/// then signed.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// The parts of a request that its signature covers.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The path; the API has only `/`.
    pub path: &'a str,
    /// The part after `?`, encoded as it is sent; empty for POST.
    pub query: &'a str,
    /// Header fields. Signing covers all of them, so a client lists only fields that it sends with
    /// exactly this value, at least `Content-Type` and `Host`. Verification reads the fields that
    /// the signature names.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub payload: &'a [u8],
}

impl<'a> Call<'a> {
    /// The names of the header fields as the signature lists them: lower case, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            self.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The value of a field, without the spaces around it.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }

    /// The canonical request with these fields signed; `None` if one of them is missing.
    pub(crate) fn canonical<'n>(&self, names: impl Iterator<Item = &'n str>) -> Option<String> {
        let (mut fields, mut list) = (String::new(), Vec::new());
        for name in names {
            // Values are converted to lower case too.
            let value = self.header(name)?.to_ascii_lowercase();
            fields.push_str(&format!("{name}:{value}\n"));
            list.push(name);
        }
        let unsigned = self.header("x-tc-content-sha256") == Some(UNSIGNED);
        let payload = if unsigned { UNSIGNED.as_bytes() } else { self.payload };
        Some(format!(
            "{}\n{}\n{}\n{fields}\n{}\n{}",
            self.method,
            self.path,
            self.query,
            list.join(";"),
            sum(payload)
        ))
    }
}

/// The text over which the MAC is computed.
pub(crate) fn string_to_sign(seconds: i64, date: &str, service: &str, canonical: &str) -> String {
    let canonical = sum(canonical.as_bytes());
    format!("{}\n{seconds}\n{date}/{service}/tc3_request\n{canonical}", ALGORITHM)
}

/// The UTC date of a second, `2019-02-25`; the first day of 1970 for a time out of range.
pub(crate) fn date(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
        .date()
        .to_string()
}

fn sum(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
