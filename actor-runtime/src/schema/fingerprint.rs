//! Fingerprints: 64 bits that differ when two peers would read different things.
//!
//! The canonical form that is hashed is a prefix code, one tag byte per node. It leaves out what does not matter:
//!
//! | not counted | because |
//! |---|---|
//! | names of types | renaming a type changes nothing on the wire |
//! | a newtype struct around a value | it has no bytes of its own |
//! | `Bytes` or `Vec<u8>`, an array or a tuple of equal elements | the same bytes |
//!
//! Names of fields and variants do count: they are all that tells two swapped fields of one type apart.
//!
//! FNV is not collision-resistant. It guards against accidents, not against an adversary, who needs no collision to
//! send wrong bytes.

use super::{Fields, Schema};

impl Schema {
    /// The fingerprint of this type. Opaque parts all count alike, so it says nothing about them.
    pub fn fingerprint(&self) -> u64 {
        let mut form = Form::default();
        form.schema(self);
        form.hash
    }
}

/// The fingerprint of a method: its arguments with their names and in their order, its reply, and its error.
///
/// The three roles are kept apart: moving a type from the arguments to the reply is a change.
pub fn method_fingerprint(arguments: &[(&str, Schema)], reply: &Schema, error: Option<&Schema>) -> u64 {
    let mut form = Form::default();
    form.tag(tag::ARGUMENTS);
    form.number(arguments.len());
    for (name, schema) in arguments {
        form.name(name);
        form.schema(schema);
    }
    form.tag(tag::REPLY);
    form.schema(reply);
    if let Some(error) = error {
        form.tag(tag::ERROR);
        form.schema(error);
    }
    form.hash
}

/// One byte per kind of node. Never reuse or renumber: the values are on the wire through the fingerprints.
mod tag {
    pub(super) const BOOL: u8 = 1;
    pub(super) const U8: u8 = 2;
    pub(super) const U16: u8 = 3;
    pub(super) const U32: u8 = 4;
    pub(super) const U64: u8 = 5;
    pub(super) const U128: u8 = 6;
    pub(super) const I8: u8 = 7;
    pub(super) const I16: u8 = 8;
    pub(super) const I32: u8 = 9;
    pub(super) const I64: u8 = 10;
    pub(super) const I128: u8 = 11;
    pub(super) const F32: u8 = 12;
    pub(super) const F64: u8 = 13;
    pub(super) const CHAR: u8 = 14;
    pub(super) const STRING: u8 = 15;
    pub(super) const UNIT: u8 = 16;
    pub(super) const OPTION: u8 = 17;
    pub(super) const SEQUENCE: u8 = 18;
    pub(super) const MAP: u8 = 19;
    pub(super) const TUPLE: u8 = 20;
    pub(super) const STRUCT: u8 = 21;
    pub(super) const ENUM: u8 = 22;
    pub(super) const NEWTYPE: u8 = 23;
    pub(super) const RECURSION: u8 = 24;
    pub(super) const OPAQUE: u8 = 25;
    pub(super) const ARGUMENTS: u8 = 26;
    pub(super) const REPLY: u8 = 27;
    pub(super) const ERROR: u8 = 28;
    pub(super) const STREAM: u8 = 29;
}

/// The canonical form, hashed as it is written.
struct Form {
    hash: u64,
    /// The structs and enums around the place that is being written; `false` for a newtype that leaves no trace.
    enclosing: Vec<bool>,
}

impl Default for Form {
    fn default() -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, enclosing: Vec::new() }
    }
}

impl Form {
    fn schema(&mut self, schema: &Schema) {
        match schema {
            Schema::Bool => self.tag(tag::BOOL),
            Schema::U8 => self.tag(tag::U8),
            Schema::U16 => self.tag(tag::U16),
            Schema::U32 => self.tag(tag::U32),
            Schema::U64 => self.tag(tag::U64),
            Schema::U128 => self.tag(tag::U128),
            Schema::I8 => self.tag(tag::I8),
            Schema::I16 => self.tag(tag::I16),
            Schema::I32 => self.tag(tag::I32),
            Schema::I64 => self.tag(tag::I64),
            Schema::I128 => self.tag(tag::I128),
            Schema::F32 => self.tag(tag::F32),
            Schema::F64 => self.tag(tag::F64),
            Schema::Char => self.tag(tag::CHAR),
            Schema::String => self.tag(tag::STRING),
            Schema::Bytes => self.bytes(&[tag::SEQUENCE, tag::U8]),
            Schema::Unit => self.tag(tag::UNIT),
            Schema::Option(inner) => self.tagged(tag::OPTION, inner),
            Schema::Sequence(inner) => self.tagged(tag::SEQUENCE, inner),
            Schema::Stream(inner) => self.tagged(tag::STREAM, inner),
            Schema::Map { key, value } => {
                self.tagged(tag::MAP, key);
                self.schema(value);
            }
            Schema::Tuple(elements) => self.tuple(elements),
            Schema::Array { element, length } => {
                self.tag(tag::TUPLE);
                self.run(*length, element);
                self.number(0);
            }
            Schema::Struct { fields: Fields::Newtype(inner), .. } => {
                // A newtype leaves no trace, unless it is what a recursion inside it refers to.
                let counts = refers_out(inner, 0);
                if counts {
                    self.tag(tag::NEWTYPE);
                }
                self.enclosed(counts, |form| form.schema(inner));
            }
            Schema::Struct { fields, .. } => self.enclosed(true, |form| form.fields(fields)),
            Schema::Enum { variants, .. } => self.enclosed(true, |form| {
                form.tag(tag::ENUM);
                form.number(variants.len());
                for variant in variants {
                    form.number(variant.index as usize);
                    form.name(&variant.name);
                    form.fields(&variant.fields);
                }
            }),
            Schema::Recursion { levels, .. } => {
                let counted = self.enclosing.iter().rev().take(*levels).filter(|counts| **counts).count();
                self.tag(tag::RECURSION);
                self.number(counted);
            }
            Schema::Opaque { .. } => self.tag(tag::OPAQUE),
        }
    }

    fn fields(&mut self, fields: &Fields) {
        match fields {
            Fields::Unit => self.tag(tag::UNIT),
            Fields::Newtype(inner) => self.schema(inner),
            Fields::Tuple(elements) => self.tuple(elements),
            Fields::Named(fields) => {
                self.tag(tag::STRUCT);
                self.number(fields.len());
                for field in fields {
                    self.name(&field.name);
                    self.schema(&field.schema);
                }
            }
        }
    }

    /// Runs of equal elements, each with its length, and a 0. So an array costs as much as one element.
    fn tuple(&mut self, elements: &[Schema]) {
        self.tag(tag::TUPLE);
        for run in elements.chunk_by(|a, b| a == b) {
            self.run(run.len(), &run[0]);
        }
        self.number(0);
    }

    fn run(&mut self, length: usize, element: &Schema) {
        self.number(length);
        self.schema(element);
    }

    fn enclosed(&mut self, counts: bool, write: impl FnOnce(&mut Self)) {
        self.enclosing.push(counts);
        write(self);
        self.enclosing.pop();
    }

    fn tagged(&mut self, tag: u8, inner: &Schema) {
        self.tag(tag);
        self.schema(inner);
    }

    fn tag(&mut self, tag: u8) {
        self.bytes(&[tag]);
    }

    fn name(&mut self, name: &str) {
        self.number(name.len());
        self.bytes(name.as_bytes());
    }

    fn number(&mut self, number: usize) {
        self.bytes(&(number as u64).to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// Whether `schema`, with `depth` structs and enums between, refers to the one around those.
fn refers_out(schema: &Schema, depth: usize) -> bool {
    match schema {
        Schema::Recursion { levels, .. } => *levels == depth,
        Schema::Struct { .. } | Schema::Enum { .. } => schema.parts().any(|part| refers_out(part, depth + 1)),
        _ => schema.parts().any(|part| refers_out(part, depth)),
    }
}
