//! Signing of a request, for clients.

use crate::canonical::{Call, date, string_to_sign};
use crate::credential::{ALGORITHM, Credential};
use hmac::Mac as _;

/// The value of `Authorization` for a request to `service` (`scf`, `cls`); `seconds` since 1970 is
/// the value of `X-TC-Timestamp`. Every header field of `call` is signed.
pub fn sign(call: &Call<'_>, credential: &Credential, service: &str, seconds: i64) -> String {
    let (names, date) = (call.names(), date(seconds));
    let canonical =
        call.canonical(names.iter().map(String::as_str)).expect("the names are its own fields'");
    let mut mac = credential.mac(&date, service);
    mac.update(string_to_sign(seconds, &date, service, &canonical).as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    let (id, names) = (credential.id(), names.join(";"));
    format!(
        "{ALGORITHM} Credential={id}/{date}/{service}/tc3_request, SignedHeaders={names}, \
         Signature={signature}"
    )
}
