//! Credential: the two parts of an API key. The secret part is never shown: `Debug` omits it, and
//! only [`Credential::mac`] reads it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fmt;

/// The only algorithm of signature v3.
pub const ALGORITHM: &str = "TC3-HMAC-SHA256";

/// An API key.
#[derive(Clone)]
pub struct Credential {
    id: String,
    key: String,
}

impl Credential {
    /// Makes a credential from SecretId and SecretKey, as the platform's console shows them.
    pub fn new(id: impl Into<String>, key: impl Into<String>) -> Credential {
        Credential { id: id.into(), key: key.into() }
    }

    /// SecretId; it is public and part of each request.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A MAC with the key of one day and service: HMAC(HMAC(HMAC("TC3" + key, date), service),
    /// "tc3_request").
    pub(crate) fn mac(&self, date: &str, service: &str) -> Hmac<Sha256> {
        let start = format!("TC3{}", self.key).into_bytes();
        let key = [date, service, "tc3_request"].iter().fold(start, |key, step| {
            let mut mac = keyed(&key);
            mac.update(step.as_bytes());
            mac.finalize().into_bytes().to_vec()
        });
        keyed(&key)
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("id", &self.id).finish_non_exhaustive()
    }
}
