//! All places together, as a schema.

use super::super::{Field, Fields, Schema, Variant};
use super::position::{Form, Leaf, PositionId, ROOT, Shape, TypeId, VariantState};
use super::state::Trace;

/// A schema is a tree, so a type that occurs often is in it often. This bounds the tree.
const MAX_NODES: usize = 1 << 15;
/// A tuple with more elements than Rust has tuples for must be an array.
const MAX_TUPLE: usize = 12;

impl Trace {
    pub(super) fn into_schema(self) -> Schema {
        let blocked = (0..self.positions.len()).filter(|at| self.positions[*at].blocked.is_some()).collect();
        Builder { trace: &self, blocked, enclosing: Vec::new(), nodes: 0 }.at(ROOT)
    }
}

struct Builder<'t> {
    trace: &'t Trace,
    /// The places that no run gets past.
    blocked: Vec<PositionId>,
    /// The structs and enums around the place that is being built.
    enclosing: Vec<TypeId>,
    nodes: usize,
}

impl Builder<'_> {
    fn at(&mut self, position: PositionId) -> Schema {
        let at = &self.trace.positions[position];
        self.nodes += 1;
        match &at.shapes[..] {
            _ if self.nodes > MAX_NODES => {
                opaque(at.type_name, "it is too large to be traced; split it".to_owned())
            }
            [] => match &at.blocked {
                Some(reason) => opaque(at.type_name, reason.clone()),
                None => opaque(at.type_name, self.not_reached(position)),
            },
            [shape] => self.shape(position, shape),
            _ => opaque(
                at.type_name,
                "what it reads depends on what it read before (adjacently tagged?); use serde's default \
                 representation of enums"
                    .to_owned(),
            ),
        }
    }

    fn shape(&mut self, position: PositionId, shape: &Shape) -> Schema {
        let Some(named) = shape.named else { return self.content(position, shape) };
        let name = self.trace.types[named].name.to_owned();
        if let Some(levels) = self.enclosing.iter().rev().position(|enclosing| *enclosing == named) {
            return Schema::Recursion { name, levels };
        }
        // The owner has explored it; here it was only passed through.
        let owner = self.trace.types[named].owner.unwrap_or(position);
        let shapes = &self.trace.positions[owner].shapes;
        let (owner, shape) = match shapes.iter().find(|shape| shape.named == Some(named)) {
            Some(owned) => (owner, owned),
            None => (position, shape),
        };
        self.enclosing.push(named);
        let schema = self.content(owner, shape);
        self.enclosing.pop();
        schema
    }

    fn content(&mut self, position: PositionId, shape: &Shape) -> Schema {
        let type_name = self.trace.positions[position].type_name;
        if shape.varies {
            return opaque(type_name, "the number of its fields depends on what it reads".to_owned());
        }
        let name = || shape.named.map_or_else(String::new, |named| self.trace.types[named].name.to_owned());
        match shape.form {
            Form::Leaf(leaf) => leaf_schema(leaf),
            Form::Option => Schema::Option(Box::new(self.child(position, shape, 0, "Some"))),
            Form::Sequence => Schema::Sequence(Box::new(self.child(position, shape, 0, "element"))),
            Form::Map => Schema::Map {
                key: Box::new(self.child(position, shape, 0, "key")),
                value: Box::new(self.child(position, shape, 1, "value")),
            },
            Form::Tuple(length) => {
                let elements = self.elements(position, shape, length);
                let is_array = elements.len() > MAX_TUPLE || type_name.starts_with('[');
                match elements.first() {
                    Some(first) if is_array && elements.iter().all(|element| element == first) => {
                        Schema::Array { element: Box::new(first.clone()), length: elements.len() }
                    }
                    _ => Schema::Tuple(elements),
                }
            }
            Form::Enum(names) => {
                let (name, variants) = (name(), self.variants(position, shape, names));
                Schema::Enum { name, variants }
            }
            Form::UnitStruct | Form::Newtype | Form::TupleStruct(_) | Form::Struct(_) => {
                let (name, fields) = (name(), self.fields(position, shape));
                Schema::Struct { name, fields }
            }
        }
    }

    fn fields(&mut self, position: PositionId, shape: &Shape) -> Fields {
        match shape.form {
            Form::Newtype => Fields::Newtype(Box::new(self.child(position, shape, 0, "0"))),
            Form::Tuple(length) | Form::TupleStruct(length) => {
                Fields::Tuple(self.elements(position, shape, length))
            }
            Form::Struct(names) => {
                let count = shape.taken.unwrap_or(names.len());
                let field = |n| {
                    let name = name_of(names, n, count);
                    let schema = self.child(position, shape, n, &name);
                    Field { name, schema }
                };
                Fields::Named((0..count).map(field).collect())
            }
            _ => Fields::Unit,
        }
    }

    fn variants(
        &mut self,
        position: PositionId,
        shape: &Shape,
        names: &'static [&'static str],
    ) -> Vec<Variant> {
        let Some(named) = shape.named else { return Vec::new() };
        let states = &self.trace.types[named].variants;
        let count = states.iter().filter(|state| **state != VariantState::NoVariant).count();
        let mut variants = Vec::new();
        for (n, state) in states.iter().enumerate() {
            if matches!(state, VariantState::NoVariant | VariantState::AlwaysRefused) {
                continue;
            }
            let name = name_of(names, n, count);
            let payload = shape.children.get(n).copied().flatten();
            let fields = match payload.map(|payload| (payload, &self.trace.positions[payload].shapes[..])) {
                Some((payload, [shape])) if !shape.varies => self.fields(payload, shape),
                _ => Fields::Newtype(Box::new(self.child(position, shape, n, &name))),
            };
            variants.push(Variant { index: n as u32, name, fields });
        }
        variants
    }

    fn elements(&mut self, position: PositionId, shape: &Shape, length: usize) -> Vec<Schema> {
        let count = shape.taken.unwrap_or(length).min(MAX_NODES);
        (0..count).map(|n| self.child(position, shape, n, &n.to_string())).collect()
    }

    fn child(&mut self, position: PositionId, shape: &Shape, slot: usize, field: &str) -> Schema {
        match shape.children.get(slot).copied().flatten() {
            Some(child) => self.at(child),
            None => {
                let type_name = format!("{}.{field}", self.trace.positions[position].type_name);
                opaque(&type_name, self.not_reached(position))
            }
        }
    }

    /// Names the place that stood in the way of this one: the nearest that is blocked.
    fn not_reached(&self, position: PositionId) -> String {
        let positions = &self.trace.positions;
        let ancestors = |of: PositionId| {
            std::iter::successors(Some(of), |at| positions[*at].parent.map(|parent| parent.0))
        };
        let nearest = ancestors(position)
            .find_map(|around| self.blocked.iter().find(|at| ancestors(**at).any(|outer| outer == around)));
        match nearest.and_then(|at| Some((positions[*at].type_name, positions[*at].blocked.as_ref()?))) {
            Some((type_name, reason)) => {
                format!("not reached, since `{type_name}` stands before it: {reason}")
            }
            None => "not reached: it is too large to be traced, or takes no sample value".to_owned(),
        }
    }
}

/// The name of entry `n` of `count`, out of a list that may hold aliases too.
///
/// serde lists the names and aliases of all fields in one row, so with `extra` more names than fields, the name of
/// field `n` is one of those from `n` to `n + extra`.
fn name_of(names: &[&str], n: usize, count: usize) -> String {
    let extra = names.len().saturating_sub(count);
    names.get(n..=n + extra).map_or_else(|| n.to_string(), |candidates| candidates.join("|"))
}

fn opaque(type_name: &str, reason: String) -> Schema {
    Schema::Opaque { type_name: type_name.to_owned(), reason }
}

fn leaf_schema(leaf: Leaf) -> Schema {
    match leaf {
        Leaf::Bool => Schema::Bool,
        Leaf::U8 => Schema::U8,
        Leaf::U16 => Schema::U16,
        Leaf::U32 => Schema::U32,
        Leaf::U64 => Schema::U64,
        Leaf::U128 => Schema::U128,
        Leaf::I8 => Schema::I8,
        Leaf::I16 => Schema::I16,
        Leaf::I32 => Schema::I32,
        Leaf::I64 => Schema::I64,
        Leaf::I128 => Schema::I128,
        Leaf::F32 => Schema::F32,
        Leaf::F64 => Schema::F64,
        Leaf::Char => Schema::Char,
        Leaf::String => Schema::String,
        Leaf::Bytes => Schema::Bytes,
        Leaf::Unit => Schema::Unit,
    }
}
