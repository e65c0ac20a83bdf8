//! Value: any JSON within an event, borrowed from the body. For members whose form is not
//! documented; where you know it, use a type of your own. Order and duplicate names are kept. RFC
//! 8259.

use super::record::plain_field;
use crate::secret::is_secret;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use std::fmt;

/// One JSON value of any kind.
#[derive(Clone, Default, PartialEq)]
pub enum Value<'a> {
    /// `null`, or a missing member.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer from -2^63 to 2^63 - 1.
    Int(i64),
    /// An integer from 2^63 to 2^64 - 1.
    UInt(u64),
    /// Any other number.
    Float(f64),
    /// Text, unescaped.
    Text(&'a str),
    /// An array.
    List(Vec<Value<'a>>),
    /// An object.
    Object(Map<'a, Value<'a>>),
}

impl<'a> Value<'a> {
    /// The object's member of this name; `Null` if this is not an object or has no such member.
    pub fn get(&self, name: &str) -> &Value<'a> {
        match self {
            Value::Object(members) => members.get(name).unwrap_or(&Value::Null),
            _ => &Value::Null,
        }
    }

    /// The text, if the value is text.
    pub fn as_str(&self) -> Option<&'a str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if the value is one that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }
}

/// A JSON object whose names are data: headers, query parameters, metadata. `Debug` prints
/// `redacted` in place of what may be a secret, as [`Headers`](crate::Headers) does.
#[derive(Clone, PartialEq)]
pub struct Map<'a, V>(Vec<(&'a str, V)>);

impl<'a, V> Map<'a, V> {
    /// The first value with exactly this name.
    pub fn get(&self, name: &str) -> Option<&V> {
        self.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The first value with this name in any case, as for header fields.
    pub fn get_ignore_case(&self, name: &str) -> Option<&V> {
        self.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Names and values in the order they were sent.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &V)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a member at the end.
    pub fn push(&mut self, name: &'a str, value: V) {
        self.0.push((name, value));
    }

    /// The first value with this name in any case, to change it.
    pub(super) fn get_ignore_case_mut(&mut self, name: &str) -> Option<&mut V> {
        self.0.iter_mut().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl<'a, V> IntoIterator for Map<'a, V> {
    type Item = (&'a str, V);
    type IntoIter = std::vec::IntoIter<(&'a str, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<V> Default for Map<'_, V> {
    fn default() -> Self {
        Map(Vec::new())
    }
}

impl<V: fmt::Debug> fmt::Debug for Map<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, value) in self.iter() {
            match is_secret(name) {
                true => map.entry(&name, &"redacted"),
                false => map.entry(&name, value),
            };
        }
        map.finish()
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(value) => value.fmt(f),
            Value::Int(value) => value.fmt(f),
            Value::UInt(value) => value.fmt(f),
            Value::Float(value) => value.fmt(f),
            Value::Text(value) => value.fmt(f),
            Value::List(value) => value.fmt(f),
            Value::Object(value) => value.fmt(f),
        }
    }
}

plain_field!(Value<'a>);

impl<V> super::record::Absent for Map<'_, V> {}

impl<'de: 'a, 'a, V: Deserialize<'de>> super::record::Field<'de> for Map<'a, V> {
    #[inline(never)] // a gateway's event has six of them
    fn read<A: MapAccess<'de>>(map: &mut A) -> Result<Self, A::Error> {
        Ok(map.next_value::<Option<Self>>()?.unwrap_or_default())
    }
}

impl<'de: 'a, 'a, V: Deserialize<'de>> Deserialize<'de> for Map<'a, V> {
    #[inline(never)]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(std::marker::PhantomData<T>);

        impl<'de: 'a, 'a, V: Deserialize<'de>> Visitor<'de> for Members<Map<'a, V>> {
            type Value = Map<'a, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Map::default();
                while let Some(entry) = map.next_entry()? {
                    members.0.push(entry);
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Members(std::marker::PhantomData))
    }
}

impl<V: Serialize> Serialize for Map<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Value<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON")
            }

            fn visit_unit<E>(self) -> Result<Value<'de>, E> {
                Ok(Value::Null)
            }

            fn visit_none<E>(self) -> Result<Value<'de>, E> {
                Ok(Value::Null)
            }

            fn visit_some<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<Value<'de>, D::Error> {
                deserializer.deserialize_any(Any)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
                Ok(Value::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
                Ok(Value::Int(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
                Ok(i64::try_from(value).map_or(Value::UInt(value), Value::Int))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Value<'de>, E> {
                Ok(Value::Float(value))
            }

            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Value<'de>, E> {
                Ok(Value::Text(value))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
                let mut list = Vec::new();
                while let Some(member) = seq.next_element()? {
                    list.push(member);
                }
                Ok(Value::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
                let mut members = Map::default();
                while let Some(entry) = map.next_entry()? {
                    members.0.push(entry);
                }
                Ok(Value::Object(members))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => serializer.serialize_i64(*value),
            Value::UInt(value) => serializer.serialize_u64(*value),
            Value::Float(value) => serializer.serialize_f64(*value),
            Value::Text(value) => serializer.serialize_str(value),
            Value::List(list) => {
                let mut seq = serializer.serialize_seq(Some(list.len()))?;
                for member in list {
                    seq.serialize_element(member)?;
                }
                seq.end()
            }
            Value::Object(map) => map.serialize(serializer),
        }
    }
}
