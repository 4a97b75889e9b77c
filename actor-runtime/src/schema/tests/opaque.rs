//! Invariants 1 and 3: every type gives a schema, and what could not be learned is named, never guessed.
// Types are spelled as their users spell them, and only their `Deserialize` is used.
#![allow(dead_code, clippy::use_self)]

use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeOwned, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::super::{Schema, of};
use super::zoo::{self, Point};

/// The line for people, and the reasons of the opaque parts.
fn shown<T: DeserializeOwned + 'static>() -> (String, Vec<String>) {
    let schema = of::<T>();
    assert!(!schema.is_checked());
    let reason = |part: &&Schema| match part {
        Schema::Opaque { type_name, reason } => {
            format!("{}: {reason}", type_name.rsplit("::").next().unwrap())
        }
        checked => panic!("{checked} is no opaque part"),
    };
    let reasons = schema.opaque_parts().iter().map(reason).collect();
    (schema.to_string().replace(concat!(module_path!(), "::"), ""), reasons)
}

macro_rules! types {
    ($($item:item)*) => { $(#[derive(Deserialize)] $item)* };
}

types! {
    #[serde(untagged)]
    enum Untagged { Number(u32), Text(String) }

    #[serde(tag = "type")]
    enum Internal { A { a: u8 }, B }

    #[serde(tag = "type", content = "content")]
    enum Adjacent { A(u8), B(String) }

    struct Flat { id: u32, #[serde(flatten)] rest: HashMap<String, u32> }

    struct Partly { id: u32, any: Option<Untagged>, list: Vec<Untagged>, point: Point }

    enum OneBad { Good(Point), Bad(Untagged), AlsoGood { a: u8 } }

    struct InFront { id: u32, any: Untagged, name: String }

    struct Endless { next: Box<Endless> }

    enum EndlessChoice { A(Box<EndlessChoice>), B(Box<EndlessChoice>) }

    #[serde(try_from = "String")]
    struct Picky(String);

    struct Order { id: u32, code: Picky, total: u64 }

    struct MaybePicky { code: Option<Picky>, total: u64 }

    enum Never {}

    struct Impossible { a: u8, never: Never }

    #[serde(try_from = "u8")]
    struct Panics(u8);

    struct Calm { a: u16, panics: Vec<Panics> }
}

impl TryFrom<String> for Picky {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text == "open sesame" { Ok(Self(text)) } else { Err("not the word".to_owned()) }
    }
}

impl From<u8> for Panics {
    fn from(n: u8) -> Self {
        assert_eq!(n, 255, "only the last one");
        Self(n)
    }
}

/// Reads a version, and then something that depends on it.
struct Versioned;

impl<'de> Deserialize<'de> for Versioned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Version;
        impl<'de> Visitor<'de> for Version {
            type Value = Versioned;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a version and a value")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Versioned, A::Error> {
                match parts.next_element::<u8>()? {
                    Some(1) => parts.next_element::<u32>().map(drop)?,
                    _ => parts.next_element::<String>().map(drop)?,
                }
                Ok(Versioned)
            }
        }
        deserializer.deserialize_tuple(2, Version)
    }
}

#[test]
fn what_postcard_refuses_is_opaque_and_says_what_to_do() {
    for (line, reasons) in [shown::<Untagged>(), shown::<Internal>(), shown::<IgnoredAny>()] {
        assert!(line.starts_with("opaque<"), "{line}");
        assert!(reasons[0].contains("Use serde's default representation"), "{reasons:?}");
    }
    for (line, reasons) in [shown::<Flat>(), shown::<Adjacent>()] {
        assert!(line.contains("opaque<"), "{line}");
        assert!(reasons[0].contains("Use serde's default representation"), "{reasons:?}");
    }
    let refused = Err(postcard::Error::WontImplement);
    assert_eq!(postcard::from_bytes::<Untagged>(&[0; 9]).map(drop), refused);
    assert_eq!(postcard::from_bytes::<Internal>(&[0; 9]).map(drop), refused);
    assert_eq!(postcard::from_bytes::<Adjacent>(&[0; 9]).map(drop), refused);
    assert_eq!(postcard::from_bytes::<Flat>(&[1; 9]).map(drop), refused);
}

#[test]
fn content_that_depends_on_a_value_before_it_is_opaque() {
    let (line, reasons) = shown::<Versioned>();
    assert!(line.starts_with("(u8, opaque<"), "{line}");
    assert!(reasons[0].contains("depends on what it read before"), "{reasons:?}");
}

#[test]
fn an_opaque_part_leaves_the_rest_checked() {
    let (line, reasons) = shown::<Partly>();
    assert_eq!(
        line,
        "Partly { id: u32, any: Option<opaque<core::option::Option<Untagged>>>, list: Vec<opaque<Untagged>>, \
         point: Point { x: f64, y: f64 } }"
    );
    assert_eq!(reasons.len(), 2);
    let (line, _) = shown::<OneBad>();
    assert_eq!(
        line,
        "enum OneBad { Good(Point { x: f64, y: f64 }), Bad(opaque<Untagged>), AlsoGood { a: u8 } }"
    );
}

#[test]
fn what_stands_behind_an_opaque_field_is_named_too() {
    let (line, reasons) = shown::<InFront>();
    assert_eq!(line, "InFront { id: u32, any: opaque<Untagged>, name: opaque<InFront.name> }");
    assert!(reasons[1].starts_with("InFront.name: not reached, since `"), "{reasons:?}");
}

#[test]
fn a_type_that_takes_no_sample_still_shows_what_it_reads() {
    assert_eq!(of::<Picky>(), Schema::String);
    assert_eq!(of::<Vec<Picky>>(), Schema::Sequence(Box::new(Schema::String)));
    assert!(of::<MaybePicky>().is_checked());
    let (line, reasons) = shown::<Order>();
    assert_eq!(line, "Order { id: u32, code: String, total: opaque<Order.total> }");
    assert!(
        reasons[0].contains("Picky` stands before it: it takes no sample value: not the word"),
        "{reasons:?}"
    );
}

#[test]
fn types_without_a_finite_value_end() {
    // Their shape is known, though they have no values.
    assert_eq!(of::<Endless>().to_string(), "Endless { next: Endless }");
    let choice = of::<EndlessChoice>().to_string();
    assert!(choice.starts_with("enum EndlessChoice { A(EndlessChoice), B("), "{choice}");
    let (line, _) = shown::<zoo::Nameless>();
    assert!(line.starts_with("Vec<"), "{line}");
    assert_eq!(of::<Impossible>().to_string(), "Impossible { a: u8, never: enum Never { } }");
}

#[test]
fn a_panic_in_a_type_is_one_more_refusal() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let (vec, alone) = (of::<Calm>(), of::<Panics>());
    std::panic::set_hook(hook);
    assert_eq!(vec.to_string(), "Calm { a: u16, panics: Vec<u8> }");
    assert_eq!(alone, Schema::U8);
}

/// Structs that double at each level, so that the schema of the last has a million nodes.
macro_rules! doubling {
    ($($name:ident $whole:ident $inner:ty, $whole_inner:ty;)*) => {$(
        #[derive(Deserialize)]
        struct $name { a: Option<$inner>, b: Vec<$inner> }
        /// Each of its values has a million parts too.
        #[derive(Deserialize)]
        struct $whole { a: Box<$whole_inner>, b: Box<$whole_inner> }
    )*};
}

doubling! {
    D0 W0 u8, u8; D1 W1 D0, W0; D2 W2 D1, W1; D3 W3 D2, W2; D4 W4 D3, W3; D5 W5 D4, W4; D6 W6 D5, W5;
    D7 W7 D6, W6; D8 W8 D7, W7; D9 W9 D8, W8; D10 W10 D9, W9; D11 W11 D10, W10; D12 W12 D11, W11;
    D13 W13 D12, W12; D14 W14 D13, W13; D15 W15 D14, W14; D16 W16 D15, W15; D17 W17 D16, W16;
    D18 W18 D17, W17; D19 W19 D18, W18;
}

#[test]
fn a_type_that_is_too_large_is_cut() {
    assert!(of::<D9>().is_checked());
    assert!(of::<W9>().is_checked());
    for schema in [of::<D19>(), of::<W19>()] {
        let parts = schema.opaque_parts();
        let says_so =
            |part: &&Schema| matches!(part, Schema::Opaque { reason, .. } if reason.contains("too large"));
        assert!(!parts.is_empty() && parts.iter().all(says_so));
    }
}
