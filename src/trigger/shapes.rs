//! Shapes that members of trigger events have been seen in, where documentation and practice disagree. Each is read
//! from a [`Value`], so that whatever comes is read and nothing is an error that could be understood.

use super::record::plain_field;
use super::value::Value;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, SerializeSeq, Serializer};

/// Text, or an integer that another version of the platform sends in its place (`topicOwner`, EventBridge's `time`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextOrNumber<'a> {
    /// As text.
    Text(&'a str),
    /// As an integer.
    Number(i64),
}

impl TextOrNumber<'_> {
    /// The integer, also where it is text.
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

/// One value or several: header fields and query parameters of gateways (string, array of strings, or a boolean for a
/// query parameter without a value), tags of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OneOrMany<'a> {
    /// `"value"`.
    One(&'a str),
    /// `["value", "another"]`.
    Many(Vec<&'a str>),
    /// `true`: there is a name and no value.
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

/// An integer that may be written as text; `None` if it is the empty text (CKafka's `partition`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Number(pub Option<i64>);

/// A boolean that may be written as text (CLB's `isBase64Encoded`).
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

impl<'de: 'a, 'a> Deserialize<'de> for TextOrNumber<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Text(text) => Ok(TextOrNumber::Text(text)),
            Value::Int(number) => Ok(TextOrNumber::Number(number)),
            other => Err(D::Error::custom(format_args!("expected text or an integer, found {other:?}"))),
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
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = |other| Err(D::Error::custom(format_args!("expected text or an array of it, found {other:?}")));
        match Value::deserialize(deserializer)? {
            Value::Text(text) => Ok(OneOrMany::One(text)),
            Value::Bool(flag) => Ok(OneOrMany::Flag(flag)),
            Value::List(list) => match list.iter().map(Value::as_str).collect() {
                Some(values) => Ok(OneOrMany::Many(values)),
                None => wrong(Value::List(list)),
            },
            other => wrong(other),
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
        match Value::deserialize(deserializer)? {
            Value::Int(number) => Ok(Number(Some(number))),
            Value::Text("") => Ok(Number(None)),
            Value::Text(text) => text.parse().map(|number| Number(Some(number))).map_err(D::Error::custom),
            other => Err(D::Error::custom(format_args!("expected an integer, found {other:?}"))),
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
        match Value::deserialize(deserializer)? {
            Value::Bool(flag) => Ok(Flag(flag)),
            Value::Text("true") => Ok(Flag(true)),
            Value::Text("false" | "") => Ok(Flag(false)),
            other => Err(D::Error::custom(format_args!("expected true or false, found {other:?}"))),
        }
    }
}

impl Serialize for Flag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(self.0)
    }
}
