//! Reader of a process's first document, which does not detect the processor's features.
//!
//! simd-json chooses its instruction set at run time. CPUID, which it needs for that, traps into
//! the hypervisor of a virtual machine: measured there, 4 µs each and 29 µs for the set, a quarter
//! of a whole first reply. So the first document is read here, one byte at a time, into simd-json's
//! own tape; the choice is made once the reply is out.
//!
//! This is not a second JSON parser to trust: it accepts only simple valid documents (no escapes,
//! no fractions, no numbers beyond 18 digits) and leaves everything else, errors included, to
//! simd-json. For what it accepts, the tests compare its tape with simd-json's. Grammar: RFC 8259.

use simd_json::{Node, StaticNode};

/// Whether this reader can read the document.
pub(super) fn is_plain(text: &[u8], max_depth: usize) -> bool {
    read(text, max_depth, &mut ()).is_some()
}

/// Appends the nodes of a document for which [`is_plain`] is true; for any other document the nodes
/// are incomplete.
pub(super) fn fill<'a>(text: &'a [u8], max_depth: usize, tape: &mut Vec<Node<'a>>) {
    let _ = read(text, max_depth, tape);
}

/// What receives the nodes: nothing, or a tape.
trait Sink<'a> {
    /// Opens an array or object; returns its place.
    fn open(&mut self, object: bool) -> usize;
    /// Closes what was opened at `place` with `len` members.
    fn close(&mut self, place: usize, object: bool, len: usize);
    fn value(&mut self, node: Node<'a>);
}

impl<'a> Sink<'a> for () {
    fn open(&mut self, _: bool) -> usize {
        0
    }
    fn close(&mut self, _: usize, _: bool, _: usize) {}
    fn value(&mut self, _: Node<'a>) {}
}

impl<'a> Sink<'a> for Vec<Node<'a>> {
    fn open(&mut self, object: bool) -> usize {
        let (len, count) = (0, 0);
        self.push(if object { Node::Object { len, count } } else { Node::Array { len, count } });
        self.len() - 1
    }

    fn close(&mut self, place: usize, object: bool, len: usize) {
        let count = self.len() - place - 1;
        if let Some(node) = self.get_mut(place) {
            *node = if object { Node::Object { len, count } } else { Node::Array { len, count } };
        }
    }

    fn value(&mut self, node: Node<'a>) {
        self.push(node);
    }
}

/// An array or object that is not closed yet.
#[derive(Clone, Copy, Default)]
struct Open {
    place: usize,
    len: usize,
    object: bool,
}

/// Largest number of levels read here, whatever the limit; simd-json reads deeper documents.
const MOST_OPEN: usize = 32;

/// `Some` if the whole text is one plain document.
fn read<'a>(text: &'a [u8], max_depth: usize, sink: &mut impl Sink<'a>) -> Option<()> {
    std::str::from_utf8(text).ok()?;
    let mut open = [Open::default(); MOST_OPEN];
    let mut depth = 0;
    let mut at = skip_space(text, 0);
    loop {
        // A value starts here, or, straight after an opening bracket, what was opened ends.
        let byte = *text.get(at)?;
        let just_opened = depth > 0 && open[depth - 1].len == 0;
        if just_opened && byte == if open[depth - 1].object { b'}' } else { b']' } {
            // falls through to the closing below
        } else {
            if depth > 0 {
                let parent = &mut open[depth - 1];
                parent.len += 1;
                if parent.object {
                    let key = string(text, at)?;
                    sink.value(Node::String(key));
                    at = skip_space(text, at + key.len() + 2);
                    at = (text.get(at) == Some(&b':')).then(|| skip_space(text, at + 1))?;
                }
            }
            match *text.get(at)? {
                bracket @ (b'[' | b'{') => {
                    if depth == MOST_OPEN.min(max_depth) {
                        return None;
                    }
                    let object = bracket == b'{';
                    open[depth] = Open { place: sink.open(object), len: 0, object };
                    depth += 1;
                    at = skip_space(text, at + 1);
                    continue;
                }
                b'"' => {
                    let value = string(text, at)?;
                    sink.value(Node::String(value));
                    at += value.len() + 2;
                }
                _ => {
                    let (node, size) = scalar(text.get(at..)?)?;
                    sink.value(Node::Static(node));
                    at += size;
                }
            }
        }
        // A value has ended: a comma, a closing bracket or the end follows.
        loop {
            at = skip_space(text, at);
            let Some(index) = depth.checked_sub(1) else { return (at == text.len()).then_some(()) };
            let Open { place, len, object } = open[index];
            match *text.get(at)? {
                b',' if len > 0 => {
                    at = skip_space(text, at + 1);
                    break;
                }
                byte if byte == if object { b'}' } else { b']' } => {
                    sink.close(place, object, len);
                    depth -= 1;
                    at += 1;
                }
                _ => return None,
            }
        }
    }
}

fn skip_space(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// The string whose opening quote is at `at`, if it has neither escapes nor control characters.
fn string(text: &[u8], at: usize) -> Option<&str> {
    let rest = text.get(at..)?.strip_prefix(b"\"")?;
    let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20))?;
    if rest.get(end) != Some(&b'"') {
        return None;
    }
    std::str::from_utf8(rest.get(..end)?).ok()
}

/// A literal or an integer of at most 18 digits, and its size.
fn scalar(text: &[u8]) -> Option<(StaticNode, usize)> {
    for (literal, node) in [
        (&b"true"[..], StaticNode::Bool(true)),
        (b"false", StaticNode::Bool(false)),
        (b"null", StaticNode::Null),
    ] {
        if text.starts_with(literal) {
            return Some((node, literal.len()));
        }
    }
    let negative = text.first() == Some(&b'-');
    let start = usize::from(negative);
    let size = text.iter().skip(start).take_while(|byte| byte.is_ascii_digit()).count();
    let digits = text.get(start..start + size)?;
    let zero = digits.first() == Some(&b'0');
    if size == 0 || size > 18 || (zero && (size > 1 || negative)) {
        return None;
    }
    if matches!(text.get(start + size), Some(b'.' | b'e' | b'E')) {
        return None;
    }
    let value = digits.iter().fold(0u64, |value, digit| value * 10 + u64::from(digit - b'0'));
    let node = if negative { StaticNode::I64(-(value as i64)) } else { StaticNode::U64(value) };
    Some((node, start + size))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tape that simd-json makes, `None` if it refuses.
    fn simd(text: &str) -> Option<String> {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(text.len() + simd_json::INPUT_PADDING, 0);
        let mut tape = simd_json::Tape(Vec::new());
        let mut buffers = simd_json::Buffers::with_max_depth(64, super::super::MAX_DEPTH);
        simd_json::fill_tape_padded(&mut bytes, text.len(), &mut buffers, &mut tape).ok()?;
        Some(format!("{:?}", tape.0))
    }

    fn first(text: &str) -> Option<String> {
        if !is_plain(text.as_bytes(), super::super::MAX_DEPTH) {
            return None;
        }
        let mut tape = Vec::new();
        fill(text.as_bytes(), super::super::MAX_DEPTH, &mut tape);
        Some(format!("{tape:?}"))
    }

    #[test]
    fn takes_what_events_look_like() {
        for text in [
            r#"{"Type":"Timer","TriggerName":"every","Time":"2019-02-21T11:49:00Z","Message":"u"}"#,
            r#"{"Records":[{"cos":{"cosBucket":{"name":"n","appid":"1"},"size":1029,"vid":""}}]}"#,
            " [ 1 , -2 , [ ] , { } , { \"a\" : [ null , true , false ] } ] ",
            "\"\u{e4}\u{1f600}\"",
            "7",
            "null",
            "999999999999999999",
            "-999999999999999999",
            "0",
        ] {
            assert_eq!(first(text), simd(text));
            assert!(first(text).is_some(), "{text}");
        }
    }

    #[test]
    fn leaves_the_rest_to_simd_json() {
        for text in [
            "",
            " ",
            "[",
            "{",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{1:1}",
            "{\"a\":1 \"b\":2}",
            "]",
            "}",
            "[}",
            "{]",
            "1 2",
            "01",
            "-",
            "-0",
            "1.5",
            "1e3",
            "1.",
            "+1",
            "nul",
            "truex",
            "tru",
            "\"a\\n\"",
            "\"\n\"",
            "\"",
            "\"a",
            "1234567890123456789",
            "[1]]",
            "{\"a\":1}}",
            "\u{feff}1",
            "[1,,2]",
            "{,}",
        ] {
            assert_eq!(first(text), None, "{text:?}");
        }
        assert_eq!(first(&format!("{}{}", "[".repeat(33), "]".repeat(33))), None);
        assert!(!is_plain(b"\"\xff\"", 128));
        assert!(!is_plain(b"[[[1]]]", 2));
    }

    /// Every document of up to five tokens: where this reader says yes, simd-json reads the same.
    #[test]
    fn never_disagrees_with_simd_json() {
        const TOKENS: [&str; 14] = [
            "[", "]", "{", "}", ",", ":", "\"a\"", "\"\"", "1", "-7", "null", "true", " ", "\"\\\"",
        ];
        let mut accepted = 0;
        for length in 1..=5u32 {
            for mut number in 0..TOKENS.len().pow(length) {
                let mut text = String::new();
                for _ in 0..length {
                    text.push_str(TOKENS[number % TOKENS.len()]);
                    number /= TOKENS.len();
                }
                if let Some(tape) = first(&text) {
                    accepted += 1;
                    assert_eq!(Some(tape), simd(&text), "{text}");
                }
            }
        }
        assert!(accepted > 300, "{accepted}");
    }
}
