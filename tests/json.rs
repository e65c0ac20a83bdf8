//! Tests of firstbyte::json against serde_json: the same verdict and the same value, on a generated
//! corpus and on RFC 8259's grammar case by case. An intended difference is marked in its case.
//! They use no server; the server's own tests send JSON.

use fastrand::Rng;
use firstbyte::Body;
use firstbyte::json::{self, Document};
use serde_json::Value;

/// firstbyte's value of a document, by a typed parse and by a document that is written back.
fn ours(text: &[u8]) -> Result<Value, String> {
    let as_value = {
        let mut bytes = text.to_vec();
        json::parse::<Value>(Body::from_vec(&mut bytes)).map_err(|error| error.to_string())
    };
    let as_document = {
        let mut bytes = text.to_vec();
        Document::parse(Body::from_vec(&mut bytes)).map_err(|error| error.to_string()).map(
            |document| {
                let mut written = Vec::new();
                json::write(&document, &mut written)
                    .unwrap_or_else(|error| panic!("{error}: {}", text.escape_ascii()));
                serde_json::from_slice::<Value>(&written).unwrap_or_else(|error| {
                    panic!("{error}: {} was written", written.escape_ascii())
                })
            },
        )
    };
    match (&as_value, &as_document) {
        (Ok(value), Ok(document)) => {
            assert!(is_same(value, document), "{value} and {document}: {}", text.escape_ascii())
        }
        (Err(one), Err(other)) => assert_eq!(one, other, "{}", text.escape_ascii()),
        _ => panic!("{as_value:?} and {as_document:?}: {}", text.escape_ascii()),
    }
    as_document
}

/// Equality of JSON values: numbers are equal if their values are, in any representation (RFC 8259,
/// section 6).
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other
                || one
                    .as_f64()
                    .zip(other.as_f64())
                    .is_some_and(|(one, other)| one == other && !both_exact(one))
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, value)| other.get(key).is_some_and(|found| is_same(value, found)))
        }
        _ => one == other,
    }
}

/// Above 2^53 not every integer has a float, so equal floats are not equal numbers, unless both
/// were floats.
fn both_exact(value: f64) -> bool {
    value.abs() > 9_007_199_254_740_992.0 && value.abs() < 1.9e19
}

#[track_caller]
fn assert_agree(text: &[u8]) {
    let theirs = serde_json::from_slice::<Value>(text);
    match (ours(text), theirs) {
        (Ok(ours), Ok(theirs)) => {
            assert!(
                is_same(&ours, &theirs),
                "ours {ours}, theirs {theirs}: {}",
                text.escape_ascii()
            );
        }
        (Err(_), Err(_)) => {}
        (ours, theirs) => panic!("ours {ours:?}, theirs {theirs:?}: {}", text.escape_ascii()),
    }
}

/// RFC 8259, section by section.
#[rustfmt::skip] // a table, not a list of lines
const GRAMMAR: &[&[u8]] = &[
    // 2: structure and white space
    b" \t\n\r1 \t\n\r", b"\x0c1", b"\x0b1", b"\xc2\xa01", b"", b" ", b"1 2", b"[1]]", b"[1", b"]",
    b"{", b"}", b"[}", b"{]", b"\xef\xbb\xbf1", b"1\0", b"[1\0]", b"//1", b"/*1*/1", b"1,", b",",
    b":", b"[1 2]", b"\xe2\x80\xa81",
    // 3: values
    b"true", b"false", b"null", b"True", b"NULL", b"tru", b"truee", b"nul", b"undefined", b"NaN",
    b"Infinity", b"-Infinity", b"[true,false,null]", b"truefalse", b"[nullnull]", b"'a'", b"a",
    b"\"a\"b", b"[tru]", b"[fals]", b"t", b"f", b"n",
    // 4: objects
    b"{}", b"{ }", b"{\"a\":1}", b"{\"a\" : 1 , \"b\":2}", b"{\"a\":1,}", b"{,}", b"{,\"a\":1}",
    b"{\"a\"}", b"{\"a\":}", b"{\"a\",1}", b"{a:1}", b"{1:1}", b"{null:1}", b"{\"a\":1 \"b\":2}",
    b"{\"a\":1,,\"b\":2}", b"{\"a\"::1}", b"{:1}", b"{\"\":1}", b"{\"a\":1}}", b"{\"a\":{}}",
    b"{\"a\":1,\"a\":2}", b"{\"a\":1,\"\\u0061\":2}", b"{\"a\":{\"b\":1},\"a\":{\"c\":2}}",
    // 5: arrays
    b"[]", b"[ ]", b"[1,2]", b"[1,]", b"[,]", b"[,1]", b"[1,,2]", b"[[]]", b"[[],[]]", b"[[]",
    b"[][]", b"[\"a\",[{\"b\":[]}]]",
    // 6: numbers
    b"0", b"-0", b"-0.0", b"0.0", b"1", b"-1", b"10", b"01", b"-01", b"00", b"+1", b"--1", b"-",
    b".5", b"5.", b"1.0", b"1.e1", b"1e", b"1e+", b"1E1", b"1e1", b"1e-1", b"1e+1", b"1e01",
    b"-1.5E-10", b"0e0", b"0e-5", b"0x10", b"1_000", b"1a", b"- 1", b"1 .5", b"1.5.5", b"1e1e1",
    b"1e1.5", b"\xef\xbc\x91", b"9007199254740993", b"-9007199254740993", b"9223372036854775807",
    b"-9223372036854775808", b"-9223372036854775809", b"18446744073709551615",
    b"18446744073709551616", b"99999999999999999999999999", b"-99999999999999999999999999",
    b"1e400", b"-1e400", b"1e-400", b"5e-324", b"2e-324", b"1.7976931348623157e308",
    b"1.7976931348623159e308", b"2.2250738585072011e-308", b"0.1",
    b"3.141592653589793238462643383279", b"123456789012345678901234567890.123456789e-20", b"1e23",
    b"8.41e21", b"9007199254740993.0", b"1.00000000000000011102230246251565",
    b"100000000000000000000000e-23",
    // 7: strings
    b"\"\"", b"\"a", b"\"", b"\"\\\"", b"\"\\\"\"", b"\"\\\\\"", b"\"\\/\\b\\f\\n\\r\\t\"",
    b"\"\\a\"", b"\"\\x41\"", b"\"\\'\"", b"\"\\\"", b"\"\\u0041\"", b"\"\\u00e4\"", b"\"\\u00E4\"",
    b"\"\\u0000\"", b"\"\\u\"", b"\"\\u004\"", b"\"\\u004g\"", b"\"\\U0041\"",
    b"\"\\uD834\\uDD1E\"", b"\"\\ud834\"", b"\"\\udd1e\"", b"\"\\ud834\\ud834\"",
    b"\"\\ud834\\u0041\"", b"\"\\ud834x\"", b"\"\\ud834\\n\"", b"\"\\udd1e\\ud834\"",
    b"\"\\ufffe\\uffff\"", b"\"\x00\"", b"\"\x01\"", b"\"\x1f\"", b"\"\n\"", b"\"\t\"", b"\"\x7f\"",
    b"\"/\"", b"\"\\", b"\"\\u12", b"[\"a\",\"b]",
    // 8.1: UTF-8
    b"\"\xc3\xa4\"", b"\"\xe2\x82\xac\"", b"\"\xf0\x9d\x84\x9e\"", b"\"\xf4\x8f\xbf\xbf\"",
    b"\"\xf4\x90\x80\x80\"", b"\"\xff\"", b"\"\xc3\"", b"\"\xe2\x82\"", b"\"\xc0\xaf\"",
    b"\"\xe0\x80\xaf\"", b"\"\xed\xa0\x80\"", b"\"\xed\xb0\x80\"", b"\"\xa4\"",
    b"\"\xf8\x88\x80\x80\x80\"", b"\xff", b"{\"\xff\":1}", b"\xfe\xff\x001", b"[\"\xe9\"]",
];

#[test]
fn every_case_of_the_grammar_has_serde_jsons_verdict_and_value() {
    for text in GRAMMAR {
        assert_agree(text);
        // The same within a document, at the boundaries of a wide instruction's block.
        for padding in [1, 30, 31, 32, 62, 63, 64, 65] {
            assert_agree(&[b"[", " ".repeat(padding).as_bytes(), text, b"]"].concat());
            assert_agree(
                &[b"{\"k\":\"", "v".repeat(padding).as_bytes(), b"\",\"l\":", text, b"}"].concat(),
            );
        }
    }
}

#[test]
fn every_prefix_of_a_document_has_the_same_verdict() {
    let text = "{\"a\":[1,-2.5e3,true,null,{\"b\\n\\u00e4\":\"\u{1d11e}\\ud834\\udd1e\"},[],{}],\"\
                c\":false}"
        .as_bytes();
    for cut in 0..=text.len() {
        assert_agree(&text[..cut]);
    }
}

#[test]
fn every_single_byte_has_the_same_verdict_everywhere() {
    for byte in 0..=255 {
        for (before, after) in [
            ("", ""),
            ("[", "]"),
            ("\"", "\""),
            ("\"\\", "\""),
            ("{", "\"a\":1}"),
            ("1", ""),
            ("[1", "2]"),
            ("-", ""),
        ] {
            assert_agree(&[before.as_bytes(), &[byte], after.as_bytes()].concat());
        }
    }
}

#[test]
fn generated_documents_have_the_same_verdict_and_value() {
    let mut accepted = 0;
    const DOCUMENTS: u64 = 60_000;
    for seed in 0..DOCUMENTS {
        let mut rng = Rng::with_seed(seed);
        let mut text = Vec::new();
        write_value(&mut rng, 0, &mut text);
        for _ in 0..[0, 0, 0, 1, 2][rng.usize(..5)] {
            break_somewhere(&mut rng, &mut text);
        }
        accepted += u64::from(ours(&text).is_ok());
        assert_agree(&text);
    }
    assert!(
        accepted > DOCUMENTS / 2 && accepted < DOCUMENTS,
        "{accepted} of {DOCUMENTS} are JSON: the corpus has both kinds"
    );
}

#[test]
fn generated_numbers_have_the_same_value_to_the_last_bit() {
    let mut rng = Rng::with_seed(8259);
    for _ in 0..100_000 {
        let text = number(&mut rng);
        let theirs: Result<f64, _> = text.parse::<f64>();
        let ours = ours(text.as_bytes());
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) if theirs.is_finite() => {
                assert_eq!(ours.as_f64(), Some(theirs), "{text}");
            }
            (Err(_), Ok(theirs)) => assert!(theirs.is_infinite(), "{text} is a number"),
            (ours, theirs) => panic!("{text}: {ours:?}, {theirs:?}"),
        }
    }
}

#[test]
fn a_repeated_key_is_kept_twice_and_the_last_value_counts() {
    let mut bytes = b"{\"a\":1,\"b\":2,\"a\":3}".to_vec();
    let document = Document::parse(Body::from_vec(&mut bytes)).expect("it is JSON");
    let mut written = Vec::new();
    json::write(&document, &mut written).expect("it can be written");
    assert_eq!(written, b"{\"a\":1,\"b\":2,\"a\":3}", "passing an event on loses nothing");
    // In a tree of values the last one counts, in small and in large objects.
    for keys in [2, 31, 32, 33, 100] {
        let text = format!(
            "{{{}\"k0\":\"last\"}}",
            (0..keys).map(|key| format!("\"k{key}\":{key},")).collect::<String>()
        );
        assert_agree(text.as_bytes());
    }
}

#[test]
fn nesting_is_limited_to_128_levels_of_any_kind() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]"), (" [ \n", "]")] {
        let levels = open.matches(['[', '{']).count();
        for depth in [1, 2, 100, 126, 127, 128, 129, 130, 1000, 100_000] {
            let text = format!("{}1{}", open.repeat(depth / levels), close.repeat(depth / levels));
            let is_ok = ours_without_oracle(text.as_bytes());
            assert_eq!(is_ok, depth / levels * levels <= 128, "{depth} levels of {open:?}");
        }
    }
    for unclosed in ["[", "{\"a\":", "[[[[{\"", "[1,"] {
        assert!(!ours_without_oracle(unclosed.repeat(50_000).as_bytes()));
    }
}

/// Whether it is accepted. serde_json's own limit is one level lower, so it cannot check the
/// written document.
fn ours_without_oracle(text: &[u8]) -> bool {
    let mut bytes = text.to_vec();
    let document = Document::parse(Body::from_vec(&mut bytes)).is_ok();
    let mut bytes = text.to_vec();
    let value = json::parse::<Value>(Body::from_vec(&mut bytes)).is_ok();
    assert_eq!(document, value);
    document
}

#[test]
fn an_error_names_the_mistake_and_its_byte() {
    for text in GRAMMAR.iter().filter(|text| !text.is_empty()) {
        if let Err(message) = ours(text) {
            assert!(message.starts_with("the body"), "{message}");
            assert!(message.contains("byte "), "{message}: {}", text.escape_ascii());
        }
    }
}

#[test]
fn bytes_after_the_document_are_not_changed() {
    for text in GRAMMAR {
        let mut buffer = text.to_vec();
        let behind: Vec<u8> = (0..200u8).map(|n| b"]}\"\\ ,1a"[usize::from(n) % 8]).collect();
        buffer.extend_from_slice(&behind);
        let verdict = Document::parse(Body::new(&mut buffer, text.len())).is_ok();
        assert_eq!(&buffer[text.len()..], behind, "{}", text.escape_ascii());
        assert_eq!(
            verdict,
            ours(text).is_ok(),
            "what follows does not count: {}",
            text.escape_ascii()
        );
    }
}

fn write_value(rng: &mut Rng, depth: usize, out: &mut Vec<u8>) {
    let space = |rng: &mut Rng, out: &mut Vec<u8>| {
        if rng.u8(..8) == 0 {
            out.extend_from_slice([" ", "\n", "\t", "\r\n", "   "][rng.usize(..5)].as_bytes());
        }
    };
    space(rng, out);
    match rng.u8(..if depth > 5 { 6 } else { 9 }) {
        0 => out.extend_from_slice(["true", "false", "null"][rng.usize(..3)].as_bytes()),
        1..=3 => {
            let number = number(rng);
            out.extend_from_slice(number.as_bytes());
        }
        4 | 5 => write_string(rng, out),
        6 => {
            out.push(b'[');
            for index in 0..rng.usize(..5) {
                if index > 0 {
                    out.push(b',');
                }
                write_value(rng, depth + 1, out);
            }
            out.push(b']');
        }
        _ => {
            out.push(b'{');
            for index in 0..rng.usize(..5) {
                if index > 0 {
                    out.push(b',');
                }
                space(rng, out);
                write_string(rng, out);
                space(rng, out);
                out.push(b':');
                write_value(rng, depth + 1, out);
            }
            out.push(b'}');
        }
    }
    space(rng, out);
}

fn write_string(rng: &mut Rng, out: &mut Vec<u8>) {
    const PIECES: &[&str] = &[
        "a",
        "key",
        "\\n",
        "\\\"",
        "\\\\",
        "\\/",
        "\\u0041",
        "\\u00e4",
        "\\ud83d\\ude00",
        "\u{e4}",
        "\u{20ac}",
        "\u{1f600}",
        "\\u0000",
        " ",
        "{",
        "]",
        ":",
        "0123456789abcdef0123456789abcdef",
    ];
    out.push(b'"');
    for _ in 0..rng.usize(..6) {
        out.extend_from_slice(PIECES[rng.usize(..PIECES.len())].as_bytes());
    }
    out.push(b'"');
}

/// A number of the grammar: short or long, with or without a fraction, near the limits of 64 bits
/// and of floats.
fn number(rng: &mut Rng) -> String {
    let digits = |rng: &mut Rng, most: usize| -> String {
        (0..rng.usize(1..=most)).map(|_| char::from(b'0' + rng.u8(..10))).collect()
    };
    let mut text = String::new();
    if rng.bool() {
        text.push('-');
    }
    match rng.u8(..6) {
        0 => text.push('0'),
        1 => text.push_str(&(u64::MAX - u64::from(rng.u8(..3))).to_string()),
        2 => text.push_str(&(i64::MAX.cast_unsigned() + u64::from(rng.u8(..3))).to_string()),
        _ => {
            text.push(char::from(b'1' + rng.u8(..9)));
            text.push_str(&digits(rng, 22));
        }
    }
    if rng.u8(..3) == 0 {
        text.push('.');
        text.push_str(&digits(rng, 25));
    }
    if rng.u8(..3) == 0 {
        text.push(if rng.bool() { 'e' } else { 'E' });
        text.push_str(["", "+", "-"][rng.usize(..3)]);
        text.push_str(&digits(rng, 3));
    }
    text
}

fn break_somewhere(rng: &mut Rng, text: &mut Vec<u8>) {
    if text.is_empty() {
        return;
    }
    let at = rng.usize(..text.len());
    match rng.u8(..4) {
        0 => text[at] = b"\"\\{}[],:0-eu\x00\xff \n"[rng.usize(..16)],
        1 => {
            text.remove(at);
        }
        2 => text.insert(at, b"\"\\{}[],:01.+\xc3\x1f"[rng.usize(..14)]),
        _ => text.truncate(at),
    }
}
