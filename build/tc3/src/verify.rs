//! Verification of a request, for servers. Codes are the API's common ones (document 1278/55257,
//! "Common error codes"). No document states the order of the platform's checks; the order here is
//! form, time, key, signature.

use crate::authorization::Authorization;
use crate::canonical::{Call, date, string_to_sign};
use crate::credential::Credential;
use hmac::Mac as _;

/// "The timestamp must not differ from the server's time by more than five minutes."
pub const MAX_SKEW_SECONDS: u64 = 300;

/// A request with a valid signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// SecretId.
    pub id: String,
    /// The called service.
    pub service: String,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The field has another form, or does not sign a required field.
    #[error("the Authorization field is not TC3-HMAC-SHA256 with content-type and host signed")]
    InvalidAuthorization,
    /// The client's clock is wrong, or an old request is repeated.
    #[error(
        "the timestamp differs from the server's time by more than five minutes; set the clock"
    )]
    SignatureExpire,
    /// Unknown SecretId.
    #[error("the SecretId is not found; check its spelling, and that it is not disabled")]
    SecretIdNotFound,
    /// The SecretKey differs, or the request differs from the signed one.
    #[error("the provided credentials could not be validated; check SecretKey and signature")]
    SignatureFailure,
}

impl Refusal {
    /// The API's code.
    pub fn code(self) -> &'static str {
        match self {
            Refusal::InvalidAuthorization => "AuthFailure.InvalidAuthorization",
            Refusal::SignatureExpire => "AuthFailure.SignatureExpire",
            Refusal::SecretIdNotFound => "AuthFailure.SecretIdNotFound",
            Refusal::SignatureFailure => "AuthFailure.SignatureFailure",
        }
    }
}

/// Checks a request: `authorization` is its field, `seconds` its `X-TC-Timestamp`, `now` the
/// server's time, both in seconds since 1970; `known` returns a key by its SecretId.
///
/// # Errors
/// [`Refusal`].
pub fn verify<'k>(
    call: &Call<'_>,
    authorization: &str,
    seconds: i64,
    now: i64,
    known: impl Fn(&str) -> Option<&'k Credential>,
) -> Result<Verified, Refusal> {
    let parts = Authorization::parse(authorization).ok_or(Refusal::InvalidAuthorization)?;
    let names = || parts.signed_headers.split(';');
    let must = ["content-type", "host"];
    if !must.iter().all(|name| names().any(|signed| signed == *name)) {
        return Err(Refusal::InvalidAuthorization);
    }
    if now.abs_diff(seconds) > MAX_SKEW_SECONDS {
        return Err(Refusal::SignatureExpire);
    }
    let credential = known(parts.id).ok_or(Refusal::SecretIdNotFound)?;
    let canonical = call.canonical(names()).ok_or(Refusal::SignatureFailure)?;
    if parts.date != date(seconds) {
        return Err(Refusal::SignatureFailure);
    }
    let mut mac = credential.mac(parts.date, parts.service);
    mac.update(string_to_sign(seconds, parts.date, parts.service, &canonical).as_bytes());
    let signature = hex::decode(parts.signature).map_err(|_| Refusal::SignatureFailure)?;
    mac.verify_slice(&signature).map_err(|_| Refusal::SignatureFailure)?;
    Ok(Verified { id: parts.id.to_owned(), service: parts.service.to_owned() })
}
