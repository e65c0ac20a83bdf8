//! Target: a request head. The scanner's result is the same for every division of the bytes, and an
//! accepted head has the same meaning in its plainest form.
#![no_main]

use firstbyte::HeadLimits;
use firstbyte::wire::{Framing, Head, Reject, Scan, Scanner, Version};
use libfuzzer_sys::fuzz_target;

/// Limits that are small enough for a fuzzer to reach.
const LIMITS: HeadLimits = HeadLimits { request_line_bytes: 200, head_bytes: 600, fields: 8 };

fuzz_target!(|input: &[u8]| {
    let Some((&piece, bytes)) = input.split_first() else { return };
    let whole = Scanner::default().advance(bytes, &LIMITS);
    let pieces = scan_in_pieces(bytes, usize::from(piece).max(1));
    assert_eq!(whole.is_ok(), pieces.is_ok(), "{whole:?}, {pieces:?}");
    let Ok(Scan::Complete { start, end }) = whole else { return };
    assert_eq!(pieces, whole);
    assert!(start < end && end <= bytes.len() && bytes[..end].ends_with(b"\r\n\r\n"));
    if let Ok(head) = Head::parse(bytes, start, end, &LIMITS) {
        check(&head, &bytes[..end]);
    }
});

fn scan_in_pieces(bytes: &[u8], piece: usize) -> Result<Scan, Reject> {
    let mut scanner = Scanner::default();
    for end in (piece..bytes.len()).step_by(piece) {
        let scan = scanner.advance(&bytes[..end], &LIMITS)?;
        if scan != Scan::Partial {
            return Ok(scan);
        }
    }
    scanner.advance(bytes, &LIMITS)
}

fn check(head: &Head, bytes: &[u8]) {
    let method = head.method.of(bytes);
    assert!(!method.is_empty() && method.iter().all(u8::is_ascii_graphic));
    let path = head.path.of(bytes);
    assert!(path.starts_with(b"/") || path == b"*");
    assert!(path.iter().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(byte)));
    assert!(head.fields.len() <= LIMITS.fields);

    let mut plain = [method, b" ", path].concat();
    if let Some(query) = head.query {
        plain.push(b'?');
        plain.extend_from_slice(query.of(bytes));
    }
    plain.extend_from_slice(if head.version == Version::Http11 {
        b" HTTP/1.1\r\n"
    } else {
        b" HTTP/1.0\r\n"
    });
    for field in &head.fields {
        let (name, value) = (field.name.of(bytes), field.value.of(bytes));
        assert!(
            !name.is_empty() && value.trim_ascii() == value,
            "white space around a value is not part of it"
        );
        assert!(!value.iter().any(|byte| b"\r\n\0".contains(byte)));
        plain.extend_from_slice(&[name, b":", value, b"\r\n"].concat());
    }
    plain.extend_from_slice(b"\r\n");
    let again = Head::parse(&plain, 0, plain.len(), &LIMITS)
        .expect("what was accepted is accepted in its plainest form");
    assert_eq!((again.framing, again.keep_alive), (head.framing, head.keep_alive));
    assert_eq!(again.expects_continue, head.expects_continue);
    assert_eq!(again.path.of(&plain), path);
    if head.expects_continue {
        assert_ne!(head.framing, Framing::Length(0), "100 Continue is only for a body");
    }
}
