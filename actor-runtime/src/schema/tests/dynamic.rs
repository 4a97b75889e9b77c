//! Invariant 2 from the other side: a type that follows a random schema is traced back to that schema.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use proptest::collection::vec;
use proptest::prelude::*;
use serde::de::{DeserializeSeed, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::super::{Field, Fields, Schema, Variant, of};

thread_local! {
    static FOLLOWED: RefCell<Rc<Schema>> = RefCell::new(Rc::new(Schema::Unit));
}

/// A type that reads what [`FOLLOWED`] says. Its integers refuse a 1, so that tracing also has to find other samples.
struct Dynamic;

impl<'de> Deserialize<'de> for Dynamic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let schema = FOLLOWED.with_borrow(Rc::clone);
        Follow { schema: &schema, enclosing: Vec::new() }.deserialize(deserializer)?;
        Ok(Self)
    }
}

/// Seed and visitor of one schema.
#[derive(Clone)]
struct Follow<'s> {
    schema: &'s Schema,
    enclosing: Vec<&'s Schema>,
}

impl<'s> Follow<'s> {
    fn part(&self, schema: &'s Schema) -> Self {
        let mut enclosing = self.enclosing.clone();
        if matches!(self.schema, Schema::Struct { .. } | Schema::Enum { .. }) {
            enclosing.push(self.schema);
        }
        Self { schema, enclosing }
    }

    fn parts(&self) -> Vec<&'s Schema> {
        self.schema.parts().collect()
    }
}

fn leaked(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> &'static [&'static str] {
    Box::leak(names.map(|name| leaked(name)).collect::<Vec<_>>().into_boxed_slice())
}

impl<'de> DeserializeSeed<'de> for Follow<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        match self.schema {
            Schema::Bool => from.deserialize_bool(self),
            Schema::U8 => from.deserialize_u8(self),
            Schema::U16 => from.deserialize_u16(self),
            Schema::U32 => from.deserialize_u32(self),
            Schema::U64 => from.deserialize_u64(self),
            Schema::U128 => from.deserialize_u128(self),
            Schema::I8 => from.deserialize_i8(self),
            Schema::I16 => from.deserialize_i16(self),
            Schema::I32 => from.deserialize_i32(self),
            Schema::I64 => from.deserialize_i64(self),
            Schema::I128 => from.deserialize_i128(self),
            Schema::F32 => from.deserialize_f32(self),
            Schema::F64 => from.deserialize_f64(self),
            Schema::Char => from.deserialize_char(self),
            Schema::String => from.deserialize_string(self),
            Schema::Bytes => from.deserialize_byte_buf(self),
            Schema::Unit => from.deserialize_unit(self),
            Schema::Option(_) => from.deserialize_option(self),
            Schema::Sequence(_) => from.deserialize_seq(self),
            Schema::Map { .. } => from.deserialize_map(self),
            Schema::Tuple(elements) => from.deserialize_tuple(elements.len(), self),
            Schema::Array { length, .. } => from.deserialize_tuple(*length, self),
            Schema::Struct { name, fields } => {
                let name = leaked(name);
                match fields {
                    Fields::Unit => from.deserialize_unit_struct(name, self),
                    Fields::Newtype(_) => from.deserialize_newtype_struct(name, self),
                    Fields::Tuple(elements) => from.deserialize_tuple_struct(name, elements.len(), self),
                    Fields::Named(fields) => {
                        from.deserialize_struct(name, names(fields.iter().map(|field| &field.name)), self)
                    }
                }
            }
            Schema::Enum { name, variants } => {
                let variants = names(variants.iter().map(|variant| &variant.name));
                from.deserialize_enum(leaked(name), variants, self)
            }
            Schema::Recursion { levels, .. } => {
                let mut enclosing = self.enclosing[..self.enclosing.len() - levels].to_vec();
                let schema = enclosing.pop().ok_or_else(|| D::Error::custom("no such level"))?;
                Follow { schema, enclosing }.deserialize(from)
            }
            Schema::Stream(_) | Schema::Opaque { .. } => from.deserialize_any(self),
        }
    }
}

macro_rules! visit {
    ($($method:ident $type:ty, |$value:ident| $accepted:expr;)*) => {$(
        fn $method<E: Error>(self, $value: $type) -> Result<(), E> {
            if $accepted { Ok(()) } else { Err(E::custom("not this one")) }
        }
    )*};
}

impl<'de> Visitor<'de> for Follow<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what the schema says")
    }

    visit! {
        visit_bool bool, |_bool| true;
        visit_u8 u8, |n| n != 1;
        visit_u16 u16, |n| n != 1;
        visit_u32 u32, |n| n != 1;
        visit_u64 u64, |n| n != 1;
        visit_u128 u128, |n| n != 1;
        visit_i8 i8, |n| n != 1;
        visit_i16 i16, |n| n != 1;
        visit_i32 i32, |n| n != 1;
        visit_i64 i64, |n| n != 1;
        visit_i128 i128, |n| n != 1;
        visit_f32 f32, |_float| true;
        visit_f64 f64, |_float| true;
        visit_char char, |_char| true;
        visit_str &str, |_text| true;
        visit_bytes &[u8], |_bytes| true;
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        self.part(self.parts()[0]).deserialize(from)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        self.part(self.parts()[0]).deserialize(from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        match self.schema {
            Schema::Sequence(element) => while elements.next_element_seed(self.part(element))?.is_some() {},
            Schema::Array { element, length } => {
                for _ in 0..*length {
                    elements.next_element_seed(self.part(element))?;
                }
            }
            _ => {
                for part in self.parts() {
                    elements.next_element_seed(self.part(part))?;
                }
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let [key, value] = self.parts()[..] else { return Err(A::Error::custom("no map")) };
        while entries.next_key_seed(self.part(key))?.is_some() {
            entries.next_value_seed(self.part(value))?;
        }
        Ok(())
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<(), A::Error> {
        let Schema::Enum { variants, .. } = self.schema else { return Err(A::Error::custom("no enum")) };
        let (index, payload) = data.variant_seed(Index)?;
        let Some(variant) = variants.get(index as usize) else { return Err(A::Error::custom("no variant")) };
        let elements = Payload { follow: self.clone(), fields: &variant.fields };
        match &variant.fields {
            Fields::Unit => payload.unit_variant(),
            Fields::Newtype(inner) => payload.newtype_variant_seed(self.part(inner)),
            Fields::Tuple(parts) => payload.tuple_variant(parts.len(), elements),
            Fields::Named(fields) => {
                payload.struct_variant(names(fields.iter().map(|field| &field.name)), elements)
            }
        }
    }
}

struct Payload<'s> {
    follow: Follow<'s>,
    fields: &'s Fields,
}

impl<'de> Visitor<'de> for Payload<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the fields of a variant")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        self.fields.parts().try_for_each(|part| elements.next_element_seed(self.follow.part(part)).map(drop))
    }
}

struct Index;

impl<'de> DeserializeSeed<'de> for Index {
    type Value = u32;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<u32, D::Error> {
        u32::deserialize(from)
    }
}

/// Any schema of a type that has finite values. Recursions have their levels still to be cut to what there is.
fn any_schema() -> impl Strategy<Value = Schema> {
    let back = || any::<usize>().prop_map(|levels| Schema::Recursion { name: String::new(), levels });
    let leaf = prop_oneof![
        8 => proptest::sample::select(vec![
            Schema::Bool, Schema::U8, Schema::U16, Schema::U32, Schema::U64, Schema::U128, Schema::I8, Schema::I16,
            Schema::I32, Schema::I64, Schema::I128, Schema::F32, Schema::F64, Schema::Char, Schema::String,
            Schema::Bytes, Schema::Unit,
        ]),
        1 => back().prop_map(|back| Schema::Option(Box::new(back))),
        1 => back().prop_map(|back| Schema::Sequence(Box::new(back))),
        1 => back().prop_map(|back| Schema::Map { key: Box::new(Schema::U8), value: Box::new(back) }),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        let fields = prop_oneof![
            Just(Fields::Unit),
            inner.clone().prop_map(|inner| Fields::Newtype(Box::new(inner))),
            vec(inner.clone(), 0..4).prop_map(Fields::Tuple),
            vec(inner.clone(), 0..4).prop_map(named),
        ];
        // A variant may lead straight back, since every enum has one that ends.
        let payload =
            prop_oneof![3 => fields.clone(), 1 => back().prop_map(|back| Fields::Newtype(Box::new(back)))];
        prop_oneof![
            inner.clone().prop_map(|inner| Schema::Option(Box::new(inner))),
            inner.clone().prop_map(|inner| Schema::Sequence(Box::new(inner))),
            (inner.clone(), inner.clone())
                .prop_map(|(key, value)| Schema::Map { key: Box::new(key), value: Box::new(value) }),
            vec(inner.clone(), 0..5).prop_map(Schema::Tuple),
            fields.prop_map(|fields| Schema::Struct { name: String::new(), fields }),
            (vec(payload, 0..5), any::<proptest::sample::Index>()).prop_map(|(mut payloads, end)| {
                payloads.insert(end.index(payloads.len() + 1), Fields::Unit);
                let variant = |(n, fields)| Variant { index: n as u32, name: format!("V{n}"), fields };
                let variants = payloads.into_iter().enumerate().map(variant).collect();
                Schema::Enum { name: String::new(), variants }
            }),
        ]
    })
}

fn named(schemas: Vec<Schema>) -> Fields {
    let field = |(n, schema)| Field { name: format!("f{n}"), schema };
    Fields::Named(schemas.into_iter().enumerate().map(field).collect())
}

/// Gives every struct and enum a name of its own, and every recursion a level that there is.
fn settle(schema: &mut Schema, enclosing: &mut Vec<String>, count: &mut usize) {
    match schema {
        Schema::Option(inner) | Schema::Sequence(inner) | Schema::Array { element: inner, .. } => {
            settle(inner, enclosing, count);
        }
        Schema::Map { key, value } => {
            settle(key, enclosing, count);
            settle(value, enclosing, count);
        }
        Schema::Tuple(elements) => elements.iter_mut().for_each(|element| settle(element, enclosing, count)),
        Schema::Struct { name, fields } => {
            *count += 1;
            *name = format!("T{count}");
            enclosing.push(name.clone());
            settle_fields(fields, enclosing, count);
            enclosing.pop();
        }
        Schema::Enum { name, variants } => {
            *count += 1;
            *name = format!("T{count}");
            enclosing.push(name.clone());
            variants.iter_mut().for_each(|variant| settle_fields(&mut variant.fields, enclosing, count));
            enclosing.pop();
        }
        Schema::Recursion { .. } if enclosing.is_empty() => *schema = Schema::Bool,
        Schema::Recursion { name, levels } => {
            *levels %= enclosing.len();
            name.clone_from(&enclosing[enclosing.len() - 1 - *levels]);
        }
        _ => {}
    }
}

fn settle_fields(fields: &mut Fields, enclosing: &mut Vec<String>, count: &mut usize) {
    match fields {
        Fields::Unit => {}
        Fields::Newtype(inner) => settle(inner, enclosing, count),
        Fields::Tuple(elements) => elements.iter_mut().for_each(|element| settle(element, enclosing, count)),
        Fields::Named(fields) => {
            fields.iter_mut().for_each(|field| settle(&mut field.schema, enclosing, count));
        }
    }
}

fn traced(schema: &Schema) -> Schema {
    FOLLOWED.set(Rc::new(schema.clone()));
    of::<Dynamic>()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_random_type_is_learned_as_it_is(mut schema in any_schema()) {
        settle(&mut schema, &mut Vec::new(), &mut 0);
        prop_assert_eq!(traced(&schema), schema);
    }

    /// The second and third occurrence are not explored, only passed through.
    #[test]
    fn a_type_that_occurs_often_is_learned_everywhere(mut schema in any_schema()) {
        settle(&mut schema, &mut Vec::new(), &mut 0);
        let often = Schema::Tuple(vec![schema.clone(), Schema::Option(Box::new(schema.clone())), schema]);
        prop_assert_eq!(traced(&often), often);
    }
}
