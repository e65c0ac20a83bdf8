//! JSON by simd-json; only this module may call it. Every parse is in place, has a depth limit, and
//! reuses its memory.
//!
//! simd-json's other entry points either copy the whole body first or allow nesting that overflows
//! a stack; clippy.toml forbids them. This module adds the padded parse (`fill_tape_padded`), tapes
//! and buffers that are used again, and errors that say what is wrong and where. Grammar: RFC 8259;
//! integers beyond 64 bits become floats.

mod first;
mod walk;

use crate::body::Body;
use crate::error::{Error, Result};
use crate::spare;
use crate::wire::Status;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};
use simd_json::{Buffers, ErrorType, Node, StaticNode, Tape};
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering};
use walk::Walk;

/// Number of bytes after a document that the parser may read.
pub const PADDING_BYTES: usize = Body::PADDING_BYTES;
const _: () = assert!(simd_json::INPUT_PADDING <= PADDING_BYTES, "the parser reads further");

/// Deepest nesting of arrays and objects that a document may have, in levels; a deeper one is
/// refused. The code that builds a value is recursive, and 128 levels of the type with the largest
/// stack frame fit a coroutine's stack (docs/CONTRACTS.md, section 2).
pub const MAX_DEPTH: usize = 128;

/// Parses the body as a `T`, in place: `&str` fields of `T` borrow from the body.
///
/// # Errors
/// 400 with what is wrong and the byte near it, counted from 0: if the body is not JSON or too
/// deep; and if it is not a `T`, with the member, what was expected there and what was found: `at
/// "user.name": expected a string, found null (near byte 16)`.
pub fn parse<'a, T: Deserialize<'a>>(body: Body<'a>) -> Result<T> {
    let mut scratch = Scratch::take();
    let mut tape = scratch.tape.reset();
    let start = body.as_bytes().as_ptr() as usize;
    let filled = fill(body, &mut scratch.buffers, &mut tape);
    let value = filled.and_then(|()| {
        T::deserialize(&mut Walk::new(&tape.0))
            .map_err(|mismatch| wrong_shape(&mismatch.describe(&tape.0, start)))
    });
    scratch.tape = tape.reset();
    scratch.give_back();
    value
}

/// A parsed document. It keeps everything that was sent, including order and duplicate keys. Its
/// strings point into the body.
///
/// Serialising it writes the same value again without building a tree, which suits a function that
/// passes events on.
pub struct Document<'a>(Tape<'a>);

impl<'a> Document<'a> {
    /// Parses the body in place.
    ///
    /// # Errors
    /// As [`parse`].
    pub fn parse(body: Body<'a>) -> Result<Document<'a>> {
        let mut scratch = Scratch::take();
        let mut tape = std::mem::replace(&mut scratch.tape, Tape(Vec::new())).reset();
        let filled = fill(body, &mut scratch.buffers, &mut tape);
        scratch.give_back();
        filled.map(|()| Document(tape))
    }

    /// The document's root value, for reading without a type.
    pub fn root(&self) -> simd_json::tape::Value<'_, 'a> {
        self.0.as_value()
    }
}

impl Drop for Document<'_> {
    fn drop(&mut self) {
        let tape = std::mem::replace(&mut self.0, Tape(Vec::new())).reset();
        let mut scratch = Scratch::take();
        scratch.tape = tape;
        scratch.give_back();
    }
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Subtree(&self.0.0).serialize(serializer)
    }
}

/// The nodes of one value and of all that follows it; a node holds the number of its children's
/// nodes.
struct Subtree<'t, 'a>(&'t [Node<'a>]);

impl Subtree<'_, '_> {
    /// Number of nodes of the first value.
    fn size(&self) -> usize {
        match self.0.first() {
            Some(Node::Object { count, .. } | Node::Array { count, .. }) => count + 1,
            _ => 1,
        }
    }
}

impl Serialize for Subtree<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some((first, mut rest)) = self.0.split_first() else {
            return serializer.serialize_unit();
        };
        match first {
            Node::Static(StaticNode::Null) => serializer.serialize_unit(),
            Node::Static(StaticNode::Bool(value)) => serializer.serialize_bool(*value),
            Node::Static(StaticNode::I64(value)) => serializer.serialize_i64(*value),
            Node::Static(StaticNode::U64(value)) => serializer.serialize_u64(*value),
            Node::Static(StaticNode::F64(value)) => serializer.serialize_f64(*value),
            Node::String(text) => serializer.serialize_str(text),
            Node::Array { len, .. } => {
                let mut array = serializer.serialize_seq(Some(*len))?;
                for _ in 0..*len {
                    let member = Subtree(rest);
                    array.serialize_element(&member)?;
                    rest = rest.get(member.size()..).unwrap_or_default();
                }
                array.end()
            }
            Node::Object { len, .. } => {
                let mut object = serializer.serialize_map(Some(*len))?;
                for _ in 0..*len {
                    let (key, value) = (Subtree(rest), Subtree(rest.get(1..).unwrap_or_default()));
                    object.serialize_entry(&key, &value)?;
                    rest = rest.get(1 + value.size()..).unwrap_or_default();
                }
                object.end()
            }
        }
    }
}

/// Appends `value` as JSON.
///
/// serde_json writes, while simd-json reads: simd-json's writer first detects the processor's
/// features, for which a first reply would wait (see `first`). On replies of usual size the two are
/// equally fast.
///
/// # Errors
/// The handler's error, if the type's own `Serialize` fails or a map's key is not text.
pub fn write<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<()> {
    serde_json::to_writer(out, value)
        .map_err(|error| Error::new(format!("the reply cannot be written as JSON: {error}")))
}

fn fill<'a>(body: Body<'a>, buffers: &mut Option<Buffers>, tape: &mut Tape<'a>) -> Result<()> {
    let (padded, len) = body.into_padded();
    if len == 0 {
        return Err(Error::peer(Status::BAD_REQUEST, "the body is empty where JSON is expected"));
    }
    if !SETTLED.load(Ordering::Relaxed)
        && len <= MOST_FIRST_BYTES
        && first::is_plain(&padded[..len], MAX_DEPTH)
    {
        tape.0.clear();
        first::fill(&padded[..len], MAX_DEPTH, &mut tape.0);
        return Ok(());
    }
    let parser = buffers.get_or_insert_with(|| Buffers::with_max_depth(1024, MAX_DEPTH));
    let filled =
        simd_json::fill_tape_padded(padded, len, parser, tape).map_err(|error| not_json(&error));
    if len > spare::KEEP_BYTES {
        *buffers = None; // they have grown to the document's size: strings and positions
    }
    filled
}

/// Whether the processor's features have been detected.
static SETTLED: AtomicBool = AtomicBool::new(false);
/// Size of a first document from which on detecting the features pays off, in bytes.
const MOST_FIRST_BYTES: usize = 16 * 1024;

/// Makes later parses use the instructions that this processor has. Called once the first reply is
/// out, because detecting them costs more than reading a small document.
pub(crate) fn settle() {
    #[cfg(target_arch = "x86_64")]
    let _ = std::arch::is_x86_feature_detected!("avx2");
    SETTLED.store(true, Ordering::Relaxed);
}

fn not_json(error: &simd_json::Error) -> Error {
    let what = match error.error() {
        ErrorType::DepthLimitExceeded => {
            return Error::peer(
                Status::BAD_REQUEST,
                format!(
                    "the body's JSON is nested deeper than {MAX_DEPTH} levels (near byte {})",
                    error.index()
                ),
            );
        }
        ErrorType::Eof => "it ends too early",
        ErrorType::InvalidUtf8 => "it is not UTF-8",
        ErrorType::InvalidEscape
        | ErrorType::InvalidUnicodeEscape
        | ErrorType::InvalidUnicodeCodepoint => "a string has an invalid escape",
        ErrorType::InvalidNumber | ErrorType::InvalidExponent | ErrorType::Overflow => {
            "a number is malformed or out of range"
        }
        ErrorType::UnterminatedString => "a string is not ended",
        ErrorType::ExpectedObjectColon => "a `:` is missing",
        ErrorType::ExpectedArrayComma | ErrorType::ExpectedObjectContent => {
            "a `,` or a closing bracket is missing"
        }
        ErrorType::TrailingData => "something follows the document",
        _ => "it is malformed",
    };
    Error::peer(
        Status::BAD_REQUEST,
        format!("the body is not JSON: {what} (near byte {})", error.index()),
    )
}

#[cold]
fn wrong_shape(what: &str) -> Error {
    Error::peer(
        Status::BAD_REQUEST,
        format!("the body's JSON is not what the function expects: {what}"),
    )
}

/// The parser's memory between two parses. One per thread is enough: a parse never yields, so a
/// coroutine gives back what it took before another one runs. Memory that moves to another thread
/// simply stays there.
struct Scratch {
    /// Allocated with the first document that needs them.
    buffers: Option<Buffers>,
    tape: Tape<'static>,
}

thread_local! {
    // Never dropped, like the buffers of spare.rs: registering a destructor costs five system calls
    // before the first reply.
    static SPARE: Cell<Option<ManuallyDrop<Scratch>>> = const { Cell::new(None) };
}

impl Scratch {
    /// Largest number of nodes of a tape that is kept: 24 bytes each, so 96 KiB.
    const KEEP_NODES: usize = 4096;

    // A coroutine may continue on another thread: the slot's address must not be kept across calls.
    #[inline(never)]
    fn take() -> Scratch {
        SPARE
            .take()
            .map(ManuallyDrop::into_inner)
            .unwrap_or_else(|| Scratch { buffers: None, tape: Tape(Vec::new()) })
    }

    #[inline(never)]
    fn give_back(mut self) {
        if self.tape.0.capacity() > Self::KEEP_NODES {
            self.tape = Tape(Vec::new());
        }
        SPARE.set(Some(ManuallyDrop::new(self)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(text: &str) -> Result<String> {
        let mut bytes = text.as_bytes().to_vec();
        let document = Document::parse(Body::from_vec(&mut bytes))?;
        let mut out = Vec::new();
        write(&document, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn borrows_strings_from_the_body() {
        #[derive(serde::Deserialize)]
        struct Timer<'a> {
            #[serde(rename = "TriggerName")]
            name: &'a str,
        }
        let mut bytes = br#"{"Type":"Timer","TriggerName":"every\nminute"}"#.to_vec();
        bytes.reserve(PADDING_BYTES); // so that it need not move to be padded
        let range = bytes.as_ptr_range();
        let timer: Timer<'_> =
            parse(Body::from_vec(&mut bytes)).map_err(|error| error.to_string()).unwrap();
        assert_eq!(timer.name, "every\nminute");
        assert!(range.contains(&timer.name.as_ptr()), "it lies in the body");
    }

    #[test]
    fn a_document_is_written_back_as_it_was() {
        for text in [
            "null",
            "true",
            "-1",
            "18446744073709551615",
            "1.5",
            "\"a\\nb\"",
            "[]",
            "{}",
            "[1,[2,[]],{}]",
            r#"{"b":1,"a":{"c":[null,false]},"b":2}"#,
        ] {
            assert_eq!(echo(text).map_err(|error| error.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn errors_name_what_is_wrong_and_where() {
        for (text, expected) in [
            ("", "the body is empty"),
            ("   ", "ends too early"),
            ("{\"a\"", "not JSON"),
            ("[1,]", "not JSON"),
            ("{\"a\":1}x", "not JSON"),
            ("\"\\ud800\"", "escape"),
            ("nul", "not JSON"),
            ("no JSON", "the body is not JSON: it is malformed (near byte 0)"),
        ] {
            let error = echo(text).unwrap_err();
            assert_eq!(error.status().code(), 400);
            assert!(error.to_string().contains(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn takes_128_levels_and_refuses_129() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nest = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
            assert!(echo(&nest(128)).is_ok());
            assert!(echo(&nest(129)).unwrap_err().to_string().contains("deeper than 128"));
        }
        assert!(echo(&"[".repeat(100_000)).is_err());
    }
}
