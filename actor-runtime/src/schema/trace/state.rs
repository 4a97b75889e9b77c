//! The run that is going on, and where in the value it is.

use super::error::Refusal;
use super::position::{Form, Leaf, Named, Position, PositionId, Shape, TypeId, VariantState};

/// No type that people write nests deeper; a type that does has no finite value.
const MAX_DEPTH: usize = 96;
/// How often one visitor may stand inside itself without a struct or enum between that a schema could refer to.
const MAX_UNNAMED_NESTING: usize = 16;
/// Bounds on the whole trace, which together keep the worst type well below a second.
const MAX_RUNS: usize = 4096;
const MAX_STEPS: usize = 1 << 18;

/// All that has been learned, and the state of the current run.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) positions: Vec<Position>,
    pub(super) types: Vec<Named>,
    /// The forms that enclose the current place.
    pub(super) frames: Vec<Frame>,
    /// How many of `frames` are closed places.
    pub(super) closed: usize,
    /// Added to every sample: 1 in the second look.
    offset: usize,
    runs: usize,
    steps: usize,
    /// Counts what was learned.
    pub(super) learned: usize,
    /// `learned` at the start of this run.
    learned_before: usize,
    /// Whether this run failed in a way that has already been drawn a conclusion from.
    pub(super) concluded: bool,
    /// Where the tracer itself refused in this run, and why. User code may have replaced the error.
    pub(super) refused: Option<(PositionId, Stop)>,
    /// For mixing samples; a fixed sequence, so that a trace depends on the type alone.
    pub(super) mixer: u64,
}

/// Why the tracer itself ended a run.
#[derive(Debug)]
pub(super) enum Stop {
    /// postcard refuses it too, or nothing can be said about it.
    Unsupported(String),
    /// It did not end.
    TooDeep,
}

/// One form being visited.
#[derive(Debug)]
pub(super) struct Frame {
    visit: Visit,
    /// The name of the visitor's type; empty for a variant's payload, which is named by its enum.
    visitor: &'static str,
    pub(super) named: Option<TypeId>,
    /// Whether this place is passed through and not explored.
    closes: bool,
    /// How many elements the visitor has taken.
    taken: usize,
    /// The variant that was answered.
    pub(super) variant: Option<usize>,
    pub(super) payload_read: bool,
}

/// A shape at a place, while its visitor runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit {
    pub(super) position: PositionId,
    pub(super) shape: usize,
}

impl Trace {
    pub(super) fn new(type_name: &'static str) -> Self {
        Self {
            positions: vec![Position::new(type_name, None)],
            types: Vec::new(),
            frames: Vec::new(),
            closed: 0,
            offset: 0,
            runs: 0,
            steps: 0,
            learned: 0,
            learned_before: 0,
            concluded: false,
            refused: None,
            mixer: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// Whether there may be one more run; if so it has begun.
    pub(super) fn begin_run(&mut self) -> bool {
        self.frames.clear();
        self.closed = 0;
        self.learned_before = self.learned;
        self.concluded = false;
        self.refused = None;
        self.runs += 1;
        self.runs <= MAX_RUNS && self.steps < MAX_STEPS
    }

    pub(super) fn begin_second_look(&mut self) {
        self.begin_run();
        self.offset = 1;
    }

    pub(super) fn has_progressed(&self) -> bool {
        self.learned != self.learned_before
    }

    /// A leaf is asked for: the number of the sample to answer with.
    #[inline(never)]
    pub(super) fn leaf(&mut self, position: PositionId, leaf: Leaf) -> Result<usize, Refusal> {
        self.step(position)?;
        self.shape_at(position, Form::Leaf(leaf), None);
        Ok(self.positions[position].sample + self.offset)
    }

    /// A form is asked for. Every `Ok` is followed by one call of `left`.
    #[inline(never)]
    pub(super) fn enter(
        &mut self,
        position: PositionId,
        visitor: &'static str,
        name: Option<&'static str>,
        form: Form,
    ) -> Result<Visit, Refusal> {
        self.step(position)?;
        if self.frames.len() >= MAX_DEPTH {
            return Err(self.refuse(position, Stop::TooDeep));
        }
        let named = name.map(|name| self.named(position, visitor, name, form));
        if named.is_none() && self.nests_without_end(visitor) {
            let reason =
                "it contains itself without a struct or enum between; wrap it in a struct".to_owned();
            return Err(self.refuse(position, Stop::Unsupported(reason)));
        }
        let closes = named.is_some_and(|named| {
            let closed = self.closed > 0;
            let owner = &mut self.types[named].owner;
            if owner.is_none() && !closed {
                *owner = Some(position);
            }
            *owner != Some(position)
        });
        self.closed += usize::from(closes);
        let shape = self.shape_at(position, form, named);
        let visit = Visit { position, shape };
        self.frames.push(Frame {
            visit,
            visitor,
            named,
            closes,
            taken: 0,
            variant: None,
            payload_read: false,
        });
        Ok(visit)
    }

    /// The visitor is done; the error that it gave is passed on.
    #[inline(never)]
    pub(super) fn left(&mut self, refusal: Option<Refusal>) -> Option<Refusal> {
        // Every `enter` has pushed a frame, and frames inside it have been left before.
        let frame = self.frames.pop()?;
        self.closed -= usize::from(frame.closes);
        let Visit { position, shape } = frame.visit;
        if let Some(refusal) = refusal {
            if let (Some(named), Some(variant), false) = (frame.named, frame.variant, frame.payload_read) {
                self.set_variant(named, variant, VariantState::AlwaysRefused);
                self.concluded = true;
            }
            return Some(refusal.passing(position));
        }
        self.positions[position].succeeded = true;
        match frame.variant {
            Some(variant) => self.variant_ended(frame.visit, frame.named, variant, frame.payload_read),
            None => {
                let shape = &mut self.positions[position].shapes[shape];
                if matches!(shape.form, Form::Tuple(_) | Form::TupleStruct(_) | Form::Struct(_)) {
                    let taken = *shape.taken.get_or_insert(frame.taken);
                    shape.varies |= taken != frame.taken;
                }
            }
        }
        None
    }

    /// The visitor takes the next element or the payload; the place where it stands.
    #[inline(never)]
    pub(super) fn child(&mut self, visit: Visit, slot: usize, type_name: &'static str) -> PositionId {
        if let Some(frame) = self.frames.last_mut() {
            frame.taken += 1;
            frame.payload_read = true;
        }
        let children = &mut self.positions[visit.position].shapes[visit.shape].children;
        if children.len() <= slot {
            children.resize(slot + 1, None);
        }
        if let Some(child) = children[slot] {
            return child;
        }
        let child = self.positions.len();
        self.positions[visit.position].shapes[visit.shape].children[slot] = Some(child);
        self.positions.push(Position::new(type_name, Some((visit.position, slot))));
        child
    }

    /// The reader took the index of the variant, or did not.
    #[inline(never)]
    pub(super) fn variant_answered(&mut self, index: usize, taken: bool) {
        let Some(frame) = self.frames.last_mut() else { return };
        if taken {
            frame.payload_read = false;
        } else if let Some(named) = frame.named {
            self.set_variant(named, index, VariantState::NoVariant);
            self.concluded = true;
        }
    }

    #[inline(never)]
    pub(super) fn refuse(&mut self, position: PositionId, stop: Stop) -> Refusal {
        let message = match &stop {
            Stop::Unsupported(reason) => reason.clone(),
            Stop::TooDeep => "it has no end".to_owned(),
        };
        self.refused.get_or_insert((position, stop));
        Refusal::new(message).passing(position)
    }

    pub(super) fn set_variant(&mut self, named: TypeId, variant: usize, state: VariantState) {
        if let Some(known) = self.types[named].variants.get_mut(variant) {
            *known = state;
            self.learned += 1;
        }
    }

    fn step(&mut self, position: PositionId) -> Result<(), Refusal> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(self.refuse(position, Stop::Unsupported("it is too large to be traced".to_owned())));
        }
        Ok(())
    }

    /// The struct or enum that is asked for, new or known.
    fn named(
        &mut self,
        position: PositionId,
        visitor: &'static str,
        name: &'static str,
        form: Form,
    ) -> TypeId {
        let is_same = |known: &Named| known.visitor == visitor && known.name == name && known.form == form;
        let here = self.positions[position].shapes.first().and_then(|shape| shape.named);
        if let Some(here) = here.filter(|here| is_same(&self.types[*here])) {
            return here;
        }
        if let Some(known) = self.types.iter().position(is_same) {
            return known;
        }
        let variants = if let Form::Enum(names) = form { names.len() } else { 0 };
        let variants = vec![VariantState::default(); variants];
        self.types.push(Named { visitor, name, form, owner: None, variants, ends: None });
        self.types.len() - 1
    }

    fn nests_without_end(&self, visitor: &'static str) -> bool {
        let same = |frame: &&Frame| frame.named.is_none() && frame.visitor == visitor;
        !visitor.is_empty() && self.frames.iter().filter(same).count() >= MAX_UNNAMED_NESTING
    }

    /// The entry for a question at a place, new or known.
    fn shape_at(&mut self, position: PositionId, form: Form, named: Option<TypeId>) -> usize {
        let shapes = &mut self.positions[position].shapes;
        if let Some(known) = shapes.iter().position(|shape| shape.form == form && shape.named == named) {
            return known;
        }
        shapes.push(Shape { form, named, children: Vec::new(), taken: None, varies: false });
        self.learned += 1;
        shapes.len() - 1
    }

    fn variant_ended(&mut self, visit: Visit, named: Option<TypeId>, variant: usize, payload_read: bool) {
        if !payload_read {
            // The visitor was content with the index, which is what a unit variant reads.
            let payload = self.child(visit, variant, "()");
            self.shape_at(payload, Form::Leaf(Leaf::Unit), None);
        }
        let Some(named) = named else { return };
        if self.types[named].ends.is_none() {
            self.types[named].ends = Some(variant);
            self.learned += 1;
            let states = self.types.iter_mut().flat_map(|named| named.variants.iter_mut());
            states
                .filter(|state| **state == VariantState::Postponed)
                .for_each(|state| *state = VariantState::Usable);
        }
    }
}
