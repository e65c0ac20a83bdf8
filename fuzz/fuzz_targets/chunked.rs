//! Target: a chunked body. Content and end are the same for every division of the bytes, and the
//! content survives another encoding.
#![no_main]

use firstbyte::wire::Reject;
use firstbyte::wire::chunked::{Decoder, Step};
use firstbyte::wire::response::{CHUNK_END, LAST_CHUNK, chunk_head};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&piece, bytes)) = input.split_first() else { return };
    let whole = decode(bytes, bytes.len().max(1));
    let pieces = decode(bytes, usize::from(piece).max(1));
    assert_eq!(whole.is_ok(), pieces.is_ok());
    let (Ok(whole), Ok(pieces)) = (whole, pieces) else { return };
    assert_eq!(whole, pieces);
    let Some((content, end)) = whole else { return };
    assert!(content.len() < end && end <= bytes.len());
    assert!(bytes[..end].ends_with(b"\r\n\r\n"));

    let mut encoded = Vec::new();
    for chunk in content.chunks(usize::from(piece) + 1) {
        chunk_head(&mut encoded, chunk.len());
        encoded.extend_from_slice(chunk);
        encoded.extend_from_slice(CHUNK_END);
    }
    encoded.extend_from_slice(LAST_CHUNK);
    let end = encoded.len();
    assert_eq!(decode(&encoded, 7), Ok(Some((content, end))));
});

/// The content and where the body ends; `None` if it has not ended.
fn decode(bytes: &[u8], piece: usize) -> Result<Option<(Vec<u8>, usize)>, Reject> {
    let mut decoder = Decoder::default();
    let mut content = Vec::new();
    let (mut at, mut arrived) = (0, 0);
    loop {
        match decoder.step(&bytes[at..arrived])? {
            Step::Content { content: range } => {
                content.extend_from_slice(&bytes[at..arrived][range.clone()]);
                assert!(range.end > 0, "each step makes progress");
                at += range.end;
            }
            Step::End { consumed } => return Ok(Some((content, at + consumed))),
            Step::Partial { consumed } => {
                assert_eq!(at + consumed, arrived, "all arrived bytes are consumed");
                at = arrived;
                if arrived == bytes.len() {
                    return Ok(None);
                }
                arrived = bytes.len().min(arrived + piece);
            }
        }
    }
}
