//! Reading postcard by the schema alone.

use super::{Fields, Schema};

/// Deeper values are refused, since walking them takes stack.
const MAX_DEPTH: usize = 128;

/// Why bytes are not a value of a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WalkError {
    /// The bytes end inside the value.
    #[error("the bytes end inside a {0}")]
    Truncated(&'static str),
    /// A byte is none that postcard writes there.
    #[error("no valid {0}")]
    Invalid(&'static str),
    /// The value nests deeper than 128 levels.
    #[error("the value nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// The schema has an opaque part here, so the end of the value is not known.
    #[error("the schema of `{0}` is not known")]
    Opaque(String),
}

impl Schema {
    /// Passes over one value of this type, and gives the bytes behind it.
    ///
    /// Costs time and stack in proportion to the bytes, whatever they are.
    ///
    /// # Errors
    ///
    /// If postcard would refuse the bytes for their structure, or the schema has an opaque part where they lead.
    pub fn walk<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], WalkError> {
        let mut walk = Walk { rest: bytes, enclosing: Vec::new(), depth: 0 };
        walk.schema(self)?;
        Ok(walk.rest)
    }
}

struct Walk<'a, 's> {
    rest: &'a [u8],
    /// The structs and enums around this place, for recursion.
    enclosing: Vec<&'s Schema>,
    depth: usize,
}

impl<'s> Walk<'_, 's> {
    fn schema(&mut self, schema: &'s Schema) -> Result<(), WalkError> {
        if self.depth == MAX_DEPTH {
            return Err(WalkError::TooDeep);
        }
        self.depth += 1;
        let result = self.value(schema);
        self.depth -= 1;
        result
    }

    fn value(&mut self, schema: &'s Schema) -> Result<(), WalkError> {
        match schema {
            Schema::Bool => self.byte_below_2("bool").map(drop),
            Schema::U8 | Schema::I8 => self.take(1, "byte").map(drop),
            Schema::U16 | Schema::I16 => self.varint(16).map(drop),
            Schema::U32 | Schema::I32 => self.varint(32).map(drop),
            Schema::U64 | Schema::I64 => self.varint(64).map(drop),
            Schema::U128 | Schema::I128 => self.varint(128).map(drop),
            Schema::F32 => self.take(4, "f32").map(drop),
            Schema::F64 => self.take(8, "f64").map(drop),
            Schema::Char => {
                let character = self.text("char")?;
                if character.len() > 4 || character.is_empty() {
                    Err(WalkError::Invalid("char"))
                } else {
                    Ok(())
                }
            }
            Schema::String => self.text("string").map(drop),
            Schema::Bytes => {
                let length = self.length()?;
                self.take(length, "byte string").map(drop)
            }
            // Its items are not among these bytes.
            Schema::Unit | Schema::Stream(_) => Ok(()),
            Schema::Option(inner) => match self.byte_below_2("option")? {
                true => self.schema(inner),
                false => Ok(()),
            },
            Schema::Sequence(element) => {
                let length = self.length()?;
                self.repeat(length, &[element])
            }
            Schema::Map { key, value } => {
                let length = self.length()?;
                self.repeat(length, &[key, value])
            }
            Schema::Array { element, length } => self.repeat(*length, &[element]),
            Schema::Tuple(elements) => elements.iter().try_for_each(|element| self.schema(element)),
            Schema::Struct { fields, .. } => self.enclosed(schema, fields),
            Schema::Enum { variants, .. } => {
                let index = self.varint(32)?;
                match variants.iter().find(|variant| u128::from(variant.index) == index) {
                    Some(variant) => self.enclosed(schema, &variant.fields),
                    None => Err(WalkError::Invalid("variant")),
                }
            }
            Schema::Recursion { levels, .. } => {
                let Some(target) = self.enclosing.len().checked_sub(levels + 1) else {
                    return Err(WalkError::Invalid("recursion"));
                };
                // What encloses the target is what enclosed it when it was first met.
                let inner = self.enclosing.split_off(target);
                let result = self.schema(inner[0]);
                self.enclosing.extend(inner);
                result
            }
            Schema::Opaque { type_name, .. } => Err(WalkError::Opaque(type_name.clone())),
        }
    }

    fn enclosed(&mut self, schema: &'s Schema, fields: &'s Fields) -> Result<(), WalkError> {
        let outside = self.enclosing.len();
        self.enclosing.push(schema);
        let result = fields.parts().try_for_each(|part| self.schema(part));
        self.enclosing.truncate(outside);
        result
    }

    fn repeat(&mut self, times: usize, schemas: &[&'s Schema]) -> Result<(), WalkError> {
        for _ in 0..times {
            let before = self.rest.len();
            schemas.iter().try_for_each(|schema| self.schema(schema))?;
            if self.rest.len() == before {
                // Elements without bytes: the length may be any number, and there is nothing to walk.
                break;
            }
        }
        Ok(())
    }

    fn text(&mut self, what: &'static str) -> Result<&str, WalkError> {
        let length = self.length()?;
        let bytes = self.take(length, what)?;
        std::str::from_utf8(bytes).map_err(|_| WalkError::Invalid(what))
    }

    fn byte_below_2(&mut self, what: &'static str) -> Result<bool, WalkError> {
        match self.take(1, what)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(WalkError::Invalid(what)),
        }
    }

    fn length(&mut self) -> Result<usize, WalkError> {
        let length = self.varint(64)?;
        usize::try_from(length).map_err(|_| WalkError::Invalid("length"))
    }

    /// At most as many bits as the type has, as postcard checks it.
    fn varint(&mut self, bits: usize) -> Result<u128, WalkError> {
        let mut value = 0;
        for n in 0..bits.div_ceil(7) {
            let byte = self.take(1, "varint")?[0];
            let left = bits - 7 * n;
            if left < 7 && byte >> left != 0 {
                return Err(WalkError::Invalid("varint"));
            }
            value |= u128::from(byte & 0x7f) << (7 * n);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WalkError::Invalid("varint"))
    }

    fn take(&mut self, count: usize, what: &'static str) -> Result<&[u8], WalkError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(WalkError::Truncated(what))?;
        self.rest = rest;
        Ok(taken)
    }
}
