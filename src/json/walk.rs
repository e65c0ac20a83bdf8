//! Deserializer: makes a value of a parsed document. serde's interface over simd-json's tape.
//!
//! simd-json's own deserializer reports `ExpectedString` without a place. This one accepts the same
//! documents for the same types, and an error that passes through it collects the path to where it
//! began; a document without error pays nothing for it. Errors name types in JSON's words and never
//! show a value, because it may be a secret, and because writing numbers with fractions is 20 KiB
//! of code.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Expected, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use simd_json::{Node, StaticNode};
use std::fmt::{self, Write};

/// A position on the tape, and the nodes before it.
pub(super) struct Walk<'t, 'de> {
    nodes: &'t [Node<'de>],
    at: usize,
}

impl<'t, 'de> Walk<'t, 'de> {
    pub(super) fn new(nodes: &'t [Node<'de>]) -> Walk<'t, 'de> {
        Walk { nodes, at: 0 }
    }

    fn peek(&self) -> Option<Node<'de>> {
        self.nodes.get(self.at).copied()
    }

    /// Takes the next node.
    fn next(&mut self) -> Option<Node<'de>> {
        let node = self.peek();
        self.at += 1;
        node
    }

    /// The error for a node, taken just before, that is not what was expected.
    #[cold]
    #[inline(never)]
    fn mismatch(&self, expected: &str) -> Mismatch {
        let at = self.at.saturating_sub(1);
        let found = self.nodes.get(at).map_or("nothing", name_of);
        Mismatch::at(format!("expected {expected}, found {found}"), Some(at))
    }

    fn array<V: Visitor<'de>>(&mut self, len: usize, visitor: V) -> Result<V::Value, Mismatch> {
        let mut members = Members { walk: self, left: len, len };
        let value = visitor.visit_seq(&mut members)?;
        members.ended().map(|()| value)
    }

    fn object<V: Visitor<'de>>(&mut self, len: usize, visitor: V) -> Result<V::Value, Mismatch> {
        let mut members = Members { walk: self, left: len, len };
        let value = visitor.visit_map(&mut members)?;
        members.ended().map(|()| value)
    }

    fn number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.next() {
            Some(Node::Static(StaticNode::I64(number))) => visitor.visit_i64(number),
            Some(Node::Static(StaticNode::U64(number))) => visitor.visit_u64(number),
            _ => Err(self.mismatch("an integer")),
        }
    }
}

fn name_of(node: &Node<'_>) -> &'static str {
    match node {
        Node::String(_) => "a string",
        Node::Array { .. } => "an array",
        Node::Object { .. } => "an object",
        Node::Static(StaticNode::Null) => "null",
        Node::Static(StaticNode::Bool(_)) => "a boolean",
        Node::Static(StaticNode::F64(_)) => "a fraction",
        Node::Static(StaticNode::I64(_) | StaticNode::U64(_)) => "an integer",
    }
}

macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
            self.number(visitor)
        }
    )*};
}

macro_rules! fractions {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
            match self.next() {
                Some(Node::Static(StaticNode::F64(number))) => visitor.visit_f64(number),
                Some(Node::Static(StaticNode::I64(number))) => visitor.visit_f64(number as f64),
                Some(Node::Static(StaticNode::U64(number))) => visitor.visit_f64(number as f64),
                _ => Err(self.mismatch("a number")),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Walk<'_, 'de> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.next() {
            Some(Node::String(text)) => visitor.visit_borrowed_str(text),
            Some(Node::Static(StaticNode::Null)) => visitor.visit_unit(),
            Some(Node::Static(StaticNode::Bool(value))) => visitor.visit_bool(value),
            Some(Node::Static(StaticNode::F64(number))) => visitor.visit_f64(number),
            Some(Node::Static(StaticNode::I64(number))) => visitor.visit_i64(number),
            Some(Node::Static(StaticNode::U64(number))) => visitor.visit_u64(number),
            Some(Node::Array { len, .. }) => self.array(len, visitor),
            Some(Node::Object { len, .. }) => self.object(len, visitor),
            None => Err(self.mismatch("a value")),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.next() {
            Some(Node::Static(StaticNode::Bool(value))) => visitor.visit_bool(value),
            _ => Err(self.mismatch("true or false")),
        }
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    fractions! { deserialize_f32 deserialize_f64 }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.next() {
            Some(Node::String(text)) => visitor.visit_borrowed_str(text),
            _ => Err(self.mismatch("a string")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if self.peek() == Some(Node::Static(StaticNode::Null)) {
            self.at += 1;
            visitor.visit_unit()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.next() {
            Some(Node::Static(StaticNode::Null)) => visitor.visit_unit(),
            _ => Err(self.mismatch("null")),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.next() {
            Some(Node::Array { len, .. }) => self.array(len, visitor),
            _ => Err(self.mismatch("an array")),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.next() {
            Some(Node::Object { len, .. }) => self.object(len, visitor),
            _ => Err(self.mismatch("an object")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match self.next() {
            Some(Node::Object { len, .. }) => self.object(len, visitor),
            Some(Node::Array { len, .. }) => self.array(len, visitor),
            _ => Err(self.mismatch("an object")),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match self.next() {
            Some(Node::Object { len: 1, .. }) => visitor.visit_enum(Variant(self)),
            Some(Node::String(text)) => {
                let at = self.at - 1;
                visitor
                    .visit_enum(BorrowedStrDeserializer::new(text))
                    .map_err(|error: Mismatch| error.placed(at))
            }
            _ => Err(self.mismatch("text, or an object with one member")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if let Some(Node::Array { count, .. } | Node::Object { count, .. }) = self.next() {
            self.at += count;
        }
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { char bytes byte_buf identifier }
}

/// The remaining members of an array or object.
struct Members<'w, 't, 'de> {
    walk: &'w mut Walk<'t, 'de>,
    left: usize,
    len: usize,
}

impl<'de> Members<'_, '_, 'de> {
    /// Checks that all members were taken: a visitor of fixed length stops early, and what it left
    /// would be read as what follows.
    fn ended(&self) -> Result<(), Mismatch> {
        if self.left == 0 { Ok(()) } else { Err(self.has_more()) }
    }

    #[cold]
    #[inline(never)]
    fn has_more(&self) -> Mismatch {
        let (len, fewer) = (self.len, self.len - self.left);
        Mismatch::at(format!("expected {fewer} members, found {len}"), Some(self.walk.at))
    }

    fn value<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
        step: impl FnOnce(&Self) -> Step,
    ) -> Result<S::Value, Mismatch> {
        let at = self.walk.at;
        match seed.deserialize(&mut *self.walk) {
            Ok(value) => Ok(value),
            Err(error) => Err(error.placed(at).below(step(self))),
        }
    }

    /// The name before the node at `at`.
    fn name(&self, at: usize) -> Step {
        match at.checked_sub(1).and_then(|at| self.walk.nodes.get(at)) {
            Some(Node::String(name)) => Step::Name(bounded(name, MOST_NAME_BYTES)),
            _ => Step::Name(String::new()),
        }
    }
}

impl<'de> SeqAccess<'de> for Members<'_, '_, 'de> {
    type Error = Mismatch;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Mismatch> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.value(seed, |members| Step::Index(members.len - members.left - 1)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for Members<'_, '_, 'de> {
    type Error = Mismatch;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Mismatch> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let at = self.walk.at;
        match self.walk.next() {
            Some(Node::String(name)) => match seed.deserialize(Name(name)) {
                Ok(key) => Ok(Some(key)),
                Err(error) => Err(error.placed(at)),
            },
            _ => Err(self.walk.mismatch("a name")),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Mismatch> {
        let at = self.walk.at;
        self.value(seed, |members| members.name(at))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// A member's name: text, or a value that its type parses from text.
struct Name<'de>(&'de str);

macro_rules! integer_names {
    ($($method:ident $type:ty => $visit:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
            match self.0.parse::<$type>() {
                Ok(number) => visitor.$visit(number),
                Err(_) => Err(de::Error::custom("expected an integer as a name, found other text")),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Name<'de> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_borrowed_str(self.0)
    }

    integer_names! {
        deserialize_i8 i64 => visit_i64
        deserialize_i16 i64 => visit_i64
        deserialize_i32 i64 => visit_i64
        deserialize_i64 i64 => visit_i64
        deserialize_i128 i128 => visit_i128
        deserialize_u8 u64 => visit_u64
        deserialize_u16 u64 => visit_u64
        deserialize_u32 u64 => visit_u64
        deserialize_u64 u64 => visit_u64
        deserialize_u128 u128 => visit_u128
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => Err(de::Error::custom("expected true or false as a name, found other text")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_enum(BorrowedStrDeserializer::new(self.0))
    }

    forward_to_deserialize_any! {
        f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

/// `{"variant": value}`.
struct Variant<'w, 't, 'de>(&'w mut Walk<'t, 'de>);

impl<'de> Variant<'_, '_, 'de> {
    fn content<T>(
        self,
        read: impl FnOnce(&mut Walk<'_, 'de>) -> Result<T, Mismatch>,
    ) -> Result<T, Mismatch> {
        let at = self.0.at;
        read(self.0).map_err(|error| {
            let members = Members { walk: self.0, left: 0, len: 1 };
            let step = members.name(at);
            error.placed(at).below(step)
        })
    }
}

impl<'de> EnumAccess<'de> for Variant<'_, '_, 'de> {
    type Error = Mismatch;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Mismatch> {
        let at = self.0.at;
        match self.0.next() {
            Some(Node::String(name)) => match seed.deserialize(Name(name)) {
                Ok(variant) => Ok((variant, self)),
                Err(error) => Err(error.placed(at)),
            },
            _ => Err(self.0.mismatch("a name")),
        }
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, '_, 'de> {
    type Error = Mismatch;

    fn unit_variant(self) -> Result<(), Mismatch> {
        self.content(|walk| de::Deserialize::deserialize(walk))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Mismatch> {
        self.content(|walk| seed.deserialize(walk))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Mismatch> {
        self.content(|walk| walk.deserialize_seq(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.content(|walk| walk.deserialize_struct("", fields, visitor))
    }
}

/// One step of the path from the root to where an error began.
enum Step {
    Name(String),
    Index(usize),
}

/// Largest number of bytes shown of one name, of the whole path, and of what is wrong there.
const MOST_NAME_BYTES: usize = 64;
const MOST_WAY_BYTES: usize = 256;
const MOST_WORDS_BYTES: usize = 512;

/// A mismatch: what was expected, what was found, and where.
pub(super) struct Mismatch(Box<Parts>);

struct Parts {
    what: String,
    /// From where the error began to the root.
    way: Vec<Step>,
    /// The node; `None` until it is known.
    at: Option<usize>,
}

impl Mismatch {
    #[cold]
    #[inline(never)]
    fn at(what: String, at: Option<usize>) -> Mismatch {
        Mismatch(Box::new(Parts { what, way: Vec::new(), at }))
    }

    /// Sets its node to the one at `at`, unless a nearer one is known.
    #[cold]
    fn placed(mut self, at: usize) -> Mismatch {
        self.0.at.get_or_insert(at);
        self
    }

    /// Adds a step to its path.
    #[cold]
    #[inline(never)]
    fn below(mut self, step: Step) -> Mismatch {
        self.0.way.push(step);
        self
    }

    /// The error as text: `at "user.name": expected a string, found null (near byte 15)`. `start`
    /// is the document's address.
    #[cold]
    #[inline(never)]
    pub(super) fn describe(&self, nodes: &[Node<'_>], start: usize) -> String {
        let mut message = String::new();
        let mut way = String::new();
        for step in self.0.way.iter().rev() {
            if way.len() > MOST_WAY_BYTES {
                way.push('\u{2026}');
                break;
            }
            match step {
                Step::Name(name) => {
                    if !way.is_empty() {
                        way.push('.');
                    }
                    // not `escape_debug`: its tables are 4 KiB of every function
                    let shown = |c: char| if c.is_control() || c == '"' { '\u{fffd}' } else { c };
                    way.extend(name.chars().map(shown));
                }
                Step::Index(index) => {
                    let _ = write!(way, "[{index}]"); // writing to a String does not fail
                }
            }
        }
        if !way.is_empty() {
            let _ = write!(message, "at \"{way}\": ");
        }
        message.push_str(&bounded(&self.0.what, MOST_WORDS_BYTES));
        let near = near(nodes, self.0.at.unwrap_or(0), start);
        let _ = write!(message, " (near byte {near})");
        message
    }
}

/// The place in the document of the node at `at`, or of what is before it. Only texts hold their
/// place; the place of another node is computed from the last text on, as if no optional white
/// space were between.
fn near(nodes: &[Node<'_>], at: usize, start: usize) -> usize {
    let lies = |text: &str| (text.as_ptr() as usize).saturating_sub(start);
    for (index, node) in nodes.iter().enumerate().take(at + 1).rev() {
        match node {
            Node::String(text) if index == at => return lies(text).saturating_sub(1),
            // behind its quote, and a colon or comma
            Node::String(text) => return lies(text) + text.len() + 2,
            _ => {}
        }
    }
    0
}

fn bounded(text: &str, most_bytes: usize) -> String {
    match text.floor_char_boundary(most_bytes) {
        end if end < text.len() => format!("{}\u{2026}", &text[..end]),
        _ => text.to_owned(),
    }
}

/// What was found, in JSON's words and without the value.
fn found(unexpected: Unexpected<'_>) -> &'static str {
    match unexpected {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer out of its range",
        Unexpected::Float(_) => "a fraction",
        Unexpected::Char(_) | Unexpected::Str(_) | Unexpected::Bytes(_) => "other text",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "an array",
        Unexpected::Map => "an object",
        _ => "something else",
    }
}

impl de::Error for Mismatch {
    #[cold]
    fn custom<T: fmt::Display>(what: T) -> Mismatch {
        Mismatch::at(what.to_string(), None)
    }

    #[cold]
    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Mismatch {
        let found = match unexpected {
            Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer",
            Unexpected::Str(_) => "a string",
            other => found(other),
        };
        Mismatch::at(format!("expected {expected}, found {found}"), None)
    }

    #[cold]
    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Mismatch {
        Mismatch::at(format!("expected {expected}, found {}", found(unexpected)), None)
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.what)
    }
}

impl fmt::Debug for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Mismatch {}

#[cfg(test)]
mod tests {
    use crate::body::Body;
    use crate::json::{self, parse};
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)] // read by serde only
    struct Order<'a> {
        #[serde(borrow)]
        user: User<'a>,
        #[serde(default)]
        items: Vec<Item>,
        #[serde(default)]
        state: State,
        by_number: Option<BTreeMap<u8, bool>>,
        place: Option<(i32, i32)>,
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct User<'a> {
        name: &'a str,
        age: Option<u8>,
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Item {
        price: f64,
    }

    #[derive(Debug, Default, Deserialize)]
    #[allow(dead_code)]
    enum State {
        #[default]
        Open,
        Closed {
            by: String,
        },
    }

    fn wrong(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        let message = match parse::<Order<'_>>(Body::from_vec(&mut bytes)) {
            Ok(order) => format!("{order:?}"),
            Err(error) => {
                assert_eq!(error.status().code(), 400);
                error.to_string()
            }
        };
        message.trim_start_matches("the body's JSON is not what the function expects: ").to_owned()
    }

    /// Regression: `{"name":null}` for a `&str` was reported as `ExpectedString`, without a place.
    #[test]
    fn errors_name_the_place_the_expected_and_the_found() {
        for settled in [false, true] {
            if settled {
                json::settle(); // the first documents have a reader of their own
            }
            for (text, expected) in [
                (
                    r#"{"user":{"name":null}}"#,
                    r#"at "user.name": expected a string, found null (near byte 16)"#,
                ),
                (r#"{"user":{"age":3}}"#, r#"at "user": missing field `name` (near byte 8)"#),
                (r#"{"items":[]}"#, "missing field `user` (near byte 0)"),
                (r#"[]"#, "invalid length 0, expected struct Order with 5 elements (near byte 0)"),
                (r#"7"#, "expected an object, found an integer (near byte 0)"),
                (
                    r#"{"user":{"name":"a","age":300}}"#,
                    "at \"user.age\": expected u8, found an integer out of its range (near \
                     byte 26)",
                ),
                (
                    r#"{"user":{"name":"a"},"items":[{"price":1},{"price":"2"}]}"#,
                    r#"at "items[1].price": expected a number, found a string (near byte 51)"#,
                ),
                (
                    r#"{"user":{"name":"a"},"state":{"Closed":{"by":1}}}"#,
                    r#"at "state.Closed.by": expected a string, found an integer (near byte 45)"#,
                ),
                (
                    r#"{"user":{"name":"a"},"state":"Shut"}"#,
                    "at \"state\": unknown variant `Shut`, expected `Open` or `Closed` (near \
                     byte 29)",
                ),
                (
                    r#"{"user":{"name":"a"},"by_number":{"x":true}}"#,
                    "at \"by_number\": expected an integer as a name, found other text (near \
                     byte 34)",
                ),
                (
                    r#"{"user":{"name":"a"},"place":[1,2,3]}"#,
                    r#"at "place": expected 2 members, found 3 (near byte 29)"#,
                ),
                (
                    r#"{"user":{"name":"a"},"place":[1,2.5]}"#,
                    r#"at "place[1]": expected an integer, found a fraction (near byte 29)"#,
                ),
            ] {
                assert_eq!(wrong(text), expected, "{text}");
            }
        }
        assert!(wrong(r#"{"user":{"name":"a","age":null},"more":[{"x":1}]}"#).starts_with("Order"));
        assert!(wrong(r#"{"user":{"name":"a"},"by_number":{"7":true}}"#).contains("{7: true}"));
        assert!(wrong(r#"{"user":{"name":"a"},"state":{"Closed":{"by":"b"}}}"#).contains("Closed"));
    }

    #[test]
    fn a_name_that_a_peer_chose_is_bounded_and_on_one_line() {
        let text = format!(r#"{{"user":{{"name":"a"}},"by_number":{{"{}":1}}}}"#, "9".repeat(5000));
        assert!(wrong(&text).len() < 200);
        type Nested = BTreeMap<String, BTreeMap<String, u8>>;
        let text = format!(r#"{{"{}\n\"":{{"b\u0000":null}}}}"#, "a".repeat(5000));
        let mut bytes = text.into_bytes();
        let message = parse::<Nested>(Body::from_vec(&mut bytes)).unwrap_err().to_string();
        assert!(message.contains(".b\u{fffd}") && message.contains("found null"), "{message}");
        assert!(message.len() < 300 && !message.contains(char::is_control), "{message}");
    }
}
