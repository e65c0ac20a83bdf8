//! Types of members whose form differs between documentation and practice. One visitor reads them
//! all: it accepts every form that can be understood, and names what it found otherwise.

use super::record::plain_field;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeSeq, Serializer};
use std::fmt;

/// Text, or an integer that another version of the platform sends in its place (`topicOwner`,
/// EventBridge's `time`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextOrNumber<'a> {
    /// As text.
    Text(&'a str),
    /// As an integer.
    Number(i64),
}

impl TextOrNumber<'_> {
    /// The integer, also if it was sent as text.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            TextOrNumber::Text(text) => text.parse().ok(),
            TextOrNumber::Number(number) => Some(*number),
        }
    }
}

impl Default for TextOrNumber<'_> {
    fn default() -> Self {
        TextOrNumber::Text("")
    }
}

/// One value or several: a gateway's header fields and query parameters (string, array of strings,
/// or a boolean for a query parameter without a value), tags of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OneOrMany<'a> {
    /// `"value"`.
    One(&'a str),
    /// `["value", "another"]`.
    Many(Vec<&'a str>),
    /// `true`: a name without a value.
    Flag(bool),
}

impl<'a> OneOrMany<'a> {
    /// The values; a flag has none.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> {
        let values = match self {
            OneOrMany::One(value) => std::slice::from_ref(value),
            OneOrMany::Many(values) => values,
            OneOrMany::Flag(_) => &[],
        };
        values.iter().copied()
    }

    /// The first value; a flag has none.
    pub fn first(&self) -> Option<&'a str> {
        self.iter().next()
    }
}

impl Default for OneOrMany<'_> {
    fn default() -> Self {
        OneOrMany::One("")
    }
}

/// An integer, also as text; `None` if the text is empty (CKafka's `partition`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Number(pub Option<i64>);

/// A boolean, also as text (CLB's `isBase64Encoded`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flag(pub bool);

plain_field!(TextOrNumber<'a>, OneOrMany<'a>, Flag);

impl<'de> super::record::Field<'de> for Number {
    fn read<A: serde::de::MapAccess<'de>>(map: &mut A) -> Result<Self, A::Error> {
        Ok(map.next_value::<Option<Self>>()?.unwrap_or_default())
    }
}

impl super::record::Absent for Number {
    fn is_absent(&self) -> bool {
        self.0.is_none()
    }
}

/// The parts of which these types consist.
enum Part<'a> {
    Bool(bool),
    Int(i64),
    Text(&'a str),
    List(Vec<&'a str>),
}

/// Reads a part; the text names what is expected. No method formats what it found: formatting
/// numbers would bring 20 KiB of code for fractions.
struct Expected(&'static str);

impl Expected {
    fn read<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<Part<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn found<T, E: Error>(&self, what: &str) -> Result<T, E> {
        Err(E::custom(format_args!("expected {}, found {what}", self.0)))
    }
}

impl<'de> Visitor<'de> for Expected {
    type Value = Part<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Part<'de>, E> {
        Ok(Part::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Part<'de>, E> {
        Ok(Part::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Part<'de>, E> {
        match i64::try_from(value) {
            Ok(value) => Ok(Part::Int(value)),
            Err(_) => self.found("an integer beyond 63 bits"),
        }
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Part<'de>, E> {
        self.found("a fraction")
    }

    fn visit_unit<E: Error>(self) -> Result<Part<'de>, E> {
        self.found("null")
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Part<'de>, E> {
        Ok(Part::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Part<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(member) = seq.next_element()? {
            list.push(member);
        }
        Ok(Part::List(list))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, _: A) -> Result<Part<'de>, A::Error> {
        self.found("an object")
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for TextOrNumber<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "text or an integer";
        match Expected(expected).read(deserializer)? {
            Part::Text(text) => Ok(TextOrNumber::Text(text)),
            Part::Int(number) => Ok(TextOrNumber::Number(number)),
            Part::Bool(_) => Expected(expected).found("a boolean"),
            Part::List(_) => Expected(expected).found("an array"),
        }
    }
}

impl Serialize for TextOrNumber<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            TextOrNumber::Text(text) => serializer.serialize_str(text),
            TextOrNumber::Number(number) => serializer.serialize_i64(*number),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for OneOrMany<'a> {
    #[inline(never)] // a gateway's event has five maps of these
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "text, an array of it or a boolean";
        match Expected(expected).read(deserializer)? {
            Part::Text(text) => Ok(OneOrMany::One(text)),
            Part::Bool(flag) => Ok(OneOrMany::Flag(flag)),
            Part::List(list) => Ok(OneOrMany::Many(list)),
            Part::Int(_) => Expected(expected).found("an integer"),
        }
    }
}

impl Serialize for OneOrMany<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            OneOrMany::One(text) => serializer.serialize_str(text),
            OneOrMany::Flag(flag) => serializer.serialize_bool(*flag),
            OneOrMany::Many(values) => {
                let mut seq = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    seq.serialize_element(value)?;
                }
                seq.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "an integer";
        match Expected(expected).read(deserializer)? {
            Part::Int(number) => Ok(Number(Some(number))),
            Part::Text("") => Ok(Number(None)),
            Part::Text(text) => match text.parse() {
                Ok(number) => Ok(Number(Some(number))),
                Err(_) => Expected(expected).found("other text"),
            },
            Part::Bool(_) => Expected(expected).found("a boolean"),
            Part::List(_) => Expected(expected).found("an array"),
        }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "true or false";
        match Expected(expected).read(deserializer)? {
            Part::Bool(flag) => Ok(Flag(flag)),
            Part::Text("true") => Ok(Flag(true)),
            Part::Text("false" | "") => Ok(Flag(false)),
            Part::Text(_) => Expected(expected).found("other text"),
            Part::Int(_) => Expected(expected).found("an integer"),
            Part::List(_) => Expected(expected).found("an array"),
        }
    }
}

impl Serialize for Flag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Map;
    use super::*;
    use crate::body::Body;
    use crate::json;

    /// Reads `{"m": text}` as a map of `T`, and gives the member or the error.
    fn member<T: Deserialize<'static>>(text: &str) -> Result<T, String> {
        let bytes = Box::leak(Box::new(format!("{{\"m\":{text}}}").into_bytes()));
        let map: Map<'_, T> =
            json::parse(Body::from_vec(bytes)).map_err(|error| error.to_string())?;
        map.into_iter().next().map(|(_, value)| value).ok_or_else(|| "nothing".to_owned())
    }

    #[test]
    fn takes_every_shape_that_was_seen() {
        assert_eq!(member(r#""a\u0062""#), Ok(TextOrNumber::Text("ab")));
        assert_eq!(member("-7"), Ok(TextOrNumber::Number(-7)));
        assert_eq!(member(r#""a""#), Ok(OneOrMany::One("a")));
        assert_eq!(member(r#"["a","b"]"#), Ok(OneOrMany::Many(vec!["a", "b"])));
        assert_eq!(member("[]"), Ok(OneOrMany::Many(vec![])));
        assert_eq!(member("true"), Ok(OneOrMany::Flag(true)));
        assert_eq!(
            (member("3"), member(r#""3""#), member(r#""""#)),
            (Ok(number(3)), Ok(number(3)), Ok(Number(None)))
        );
        assert_eq!(
            (member("true"), member(r#""false""#), member(r#""""#)),
            (Ok(Flag(true)), Ok(Flag(false)), Ok(Flag(false)))
        );
    }

    fn number(number: i64) -> Number {
        Number(Some(number))
    }

    #[test]
    fn errors_name_what_was_found() {
        let all = |text: &str| {
            [
                member::<TextOrNumber<'_>>(text).err(),
                member::<OneOrMany<'_>>(text).err(),
                member::<Number>(text).err(),
                member::<Flag>(text).err(),
            ]
        };
        for (text, found) in [
            ("1.5", "found a fraction"),
            ("{}", "found an object"),
            ("null", "found null"),
            ("18446744073709551615", "found an integer beyond 63 bits"),
        ] {
            for error in all(text) {
                assert!(
                    error.as_ref().is_some_and(|error| error.contains(found)),
                    "{text}: {error:?}"
                );
            }
        }
        assert!(
            member::<OneOrMany<'_>>("7")
                .unwrap_err()
                .contains("expected text, an array of it or a boolean")
        );
        assert!(
            member::<OneOrMany<'_>>("[1]").is_err() && member::<OneOrMany<'_>>("[[]]").is_err()
        );
        assert!(
            member::<Number>(r#""x""#)
                .unwrap_err()
                .contains("expected an integer, found other text")
        );
        assert!(
            member::<Flag>(r#""yes""#)
                .unwrap_err()
                .contains("expected true or false, found other text")
        );
        assert!(member::<TextOrNumber<'_>>("true").unwrap_err().contains("found a boolean"));
    }
}
