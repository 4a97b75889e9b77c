//! Types as people write them. None is ever made by its fields: values come from `random`.
// Types are spelled as their users spell them, and only their `Deserialize` is used.
#![allow(dead_code, clippy::use_self)]

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! zoo {
    ($($item:item)*) => { $(#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)] $item)* };
}

zoo! {
    pub(super) struct Nothing;

    pub(super) struct Point { pub(super) x: f64, pub(super) y: f64 }

    pub(super) struct Id(u64);

    pub(super) struct Pair(u8, String);

    pub(super) struct Empty {}

    pub(super) struct Numbers {
        a: u8, b: u16, c: u32, d: u64, e: u128, f: i8, g: i16, h: i32, i: i64, j: i128, k: f32, l: f64, m: bool,
        n: char, o: usize, p: isize,
    }

    pub(super) struct Generic<T, U> { left: T, right: Option<U> }

    pub(super) struct Maps {
        by_name: BTreeMap<String, Point>,
        by_id: HashMap<u32, Vec<Id>>,
        nested: Vec<Vec<Option<(u8, String)>>>,
        maybe: Option<Option<bool>>,
        units: Vec<()>,
    }

    pub(super) enum Shape { Unit, Newtype(f64), Tuple(u8, Point), Struct { a: String, b: Vec<u16> } }

    pub(super) enum Only { One }

    pub(super) struct TwoEnums { a: Shape, b: Shape, c: Option<Only>, d: Result<Id, Shape> }

    pub(super) struct List { value: u32, next: Option<Box<List>> }

    pub(super) struct Forest(Vec<Forest>);

    pub(super) enum Expression {
        Add(Box<Expression>, Box<Expression>),
        Call { name: String, arguments: Vec<Expression> },
        Not(Box<Expression>),
        Given(HashMap<String, Expression>, Statement),
        Number(i64),
    }

    pub(super) enum Statement { Evaluate(Box<Expression>), Block(Vec<Statement>), Skip }

    /// `There` has no end but through `Back`, and `Back` is first tried inside `There`.
    pub(super) enum There { Over(Box<Back>) }

    pub(super) enum Back { Again(Box<There>), Home }

    /// One generic type inside another instance of itself: neither is a recursion.
    pub(super) struct Twice { outer: Generic<Generic<u8, String>, Generic<Point, bool>> }

    pub(super) struct Validated { id: NonZeroU32, port: Port, even: Even, window: Window, key: Key }

    #[serde(try_from = "u16", into = "u16")]
    pub(super) struct Port(u16);

    #[serde(try_from = "u32", into = "u32")]
    pub(super) struct Even(u32);

    #[serde(try_from = "(u32, u32)", into = "(u32, u32)")]
    pub(super) struct Window { from: u32, to: u32 }

    #[serde(transparent)]
    pub(super) struct Transparent { inner: Vec<u8> }

    #[serde(rename = "Other", rename_all = "camelCase")]
    pub(super) struct Renamed {
        first_name: String,
        #[serde(rename = "type")]
        kind: u8,
        #[serde(skip)]
        cache: u64,
        #[serde(default)]
        extra: Option<u32>,
        #[serde(with = "as_text")]
        number: u32,
        marker: PhantomData<u8>,
    }

    pub(super) struct Aliased {
        #[serde(alias = "colour")]
        color: u8,
        size: u8,
    }

    pub(super) enum AliasedEnum {
        #[serde(alias = "Colour")]
        Color(u8),
        Size { size: u16 },
        Unknown,
    }

    pub(super) enum WithOther { A(u8), B, #[serde(other)] Rest }

    pub(super) struct Times { sleep: Duration, at: std::time::SystemTime, range: std::ops::Range<u32> }

    pub(super) struct Net {
        ip: std::net::IpAddr, v4: std::net::Ipv4Addr, v6: std::net::Ipv6Addr, socket: std::net::SocketAddr,
        path: std::path::PathBuf,
    }

    pub(super) struct Blob { #[serde(with = "as_bytes")] bytes: Vec<u8>, hash: [u8; 32], four: [u16; 4] }

    pub(super) struct Choices { wide: Wide, shape: Shape, statement: Statement }

    pub(super) enum Wide {
        A, B, C(u8), D { d: u8 }, E, F, G(Only), H(String, String), I, J(Shape), K, L, M, N(Option<Shape>), O, P,
    }

    #[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
    pub(super) struct Sixteen(Vec<u8>);
}

/// Sixteen raw bytes, as uuids are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key([u8; 16]);

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sixteen;
        impl Visitor<'_> for Sixteen {
            type Value = Key;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("16 bytes")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Key, E> {
                bytes.try_into().map(Key).map_err(|_| E::invalid_length(bytes.len(), &self))
            }
        }
        deserializer.deserialize_bytes(Sixteen)
    }
}

/// Written by hand, and recursive without any name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Nameless(pub(super) Vec<Nameless>);

impl<'de> Deserialize<'de> for Nameless {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Children;
        impl<'de> Visitor<'de> for Children {
            type Value = Nameless;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("children")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut children: A) -> Result<Nameless, A::Error> {
                let mut found = Vec::new();
                while let Some(child) = children.next_element()? {
                    found.push(child);
                }
                Ok(Nameless(found))
            }
        }
        deserializer.deserialize_seq(Children)
    }
}

macro_rules! checked {
    ($type:ident, $from:ty, |$value:ident| $make:expr, |$back:ident| $into:expr) => {
        impl TryFrom<$from> for $type {
            type Error = &'static str;
            fn try_from($value: $from) -> Result<Self, Self::Error> {
                $make.ok_or(concat!("not a ", stringify!($type)))
            }
        }
        impl From<$type> for $from {
            fn from($back: $type) -> Self {
                $into
            }
        }
    };
}

checked!(Port, u16, |port| (port >= 1024).then_some(Self(port)), |port| port.0);
checked!(Even, u32, |n| n.is_multiple_of(2).then_some(Self(n)), |even| even.0);
checked!(Window, (u32, u32), |w| (w.0 < w.1).then_some(Self { from: w.0, to: w.1 }), |w| (w.from, w.to));
checked!(Sixteen, Vec<u8>, |bytes| (bytes.len() == 16).then_some(Self(bytes)), |key| key.0);

mod as_text {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(text.bytes().map(u32::from).sum())
    }
}

mod as_bytes {
    use super::{Deserializer, SeqAccess, Serializer, Visitor, fmt};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Vec<u8>, A::Error> {
                Ok(Vec::new())
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}
