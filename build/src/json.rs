//! Canonical JSON: sorted object keys and no white space, so the same value gives the same bytes.
//! It only writes; `serde_json` reads. Maps in `oci-spec` are hash maps, whose order differs from
//! run to run, and digests are computed over these bytes.

use serde::Serialize;
use serde_json::Value;

/// `value` as JSON with sorted keys and no white space.
///
/// # Panics
/// Never for the types of this crate: their keys are strings, and all of them can be serialised.
pub fn canonical(value: &impl Serialize) -> Vec<u8> {
    let value = serde_json::to_value(value).expect("our own types serialise");
    let mut out = Vec::new();
    write(&value, &mut out);
    out
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            // Sorted here, because any crate may enable a feature of serde_json (preserve_order)
            // that changes the map's order.
            let mut members: Vec<_> = map.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            out.push(b'{');
            for (n, (key, member)) in members.into_iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write(&Value::String(key.clone()), out);
                out.push(b':');
                write(member, out);
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        scalar => out.extend_from_slice(scalar.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    #[test]
    fn sorts_keys_at_every_depth() {
        let inner: HashMap<_, _> = (0..50).map(|n| (format!("k{n:02}"), n)).collect();
        let text = String::from_utf8(super::canonical(&HashMap::from([
            ("b", vec![inner.clone()]),
            ("a", vec![inner]),
        ])))
        .expect("utf-8");
        let keys: Vec<_> = text.split('"').filter(|t| t.starts_with('k')).collect();
        let sorted: Vec<_> = (0..50).chain(0..50).map(|n| format!("k{n:02}")).collect();
        assert_eq!(keys, sorted);
        assert!(text.starts_with(r#"{"a":[{"k00":0,"k01":1,"#), "{text}");
    }
}
