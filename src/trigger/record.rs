//! `record!`: defines a struct that is read from a JSON object as trigger events need it, and
//! written back. A member that the platform always sends is `required`: an object without it is of
//! another kind, and an error. Other members that are missing or null get the field's default;
//! unknown ones are skipped; a member may have several spellings. It replaces serde's derive, where
//! these rules would be an attribute on every field, and keeps procedural macros out of a
//! function's build; it expands to the same serde code.

use serde::de::{Deserialize, Deserializer, MapAccess};

/// How a field is read and written.
pub(super) trait Field<'de>: Default + Absent {
    fn read<A: MapAccess<'de>>(map: &mut A) -> Result<Self, A::Error>;
}

/// When a field is left out in writing.
pub(super) trait Absent {
    /// Whether the object is written without this member.
    fn is_absent(&self) -> bool {
        false
    }
}

/// A plain field: null is the default, like a missing member.
macro_rules! plain_field {
    ($($type:ty),* $(,)?) => {$(
        #[allow(single_use_lifetimes, clippy::extra_unused_lifetimes)]
        impl<'a> $crate::trigger::record::Absent for $type {}

        impl<'de: 'a, 'a> $crate::trigger::record::Field<'de> for $type {
            fn read<A: ::serde::de::MapAccess<'de>>(map: &mut A) -> Result<Self, A::Error> {
                Ok(map.next_value::<Option<Self>>()?.unwrap_or_default())
            }
        }
    )*};
}

plain_field!(&'a str, bool, u16, u64, i64, f64);

/// An optional field: `None` is written as a missing member.
impl<'de, T: Deserialize<'de>> Field<'de> for Option<T> {
    fn read<A: MapAccess<'de>>(map: &mut A) -> Result<Self, A::Error> {
        map.next_value()
    }
}

impl<T> Absent for Option<T> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T> Absent for Vec<T> {}

impl<'de, T: Deserialize<'de>> Field<'de> for Vec<T> {
    fn read<A: MapAccess<'de>>(map: &mut A) -> Result<Self, A::Error> {
        Ok(map.next_value::<Option<Self>>()?.unwrap_or_default())
    }
}

/// Reads a member's name. Borrowed: simd-json unescapes names in place.
pub(super) struct Name<'de>(pub &'de str);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&str>::deserialize(deserializer).map(Name)
    }
}

/// `"Spelling" | "another" => field: Type,`: the first spelling is the one that is written. With
/// `required` before it, the object must have the member, and not as null.
macro_rules! record {
    (
        $(#[$doc:meta])*
        pub struct $record:ident<'a $(, $payload:ident = $default:ty)?> {
            $(
                $(#[$field_doc:meta])*
                $($required:ident)? $spelling:literal $(| $other:literal)* =>
                    $field:ident: $type:ty,
            )*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub struct $record<'a $(, $payload = $default)?> {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl<'a $(, $payload)?> Default for $record<'a $(, $payload)?> {
            fn default() -> Self {
                $record { $($field: Default::default(),)* }
            }
        }

        impl<'de: 'a, 'a $(, $payload: ::serde::Deserialize<'de>)?> ::serde::Deserialize<'de>
            for $record<'a $(, $payload)?>
        where
            $($type: $crate::trigger::record::Field<'de>,)*
        {
            fn deserialize<D: ::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                struct Members<T>(::std::marker::PhantomData<T>);

                impl<'de: 'a, 'a $(, $payload: ::serde::Deserialize<'de>)?>
                    ::serde::de::Visitor<'de> for Members<$record<'a $(, $payload)?>>
                {
                    type Value = $record<'a $(, $payload)?>;

                    fn expecting(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                        f.write_str(concat!("an object (", stringify!($record), ")"))
                    }

                    fn visit_map<A: ::serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<Self::Value, A::Error> {
                        #[allow(unused_imports)] // a record may have members of one kind only
                        use $crate::trigger::record::{Field, Name, absent, read_member};
                        let mut record = <Self::Value as Default>::default();
                        // Which of the required members have not been read yet.
                        let missing: &mut [&'static str] = &mut [
                            $($crate::trigger::record::required_name!($($required)? $spelling),)*
                        ];
                        while let Some(Name(name)) = map.next_key()? {
                            match name {
                                $($spelling $(| $other)* => {
                                    record.$field = read_member!($($required)? &mut map);
                                    absent(missing, $spelling);
                                })*
                                _ => drop(map.next_value::<::serde::de::IgnoredAny>()?),
                            }
                        }
                        match missing.iter().find(|name| !name.is_empty()) {
                            None => Ok(record),
                            Some(name) => Err(::serde::de::Error::missing_field(name)),
                        }
                    }
                }

                deserializer.deserialize_map(Members(::std::marker::PhantomData))
            }
        }

        impl<'a $(, $payload: ::serde::Serialize)?> ::serde::Serialize
            for $record<'a $(, $payload)?>
        {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use ::serde::ser::SerializeMap;
                use $crate::trigger::record::Absent;
                let mut map = serializer.serialize_map(None)?;
                $(
                    if !self.$field.is_absent() {
                        map.serialize_entry($spelling, &self.$field)?;
                    }
                )*
                map.end()
            }
        }

        $crate::trigger::record::record_field!($record $($payload)?);
    };
}

/// A required member's name; nothing for other members.
macro_rules! required_name {
    (required $spelling:literal) => {
        $spelling
    };
    ($spelling:literal) => {
        ""
    };
}

/// A member's value: null is not a value of a required one.
macro_rules! read_member {
    (required $map:expr) => {
        $map.next_value()?
    };
    ($map:expr) => {
        Field::read($map)?
    };
}

/// Notes that the member of this name was read.
pub(super) fn absent(missing: &mut [&'static str], name: &str) {
    if let Some(place) = missing.iter_mut().find(|missing| **missing == name) {
        *place = "";
    }
}

/// A record is a plain field of other records.
macro_rules! record_field {
    ($record:ident) => {
        $crate::trigger::record::plain_field!($record<'a>);
    };
    ($record:ident $payload:ident) => {};
}

pub(super) use {plain_field, read_member, record, record_field, required_name};
