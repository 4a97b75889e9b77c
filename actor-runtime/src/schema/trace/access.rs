//! What stands inside a sequence, a map and an enum.

use std::any::type_name;

use serde::de::value::U32Deserializer;
use serde::de::{
    DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::deserializer::{Tracer, finish};
use super::error::Refusal;
use super::position::{Form, Leaf, PositionId};
use super::state::{Trace, Visit};

/// The elements of a sequence, which stand at one place, or of a tuple or struct, each at its own.
pub(super) struct Elements<'t> {
    pub(super) trace: &'t mut Trace,
    pub(super) visit: Visit,
    pub(super) next: usize,
    pub(super) length: usize,
    pub(super) alike: bool,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Refusal;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refusal> {
        if self.next == self.length {
            return Ok(None);
        }
        let slot = if self.alike { 0 } else { self.next };
        self.next += 1;
        answer(self.trace, self.visit, slot, seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.length - self.next)
    }
}

/// The entries of a map. All keys stand at one place and all values at another.
pub(super) struct Entries<'t> {
    pub(super) trace: &'t mut Trace,
    pub(super) visit: Visit,
    pub(super) left: usize,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refusal> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        answer(self.trace, self.visit, 0, seed).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refusal> {
        answer(self.trace, self.visit, 1, seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// The index of the chosen variant.
pub(super) struct Variants<'t> {
    pub(super) trace: &'t mut Trace,
    pub(super) visit: Visit,
    pub(super) variant: usize,
}

impl<'de, 't> EnumAccess<'de> for Variants<'t> {
    type Error = Refusal;
    type Variant = Payload<'t>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Payload<'t>), Refusal> {
        let Self { trace, visit, variant } = self;
        let index: U32Deserializer<Refusal> = (variant as u32).into_deserializer();
        let result = seed.deserialize(index);
        trace.variant_answered(variant, result.is_ok());
        Ok((result?, Payload { trace, visit, variant }))
    }
}

/// What the chosen variant holds. It stands at a place of its own, with the form that it is asked for.
pub(super) struct Payload<'t> {
    trace: &'t mut Trace,
    visit: Visit,
    variant: usize,
}

impl Payload<'_> {
    fn position<T>(&mut self) -> PositionId {
        self.trace.child(self.visit, self.variant, type_name::<T>())
    }

    fn elements<'de, V: Visitor<'de>>(
        mut self,
        form: Form,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let position = self.position::<V::Value>();
        let entered = self.trace.enter(position, "", None, form)?;
        finish(self.trace, entered, |trace, visit| {
            visitor.visit_seq(Elements { trace, visit, next: 0, length, alike: false })
        })
    }
}

impl<'de> VariantAccess<'de> for Payload<'_> {
    type Error = Refusal;

    fn unit_variant(mut self) -> Result<(), Refusal> {
        let position = self.position::<()>();
        self.trace.leaf(position, Leaf::Unit).map(drop)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(mut self, seed: T) -> Result<T::Value, Refusal> {
        let position = self.position::<T::Value>();
        let entered = self.trace.enter(position, "", None, Form::Newtype)?;
        finish(self.trace, entered, |trace, visit| answer(trace, visit, 0, seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Refusal> {
        self.elements(Form::Tuple(length), length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.elements(Form::Struct(fields), fields.len(), visitor)
    }
}

/// Answers a seed at a place inside the form that is being visited.
#[inline(never)]
fn answer<'de, T: DeserializeSeed<'de>>(
    trace: &mut Trace,
    visit: Visit,
    slot: usize,
    seed: T,
) -> Result<T::Value, Refusal> {
    let position = trace.child(visit, slot, type_name::<T::Value>());
    let result = seed.deserialize(Tracer { trace: &mut *trace, position });
    if result.is_ok() {
        trace.positions[position].succeeded = true;
    }
    result.map_err(|refusal| refusal.passing(position))
}
