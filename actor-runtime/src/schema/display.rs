//! A schema as a line of Rust-like text, for people.

use std::fmt::{self, Display, Formatter};

use super::{Fields, Schema};

/// One line, as near to Rust as it goes: `Point { x: f64, y: f64 }`, `Vec<u8>`, `Option<String>`.
///
/// A type that was already written in the same line is written by its name alone.
impl Display for Schema {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Line { written: Vec::new() }.schema(self, f)
    }
}

/// One line being written, and the structs and enums that are in it already.
struct Line<'a> {
    written: Vec<&'a Schema>,
}

impl<'a> Line<'a> {
    fn schema(&mut self, schema: &'a Schema, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(word) = word(schema) {
            return f.write_str(word);
        }
        match schema {
            Schema::Option(inner) => self.wrapped("Option<", inner, ">", f),
            Schema::Sequence(inner) => self.wrapped("Vec<", inner, ">", f),
            Schema::Stream(inner) => self.wrapped("Stream<", inner, ">", f),
            Schema::Array { element, length } => {
                self.wrapped("[", element, "", f)?;
                write!(f, "; {length}]")
            }
            Schema::Map { key, value } => {
                self.wrapped("Map<", key, ", ", f)?;
                self.wrapped("", value, ">", f)
            }
            Schema::Tuple(elements) => self.tuple(elements, f),
            Schema::Struct { name, .. } | Schema::Enum { name, .. } if self.written.contains(&schema) => {
                f.write_str(name)
            }
            Schema::Struct { name, fields } => {
                self.written.push(schema);
                f.write_str(name)?;
                self.fields(fields, f)
            }
            Schema::Enum { name, variants } => {
                self.written.push(schema);
                write!(f, "enum {name} {{")?;
                for (n, variant) in variants.iter().enumerate() {
                    write!(f, "{} {}", if n == 0 { "" } else { "," }, variant.name)?;
                    self.fields(&variant.fields, f)?;
                }
                f.write_str(" }")
            }
            Schema::Recursion { name, .. } => f.write_str(name),
            Schema::Opaque { type_name, .. } => write!(f, "opaque<{type_name}>"),
            _ => Ok(()),
        }
    }

    fn fields(&mut self, fields: &'a Fields, f: &mut Formatter<'_>) -> fmt::Result {
        match fields {
            Fields::Unit => Ok(()),
            Fields::Newtype(inner) => self.wrapped("(", inner, ")", f),
            Fields::Tuple(elements) => self.tuple(elements, f),
            Fields::Named(fields) => {
                f.write_str(" {")?;
                for (n, field) in fields.iter().enumerate() {
                    write!(f, "{} {}: ", if n == 0 { "" } else { "," }, field.name)?;
                    self.schema(&field.schema, f)?;
                }
                f.write_str(" }")
            }
        }
    }

    fn tuple(&mut self, elements: &'a [Schema], f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (n, element) in elements.iter().enumerate() {
            self.wrapped(if n == 0 { "" } else { ", " }, element, "", f)?;
        }
        f.write_str(if elements.len() == 1 { ",)" } else { ")" })
    }

    fn wrapped(
        &mut self,
        before: &str,
        inner: &'a Schema,
        after: &str,
        f: &mut Formatter<'_>,
    ) -> fmt::Result {
        f.write_str(before)?;
        self.schema(inner, f)?;
        f.write_str(after)
    }
}

/// The schemas that are one word.
fn word(schema: &Schema) -> Option<&'static str> {
    Some(match schema {
        Schema::Bool => "bool",
        Schema::U8 => "u8",
        Schema::U16 => "u16",
        Schema::U32 => "u32",
        Schema::U64 => "u64",
        Schema::U128 => "u128",
        Schema::I8 => "i8",
        Schema::I16 => "i16",
        Schema::I32 => "i32",
        Schema::I64 => "i64",
        Schema::I128 => "i128",
        Schema::F32 => "f32",
        Schema::F64 => "f64",
        Schema::Char => "char",
        Schema::String => "String",
        Schema::Bytes => "Bytes",
        Schema::Unit => "()",
        _ => return None,
    })
}
