//! Signature of COS's XML API: the value of a request's field Authorization. Tencent Cloud,
//! "Request Signature", cloud.tencent.com/document/product/436/7778. Pure: the caller passes the
//! time.

use ring::{digest, hmac};
use std::fmt::Write;

/// The signed parts of a request: `role` is the secret's id and key, `key_time` is `START;END` in
/// seconds of Unix time, `method` is in lower case, `target` is the percent-encoded path and query
/// of the request, `headers` are the signed fields, in lower case and sorted.
pub fn authorization(
    (secret_id, secret_key): (&str, &str),
    key_time: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> String {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut parameters: Vec<(String, String)> = query
        .split('&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            (encoded(&decoded(key)).to_lowercase(), encoded(&decoded(value)))
        })
        .collect();
    parameters.sort();
    let headers: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| (encoded(name.as_bytes()).to_lowercase(), encoded(value.as_bytes())))
        .collect();
    let mut http = format!("{method}\n").into_bytes();
    http.extend(decoded(path));
    http.extend(format!("\n{}\n{}\n", pairs(&parameters), pairs(&headers)).into_bytes());
    let digest = hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &http).as_ref());
    let sign_key = hmac_sha1(secret_key, key_time);
    let signature = hmac_sha1(&sign_key, &format!("sha1\n{key_time}\n{digest}\n"));
    format!(
        "q-sign-algorithm=sha1&q-ak={secret_id}&q-sign-time={key_time}&q-key-time={key_time}\
         &q-header-list={}&q-url-param-list={}&q-signature={signature}",
        names(&headers),
        names(&parameters)
    )
}

fn pairs(all: &[(String, String)]) -> String {
    all.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&")
}

fn names(all: &[(String, String)]) -> String {
    all.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>().join(";")
}

fn hmac_sha1(key: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
    hex(hmac::sign(&key, text.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after.get(..2).filter(|_| *first == b'%');
        let escaped = escaped.and_then(|digits| str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

/// Percent-encodes every byte except letters, digits, `-`, `_`, `.` and `~`.
fn encoded(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}
