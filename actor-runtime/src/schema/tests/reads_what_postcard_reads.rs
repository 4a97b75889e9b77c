//! Invariant 2: the schema reads exactly the bytes that postcard writes and reads.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::ffi::{CString, OsString};
use std::num::{NonZeroI8, NonZeroU64, NonZeroU128, Wrapping};
use std::ops::{Bound, RangeInclusive};
use std::rc::Rc;

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::{Schema, of};
use super::value::{decode, encode};
use super::{random, zoo};

fn check<T: Serialize + DeserializeOwned + 'static>(schema: &Schema, seed: u64) -> Result<(), TestCaseError> {
    let type_name = std::any::type_name::<T>();
    prop_assert!(schema.is_checked(), "{type_name}: {schema:?}");
    // A type that validates refuses many random values.
    let values = (0..200_u64)
        .filter_map(|n| random::value::<T>(seed ^ (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)).ok());
    for value in values.take(8) {
        let bytes = postcard::to_stdvec(&value).expect("postcard writes what it can read");
        prop_assert_eq!(schema.walk(&bytes), Ok(&[][..]), "{} {} {:?}", type_name, schema, bytes);
        let tree = decode(schema, &bytes);
        let again = tree.as_ref().and_then(|tree| encode(schema, tree));
        prop_assert_eq!(again.as_ref(), Some(&bytes), "{} {} {:?}", type_name, schema, tree);
        if let Some(shorter) = bytes.len().checked_sub(1) {
            prop_assert!(schema.walk(&bytes[..shorter]).is_err(), "{type_name} walks a truncated value");
        }
    }
    Ok(())
}

macro_rules! reads {
    ($($test:ident: $($type:ty),* ;)*) => {$(
        #[test]
        fn $test() {
            $({
                let schema = of::<$type>();
                proptest!(ProptestConfig::with_cases(48), |(seed: u64)| check::<$type>(&schema, seed)?);
            })*
        }
    )*};
}

reads! {
    primitives: bool, u8, u16, u32, u64, u128, i8, i16, i32, i64, i128, f32, f64, char, usize, isize, ();
    texts: String, Box<str>, std::path::PathBuf, CString, OsString, std::borrow::Cow<'static, str>;
    collections: Vec<u8>, Vec<String>, VecDeque<u16>, BTreeSet<i8>, HashSet<u64>, BTreeMap<String, i32>,
        HashMap<(u8, char), Vec<Option<f32>>>, Box<[u32]>, std::collections::BinaryHeap<u8>,
        std::collections::LinkedList<bool>;
    tuples: (u8,), (u8, String), (f64, f64), (u8, (u16, (u32, [i64; 3]))), [u8; 0], [u8; 32], [String; 2];
    wrappers: Box<u32>, Option<u8>, Option<Option<Option<String>>>, Option<()>, Wrapping<i32>,
        std::cmp::Reverse<u8>, std::cell::Cell<u8>, std::sync::Mutex<u8>, std::marker::PhantomData<String>;
    validating: NonZeroI8, NonZeroU64, NonZeroU128, std::sync::atomic::AtomicU64, zoo::Port, zoo::Even,
        zoo::Window, zoo::Key;
    std_structs: std::time::Duration, std::time::SystemTime, std::ops::Range<u8>, RangeInclusive<i64>,
        std::ops::RangeFrom<u16>, Bound<u32>, Result<u8, String>;
    addresses: std::net::IpAddr, std::net::Ipv4Addr, std::net::Ipv6Addr, std::net::SocketAddr,
        std::net::SocketAddrV4, std::net::SocketAddrV6;
    structs: zoo::Nothing, zoo::Point, zoo::Id, zoo::Pair, zoo::Empty, zoo::Numbers, zoo::Maps, zoo::Renamed,
        zoo::Transparent, zoo::Times, zoo::Net, zoo::Blob;
    enums: zoo::Shape, zoo::Only, zoo::TwoEnums, zoo::Wide, zoo::Choices,
        zoo::WithOther;
    generics: zoo::Generic<u8, String>, zoo::Generic<zoo::Generic<u8, u8>, zoo::Generic<zoo::Shape, bool>>,
        zoo::Twice;
    recursive: zoo::List, zoo::Forest, zoo::Expression, zoo::Statement, zoo::There, zoo::Back,
        Vec<zoo::Generic<zoo::Expression, zoo::Statement>>;
}

/// Types whose random values are too rarely valid for `reads!`, by one value each.
#[test]
fn values_that_must_be_made_by_hand() {
    fn check<T: Serialize + DeserializeOwned + 'static>(value: &T) {
        let schema = of::<T>();
        let bytes = postcard::to_stdvec(value).unwrap();
        assert!(schema.is_checked(), "{schema:?}");
        assert_eq!(schema.walk(&bytes), Ok(&[][..]), "{schema}");
        assert_eq!(encode(&schema, &decode(&schema, &bytes).unwrap()), Some(bytes));
    }
    check(&zoo::Sixteen::try_from(vec![7; 16]).unwrap());
    check(&postcard::from_bytes::<zoo::Aliased>(&[1, 2]).unwrap());
    for bytes in [&[0, 7][..], &[1, 0x80, 2], &[2]] {
        check(&postcard::from_bytes::<zoo::AliasedEnum>(bytes).unwrap());
    }
    let validated: Vec<u8> = [&[1, 0x80, 8, 2, 1, 2, 16][..], &[9; 16]].concat();
    check(&postcard::from_bytes::<zoo::Validated>(&validated).unwrap());
}

#[test]
fn shared_pointers_are_what_they_point_to() {
    // serde offers `Rc` behind a feature only; a value inside one is written as itself.
    assert_eq!(of::<Box<zoo::Point>>(), of::<zoo::Point>());
    let point = Rc::new(1_u8);
    assert_eq!(postcard::to_stdvec(&*point).unwrap(), [1]);
}
