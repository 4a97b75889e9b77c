//! Invariants 4 and 5: what a fingerprint tells apart, and that it never changes.
// Types are spelled as their users spell them, and only their `Deserialize` is used.
#![allow(dead_code, clippy::use_self)]

use serde::Deserialize;

use super::super::{Schema, method_fingerprint, of};
use super::zoo;

macro_rules! types {
    ($($module:ident { $($item:item)* })*) => {
        $(mod $module {
            use super::Deserialize;
            $(#[derive(Deserialize)] $item)*
        })*
    };
}

types! {
    before {
        pub(super) struct Point { x: u32, y: u32 }
        pub(super) enum Shape { Circle(f64), Square { side: f64 } }
        pub(super) struct List { value: u8, next: Option<Box<List>> }
        pub(super) struct Tree(Vec<Tree>);
    }
    renamed {
        pub(super) struct Position { x: u32, y: u32 }
        pub(super) enum Form { Circle(f64), Square { side: f64 } }
        pub(super) struct Chain { value: u8, next: Option<Box<Chain>> }
    }
    swapped {
        pub(super) struct Point { y: u32, x: u32 }
        pub(super) enum Shape { Square { side: f64 }, Circle(f64) }
        pub(super) struct List { value: u8, next: Option<Box<Tail>> }
        pub(super) struct Tail { value: u8, next: Option<Box<Tail>> }
    }
    wrapped {
        pub(super) struct Length(f64);
        pub(super) enum Shape { Circle(Length), Square { side: Length } }
        pub(super) struct Point { x: X, y: u32 }
        pub(super) struct X(u32);
        pub(super) struct List { value: u8, next: Option<Box<Next>> }
        pub(super) struct Next(Box<List>);
    }
}

fn print<T: serde::de::DeserializeOwned + 'static>() -> u64 {
    of::<T>().fingerprint()
}

#[test]
fn names_of_types_are_free() {
    assert_eq!(print::<before::Point>(), print::<renamed::Position>());
    assert_eq!(print::<before::Shape>(), print::<renamed::Form>());
    assert_eq!(print::<before::List>(), print::<renamed::Chain>());
}

#[test]
fn a_newtype_around_a_value_is_free() {
    assert_eq!(print::<before::Shape>(), print::<wrapped::Shape>());
    assert_eq!(print::<before::Point>(), print::<wrapped::Point>());
    assert_eq!(print::<before::List>(), print::<wrapped::List>());
    assert_eq!(print::<zoo::Id>(), print::<u64>());
    // The newtype is what is recursive here, so it counts.
    assert_ne!(print::<before::Tree>(), print::<Vec<Vec<()>>>());
}

#[test]
fn what_has_the_same_bytes_is_the_same() {
    assert_eq!(Schema::Bytes.fingerprint(), print::<Vec<u8>>());
    assert_eq!(print::<[u16; 3]>(), print::<(u16, u16, u16)>());
    assert_eq!(print::<std::collections::BTreeSet<u8>>(), print::<Vec<u8>>());
}

#[test]
fn names_and_order_of_fields_and_variants_count() {
    assert_ne!(print::<before::Point>(), print::<swapped::Point>());
    assert_ne!(print::<before::Shape>(), print::<swapped::Shape>());
    // The same values and bytes, but spelled in another way: reported rather than proven equal.
    assert_ne!(print::<before::List>(), print::<swapped::List>());
}

#[test]
fn different_types_have_different_fingerprints() {
    let all = [
        print::<bool>(),
        print::<u8>(),
        print::<u16>(),
        print::<u32>(),
        print::<u64>(),
        print::<u128>(),
        print::<i8>(),
        print::<i16>(),
        print::<i32>(),
        print::<i64>(),
        print::<i128>(),
        print::<f32>(),
        print::<f64>(),
        print::<char>(),
        print::<String>(),
        print::<Vec<u8>>(),
        print::<Vec<u16>>(),
        print::<()>(),
        print::<Option<u8>>(),
        print::<Option<Option<u8>>>(),
        print::<(u8,)>(),
        print::<(u8, u8)>(),
        print::<((u8, u8), u8)>(),
        print::<(u8, (u8, u8))>(),
        print::<(u8, u8, u8)>(),
        print::<[u8; 4]>(),
        print::<Vec<(u8, u8)>>(),
        print::<std::collections::BTreeMap<u8, u8>>(),
        print::<zoo::Expression>(),
        print::<zoo::Statement>(),
        print::<zoo::Forest>(),
        print::<zoo::There>(),
        print::<zoo::Back>(),
    ];
    for (n, one) in all.iter().enumerate() {
        assert!(!all[..n].contains(one), "number {n} is not the first of its kind");
    }
}

#[test]
fn the_roles_of_a_method_are_kept_apart() {
    let method = |arguments: &[(&str, Schema)], reply, error: Option<Schema>| {
        method_fingerprint(arguments, &reply, error.as_ref())
    };
    let (a, b) = (("a", Schema::U8), ("b", Schema::U8));
    let all = [
        method(&[], Schema::Unit, None),
        method(&[], Schema::U8, None),
        method(std::slice::from_ref(&a), Schema::Unit, None),
        method(&[a.clone(), b.clone()], Schema::Unit, None),
        method(&[b, a], Schema::Unit, None),
        method(&[], Schema::Unit, Some(Schema::U8)),
        method(&[], Schema::U8, Some(Schema::Unit)),
        method(&[], Schema::U8, Some(Schema::U8)),
    ];
    for (n, one) in all.iter().enumerate() {
        assert!(!all[..n].contains(one), "number {n}");
    }
}

/// These values are on the wire. A change here breaks calls between releases.
#[test]
fn fingerprints_do_not_change() {
    assert_eq!(print::<()>(), 0xaf63_cd4c_8601_d30f);
    assert_eq!(print::<zoo::Numbers>(), 0x7d71_b11f_11ff_99ac);
    assert_eq!(print::<zoo::Maps>(), 0xbcc7_606d_e618_dcf8);
    assert_eq!(print::<zoo::Expression>(), 0x586e_2362_3ead_6628);
    assert_eq!(print::<zoo::Forest>(), 0x21a6_1f23_1bf3_ae9c);
    assert_eq!(print::<[u8; 32]>(), 0xebef_a38f_a23d_c653);
    let arguments = [("a", Schema::F64), ("b", Schema::F64)];
    assert_eq!(method_fingerprint(&arguments, &Schema::F64, Some(&of::<zoo::Only>())), 0x28a8_d4ab_695b_ac50);
}
