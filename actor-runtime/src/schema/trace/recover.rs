//! After a run that was refused: what the next one does differently.
//!
//! A refusal is laid to the innermost place that it passed. If the tracer refused, that place is blocked. If the type
//! did, the samples at and below that place are changed, and only when none are left is the place blocked. Runs then
//! go around a blocked place: the option around it is `None`, the sequence empty, the variant never chosen. Where
//! there is no way around, tracing ends, and what stands behind remains unknown.

use super::error::Refusal;
use super::position::{Form, PositionId, ROOT, VariantState};
use super::samples;
use super::state::{Stop, Trace};

/// Attempts that give all leaves their sample of one number, in order.
const IN_STEP: usize = 40;
/// Attempts that then give all sequences, options and enums their choice of one number.
const CHOICES: usize = 14;
/// All attempts; the rest mix the samples.
const ATTEMPTS: usize = 128;

impl Trace {
    /// Draws the conclusion from a refused run. Whether another run makes sense.
    pub(super) fn recover(&mut self, refusal: Refusal) -> bool {
        match self.refused.take() {
            Some((position, Stop::Unsupported(reason))) => self.block(position, reason),
            Some((position, Stop::TooDeep)) => {
                self.postpone(position) || self.block(position, "it has no finite value".to_owned())
            }
            None if self.concluded => true,
            None => {
                let position = refusal.at().unwrap_or(ROOT);
                self.try_other_samples(position)
                    || self.block(position, format!("it takes no sample value: {}", refusal.into_message()))
            }
        }
    }

    /// Changes the samples at and below a place, if there is something left to try.
    fn try_other_samples(&mut self, position: PositionId) -> bool {
        let mut below = Vec::new();
        self.collect_choices(position, &mut below);
        let limit = match below[..] {
            [] => 0,
            [(_, count, _)] => count,
            _ => ATTEMPTS,
        };
        self.positions[position].attempts += 1;
        let mut attempt = self.positions[position].attempts;
        if attempt >= limit {
            if !self.positions[position].succeeded || self.positions[position].complete {
                return false;
            }
            // It has given values before, so it is the exploring that it does not take: no more of that here.
            self.end_exploring(position);
            self.positions[position].attempts = 0;
            attempt = 0;
        }
        for (choice, count, is_leaf) in below {
            self.mixer =
                self.mixer.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            self.positions[choice].sample = match attempt {
                _ if limit == count => attempt,
                n if n < IN_STEP => {
                    if is_leaf {
                        n
                    } else {
                        0
                    }
                }
                n if n < IN_STEP + CHOICES => {
                    if is_leaf {
                        0
                    } else {
                        n - IN_STEP + 1
                    }
                }
                _ => (self.mixer >> 33) as usize % count,
            };
        }
        true
    }

    /// The places at and below a place that have a choice: which, of how many, and whether of a leaf.
    fn collect_choices(&self, position: PositionId, found: &mut Vec<(PositionId, usize, bool)>) {
        let at = &self.positions[position];
        for shape in &at.shapes {
            match shape.form {
                Form::Leaf(leaf) => found.push((position, samples::count(leaf), true)),
                Form::Option => found.push((position, 2, false)),
                Form::Sequence | Form::Map => found.push((position, samples::LENGTHS.len(), false)),
                Form::Enum(names) if !names.is_empty() => found.push((position, names.len(), false)),
                _ => {}
            }
            shape.children.iter().flatten().for_each(|child| self.collect_choices(*child, found));
        }
    }

    fn end_exploring(&mut self, position: PositionId) {
        self.positions[position].complete = true;
        let shapes = &self.positions[position].shapes;
        let below: Vec<_> =
            shapes.iter().flat_map(|shape| shape.children.iter().flatten().copied()).collect();
        below.into_iter().for_each(|child| self.end_exploring(child));
    }

    /// No run gets past this place: finds a way around it, if there is one.
    fn block(&mut self, position: PositionId, reason: String) -> bool {
        self.positions[position].blocked.get_or_insert(reason);
        self.learned += 1;
        self.set_nearest_choice(position, VariantState::Blocked)
    }

    /// A place went deeper without end: leaves the choice that led there for later.
    fn postpone(&mut self, position: PositionId) -> bool {
        self.set_nearest_choice(position, VariantState::Postponed)
    }

    /// Takes back the nearest choice around a place that can be made otherwise.
    fn set_nearest_choice(&mut self, mut position: PositionId, state: VariantState) -> bool {
        while let Some((parent, slot)) = self.positions[position].parent {
            let holds = |children: &[Option<PositionId>]| children.get(slot) == Some(&Some(position));
            let shapes = &self.positions[parent].shapes;
            let shape =
                shapes.iter().find(|shape| holds(&shape.children)).map(|shape| (shape.form, shape.named));
            match shape {
                Some((Form::Option | Form::Sequence | Form::Map, _))
                    if state == VariantState::Blocked && !self.positions[parent].leave_empty =>
                {
                    self.positions[parent].leave_empty = true;
                    return true;
                }
                Some((Form::Enum(_), Some(named))) => {
                    let usable = |known: &&VariantState| **known == VariantState::Usable;
                    let others = self.types[named].variants.iter().filter(usable).count();
                    let was_usable = self.types[named].variants.get(slot) == Some(&VariantState::Usable);
                    if others > usize::from(was_usable) {
                        self.set_variant(named, slot, state);
                        return true;
                    }
                    if state == VariantState::Blocked {
                        self.set_variant(named, slot, state);
                    }
                }
                _ => {}
            }
            position = parent;
        }
        false
    }
}
