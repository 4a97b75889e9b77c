//! Which answer to give where there is a choice: explore what is not known yet, else end soon.

use super::error::Refusal;
use super::position::{Form, Named, Position, PositionId, TypeId, VariantState};
use super::samples;
use super::state::{Stop, Trace, Visit};

impl Trace {
    /// How many elements to give to a sequence or a map.
    #[inline(never)]
    pub(super) fn length(&self, position: PositionId) -> usize {
        let Position { sample, leave_empty, .. } = self.positions[position];
        match (leave_empty, self.closed > 0) {
            (true, _) => 0,
            (false, true) => samples::nth(samples::CLOSED_LENGTHS, sample),
            (false, false) => samples::nth(samples::LENGTHS, sample),
        }
    }

    /// Whether to answer `Some`.
    #[inline(never)]
    pub(super) fn is_some(&self, position: PositionId) -> bool {
        let Position { sample, leave_empty, .. } = self.positions[position];
        !leave_empty && ((self.closed > 0) == (sample % 2 == 1))
    }

    /// Which variant to answer with.
    #[inline(never)]
    pub(super) fn choose_variant(&mut self, visit: Visit) -> Result<usize, Refusal> {
        // `enter` has named every enum.
        let Some(named) = self.frames.last().and_then(|frame| frame.named) else {
            return Err(Refusal::new("an enum has no name"));
        };
        let choice = match self.unexplored_variant(visit, named) {
            Some(variant) => Some(variant),
            None => self.closing_variant(visit.position, named),
        };
        match choice {
            Some(variant) => {
                if let Some(frame) = self.frames.last_mut() {
                    frame.variant = Some(variant);
                    // Only a payload that is not read after the index was taken is a refusal of the variant.
                    frame.payload_read = true;
                }
                Ok(variant)
            }
            None if self.types[named].variants.contains(&VariantState::Usable) => {
                Err(self.refuse(visit.position, Stop::TooDeep))
            }
            None => {
                let reason = "it has no variant that can be read".to_owned();
                Err(self.refuse(visit.position, Stop::Unsupported(reason)))
            }
        }
    }

    /// Whether there is something to explore at or below a place.
    pub(super) fn is_incomplete(&mut self, position: PositionId) -> bool {
        if self.positions[position].complete || self.positions[position].shapes.len() > 1 {
            return false;
        }
        let Some(shape) = self.positions[position].shapes.first() else { return true };
        let (form, named) = (shape.form, shape.named);
        let elsewhere = named.is_some_and(|named| self.types[named].owner != Some(position));
        let slots = match form {
            Form::Leaf(_) | Form::UnitStruct => 0,
            _ if elsewhere || self.positions[position].leave_empty => 0,
            Form::Option | Form::Sequence | Form::Newtype => 1,
            Form::Map => 2,
            Form::Tuple(length) | Form::TupleStruct(length) => shape.taken.unwrap_or(length),
            Form::Struct(names) => shape.taken.unwrap_or(names.len()),
            Form::Enum(names) => names.len(),
        };
        let incomplete = (0..slots).any(|slot| {
            let open = match named {
                Some(named) if matches!(form, Form::Enum(_)) => {
                    matches!(self.types[named].variants[slot], VariantState::Usable | VariantState::Postponed)
                }
                _ => true,
            };
            open && self.is_child_incomplete(position, slot)
        });
        self.positions[position].complete = !incomplete;
        incomplete
    }

    /// At the owner of an enum: the first variant that is not completely known.
    fn unexplored_variant(&mut self, visit: Visit, named: TypeId) -> Option<usize> {
        if self.closed > 0 || self.positions[visit.position].complete {
            return None;
        }
        (0..self.types[named].variants.len()).find(|variant| {
            self.types[named].variants[*variant] == VariantState::Usable
                && self.is_child_incomplete(visit.position, *variant)
        })
    }

    /// A variant that ends; while none is known, one that is not being visited already.
    fn closing_variant(&self, position: PositionId, named: TypeId) -> Option<usize> {
        let Named { variants, ends, .. } = &self.types[named];
        let is_usable = |variant: &usize| variants[*variant] == VariantState::Usable;
        let sample = self.positions[position].sample;
        if sample > 0 {
            let usable: Vec<usize> = (0..variants.len()).filter(is_usable).collect();
            return (!usable.is_empty()).then(|| samples::nth(&usable, sample));
        }
        ends.filter(is_usable).or_else(|| {
            let is_visited = |variant: &usize| {
                self.frames.iter().any(|frame| frame.named == Some(named) && frame.variant == Some(*variant))
            };
            (0..variants.len()).filter(is_usable).find(|variant| !is_visited(variant))
        })
    }

    fn is_child_incomplete(&mut self, position: PositionId, slot: usize) -> bool {
        let child = self.positions[position].shapes.first().and_then(|shape| *shape.children.get(slot)?);
        child.is_none_or(|child| self.is_incomplete(child))
    }
}
