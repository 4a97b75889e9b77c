//! The `Deserializer` that answers with samples. It offers what postcard offers and refuses what postcard refuses.

use std::any::type_name;

use serde::Deserializer;
use serde::de::Visitor;

use super::access::{Elements, Entries, Variants};
use super::error::Refusal;
use super::position::{Form, Leaf, PositionId};
use super::samples;
use super::state::{Stop, Trace, Visit};

/// Answers at one place.
pub(super) struct Tracer<'t> {
    pub(super) trace: &'t mut Trace,
    pub(super) position: PositionId,
}

impl<'t> Tracer<'t> {
    /// Answers with a sample of a leaf.
    fn leaf<R>(self, leaf: Leaf, visit: impl FnOnce(usize) -> Result<R, Refusal>) -> Result<R, Refusal> {
        let sample = self.trace.leaf(self.position, leaf)?;
        visit(sample).map_err(|refusal| refusal.passing(self.position))
    }

    /// Answers with a form whose content is asked for through `visit`.
    fn form<R>(
        self,
        visitor: &'static str,
        name: Option<&'static str>,
        form: Form,
        visit: impl FnOnce(&mut Trace, Visit) -> Result<R, Refusal>,
    ) -> Result<R, Refusal> {
        let entered = self.trace.enter(self.position, visitor, name, form)?;
        finish(self.trace, entered, visit)
    }

    #[inline(never)]
    fn refuse(self, asked: &str) -> Refusal {
        let reason = format!(
            "{asked}, which postcard cannot: bytes do not say what they are. Use serde's default representation \
             (no `untagged`, `flatten`, `tag` or any-type), or send it as a `String` or bytes"
        );
        self.trace.refuse(self.position, Stop::Unsupported(reason))
    }
}

/// Runs a visitor that has been entered, and leaves it.
pub(super) fn finish<R>(
    trace: &mut Trace,
    entered: Visit,
    visit: impl FnOnce(&mut Trace, Visit) -> Result<R, Refusal>,
) -> Result<R, Refusal> {
    let result = visit(trace, entered);
    match result {
        Ok(value) => {
            trace.left(None);
            Ok(value)
        }
        Err(refusal) => Err(match trace.left(Some(refusal)) {
            Some(refusal) => refusal,
            None => Refusal::new("left without a refusal"),
        }),
    }
}

macro_rules! integers {
    ($($method:ident, $visit:ident, $leaf:ident, $type:ty, $wide:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            self.leaf(Leaf::$leaf, |sample| visitor.$visit(samples::integer(sample, $wide) as $type))
        }
    )*};
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = Refusal;

    fn is_human_readable(&self) -> bool {
        false
    }

    integers! {
        deserialize_u8, visit_u8, U8, u8, false;
        deserialize_u16, visit_u16, U16, u16, true;
        deserialize_u32, visit_u32, U32, u32, true;
        deserialize_u64, visit_u64, U64, u64, true;
        deserialize_u128, visit_u128, U128, u128, true;
        deserialize_i8, visit_i8, I8, i8, false;
        deserialize_i16, visit_i16, I16, i16, true;
        deserialize_i32, visit_i32, I32, i32, true;
        deserialize_i64, visit_i64, I64, i64, true;
        deserialize_i128, visit_i128, I128, i128, true;
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.leaf(Leaf::Bool, |sample| visitor.visit_bool(sample % 2 == 0))
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.leaf(Leaf::F32, |sample| visitor.visit_f32(samples::nth(samples::FLOATS, sample)))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.leaf(Leaf::F64, |sample| visitor.visit_f64(f64::from(samples::nth(samples::FLOATS, sample))))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.leaf(Leaf::Char, |sample| visitor.visit_char(samples::nth(samples::CHARS, sample)))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.leaf(Leaf::String, |sample| visitor.visit_borrowed_str(samples::nth(samples::STRINGS, sample)))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.leaf(Leaf::String, |sample| visitor.visit_str(samples::nth(samples::STRINGS, sample)))
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let bytes = |sample| &samples::ONES[..samples::nth(samples::BYTES, sample)];
        self.leaf(Leaf::Bytes, |sample| visitor.visit_borrowed_bytes(bytes(sample)))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let bytes = |sample| &samples::ONES[..samples::nth(samples::BYTES, sample)];
        self.leaf(Leaf::Bytes, |sample| visitor.visit_bytes(bytes(sample)))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.leaf(Leaf::Unit, |_| visitor.visit_unit())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.form(type_name::<V>(), None, Form::Option, |trace, visit| {
            if !trace.is_some(visit.position) {
                return visitor.visit_none();
            }
            let position = trace.child(visit, 0, type_name::<V::Value>());
            visitor.visit_some(Tracer { trace, position })
        })
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.form(type_name::<V>(), Some(name), Form::UnitStruct, |_, _| visitor.visit_unit())
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.form(type_name::<V>(), Some(name), Form::Newtype, |trace, visit| {
            let position = trace.child(visit, 0, type_name::<V::Value>());
            visitor.visit_newtype_struct(Tracer { trace, position })
        })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.form(type_name::<V>(), None, Form::Sequence, |trace, visit| {
            let length = trace.length(visit.position);
            visitor.visit_seq(Elements { trace, visit, next: 0, length, alike: true })
        })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Refusal> {
        self.form(type_name::<V>(), None, Form::Tuple(length), |trace, visit| {
            visitor.visit_seq(Elements { trace, visit, next: 0, length, alike: false })
        })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.form(type_name::<V>(), Some(name), Form::TupleStruct(length), |trace, visit| {
            visitor.visit_seq(Elements { trace, visit, next: 0, length, alike: false })
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.form(type_name::<V>(), None, Form::Map, |trace, visit| {
            let left = trace.length(visit.position);
            visitor.visit_map(Entries { trace, visit, left })
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.form(type_name::<V>(), Some(name), Form::Struct(fields), |trace, visit| {
            visitor.visit_seq(Elements { trace, visit, next: 0, length: fields.len(), alike: false })
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.form(type_name::<V>(), Some(name), Form::Enum(variants), |trace, visit| {
            let variant = trace.choose_variant(visit)?;
            visitor.visit_enum(Variants { trace, visit, variant })
        })
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Refusal> {
        Err(self.refuse("it asks the bytes for their type"))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Refusal> {
        Err(self.refuse("it reads the names of its fields"))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Refusal> {
        Err(self.refuse("it skips a value of any type"))
    }
}
