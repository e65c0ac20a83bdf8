//! Target: a JSON body, parsed in place. Verdict and value agree with serde_json's, and the bytes
//! after the body are unchanged.
#![no_main]

use firstbyte::Body;
use firstbyte::json::{self, Document};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|text: &[u8]| {
    let behind: [u8; 80] = std::array::from_fn(|at| b"]}\"\\,1 a"[at % 8]);
    let mut buffer = [text, &behind].concat();
    let written = Document::parse(Body::new(&mut buffer, text.len())).ok().map(|document| {
        let mut out = Vec::new();
        assert!(json::write(&document, &mut out).is_ok(), "what was parsed can be written");
        out
    });
    assert_eq!(&buffer[text.len()..], behind, "they may be the next request");
    let mut buffer = [text, &behind].concat();
    let typed = json::parse::<Value>(Body::new(&mut buffer, text.len())).ok();
    assert_eq!(typed.is_some(), written.is_some());

    // serde_json's depth limit is one level lower.
    if text.iter().filter(|byte| b"[{".contains(byte)).count() < 127 {
        let theirs = serde_json::from_slice::<Value>(text).ok();
        assert_eq!(theirs.is_some(), written.is_some(), "serde_json: {theirs:?}");
        let again = written
            .map(|out| serde_json::from_slice::<Value>(&out).expect("what is written is JSON"));
        assert!(same(&theirs, &again), "{theirs:?}, written back as {again:?}");
        assert!(same(&theirs, &typed), "{theirs:?}, typed as {typed:?}");
    }
});

/// Whether the values are equal; numbers are compared by value, in any representation.
fn same(one: &Option<Value>, other: &Option<Value>) -> bool {
    fn is_same(one: &Value, other: &Value) -> bool {
        match (one, other) {
            (Value::Number(one), Value::Number(other)) => {
                one == other || one.as_f64() == other.as_f64()
            }
            (Value::Array(one), Value::Array(other)) => {
                one.len() == other.len()
                    && one.iter().zip(other).all(|(one, other)| is_same(one, other))
            }
            (Value::Object(one), Value::Object(other)) => {
                one.len() == other.len()
                    && one.iter().all(|(key, value)| {
                        other.get(key).is_some_and(|found| is_same(value, found))
                    })
            }
            _ => one == other,
        }
    }
    match (one, other) {
        (Some(one), Some(other)) => is_same(one, other),
        (None, None) => true,
        _ => false,
    }
}
