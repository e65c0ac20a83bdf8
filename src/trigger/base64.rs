//! Base64 with the standard alphabet and padding. RFC 4648, section 4. Decoding is strict, so that
//! each value has one text: no line ends, no missing padding, no unused bits that are set.

use crate::error::{Error, Result};
use crate::wire::Status;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Value of each byte as a digit; 255 if it is not one.
const VALUES: [u8; 256] = {
    let mut values = [255; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        values[ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// Encodes `bytes`.
///
/// # Example
/// ```
/// assert_eq!(firstbyte::trigger::base64::encode(b"first"), "Zmlyc3Q=");
/// ```
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            // A group of n bytes has n + 1 digits; the rest is padding.
            let digit = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// Appends the bytes that `text` encodes.
///
/// # Errors
/// 400 with the place if it is not Base64; `out` then holds the bytes before it.
///
/// # Example
/// ```
/// let mut out = Vec::new();
/// firstbyte::trigger::base64::decode("Zmlyc3Q=", &mut out)?;
/// assert_eq!(out, b"first");
/// # Ok::<(), firstbyte::Error>(())
/// ```
pub fn decode(text: &str, out: &mut Vec<u8>) -> Result<()> {
    let text = text.as_bytes();
    let digits = match text {
        [digits @ .., b'=', b'='] | [digits @ .., b'='] => digits,
        digits => digits,
    };
    if !text.len().is_multiple_of(4) {
        return Err(malformed(text.len(), "its length is not a multiple of 4"));
    }
    out.reserve(text.len() / 4 * 3);
    for (index, group) in digits.chunks(4).enumerate() {
        let mut bits = 0;
        for place in 0..4 {
            let value = group.get(place).map_or(0, |&digit| VALUES[usize::from(digit)]);
            if value == 255 {
                return Err(malformed(index * 4 + place, "a character is not in the alphabet"));
            }
            bits = bits << 6 | u32::from(value);
        }
        let [_, bytes @ ..] = bits.to_be_bytes();
        let (whole, rest) = bytes.split_at(group.len() * 6 / 8);
        if rest.iter().any(|&byte| byte != 0) {
            return Err(malformed(
                index * 4 + group.len(),
                "its last character has unused bits that are set",
            ));
        }
        out.extend_from_slice(whole);
    }
    Ok(())
}

fn malformed(at: usize, why: &str) -> Error {
    Error::peer(Status::BAD_REQUEST, format!("this is not Base64: {why} (near byte {at})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        decode(text, &mut out).map(|()| out)
    }

    #[test]
    fn agrees_with_the_rfcs_own_vectors() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decoded(text).unwrap(), bytes.as_bytes());
        }
    }

    #[test]
    fn every_byte_comes_back_at_every_place() {
        for length in 0..=9 {
            for byte in 0..=255u8 {
                let bytes: Vec<u8> =
                    (0..length).map(|place| byte.wrapping_add(37u8.wrapping_mul(place))).collect();
                assert_eq!(decoded(&encode(&bytes)).unwrap(), bytes);
            }
        }
    }

    #[test]
    fn refuses_what_is_not_the_one_text_of_a_value() {
        for text in [
            "Zg", "Zg=", "Z===", "Zg==Zg==", "Zh==", "Zm9=", "Zm9v\n", "Zm 9", "Zm_v", "Zm-v", "=",
            "====", "Zg=a", "\u{e4}aa",
        ] {
            assert!(decoded(text).is_err_and(|error| error.is_peers_fault()), "{text:?}");
        }
    }
}
