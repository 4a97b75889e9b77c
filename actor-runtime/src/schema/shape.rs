//! The schema itself.

/// What postcard reads for a type.
///
/// A tree. A recursive type refers to itself by [`Schema::Recursion`]. The names of types are kept for people; they
/// do not count in the fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Schema {
    /// One byte, 0 or 1.
    Bool,
    /// One byte.
    U8,
    /// A varint of at most 3 bytes.
    U16,
    /// A varint of at most 5 bytes.
    U32,
    /// A varint of at most 10 bytes; also `usize`.
    U64,
    /// A varint of at most 19 bytes.
    U128,
    /// One byte.
    I8,
    /// A zigzag varint of at most 3 bytes.
    I16,
    /// A zigzag varint of at most 5 bytes.
    I32,
    /// A zigzag varint of at most 10 bytes; also `isize`.
    I64,
    /// A zigzag varint of at most 19 bytes.
    I128,
    /// Four bytes, little endian.
    F32,
    /// Eight bytes, little endian.
    F64,
    /// A length and up to four bytes of UTF-8.
    Char,
    /// A length and that many bytes of UTF-8.
    String,
    /// A length and that many bytes.
    Bytes,
    /// Nothing at all.
    Unit,
    /// A byte, 0 or 1, and the value after a 1.
    Option(Box<Self>),
    /// A length and that many elements.
    Sequence(Box<Self>),
    /// Nothing here: any number of items, which come one by one. Only a whole argument or a whole reply.
    Stream(Box<Self>),
    /// A length and that many pairs.
    Map {
        /// The first of each pair.
        key: Box<Self>,
        /// The second of each pair.
        value: Box<Self>,
    },
    /// The elements one after the other, of types that may differ.
    Tuple(Vec<Self>),
    /// A fixed number of elements of one type, without a length.
    Array {
        /// Each element.
        element: Box<Self>,
        /// How many there are; at least 1.
        length: usize,
    },
    /// The fields one after the other.
    Struct {
        /// The name that serde sees, without module and generics.
        name: String,
        /// What is in it.
        fields: Fields,
    },
    /// A varint `u32` that says which variant, and what that variant holds.
    Enum {
        /// The name that serde sees, without module and generics.
        name: String,
        /// In ascending order of `index`. An index without a variant is refused by the reader.
        variants: Vec<Variant>,
    },
    /// A struct or enum that encloses this place.
    Recursion {
        /// Its name.
        name: String,
        /// How many structs and enums further out than the nearest it is: 0 is the nearest that encloses this place.
        levels: usize,
    },
    /// A part that could not be learned. It is not checked between peers.
    Opaque {
        /// The full name of the type, or the field that it stands in.
        type_name: String,
        /// Why it could not be learned, and what to do about it.
        reason: String,
    },
}

/// What a struct or a variant holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fields {
    /// Nothing.
    Unit,
    /// One value, read as if it stood there alone.
    Newtype(Box<Schema>),
    /// Fields without names.
    Tuple(Vec<Schema>),
    /// Fields with names.
    Named(Vec<Field>),
}

/// A field with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Field {
    /// The name that serde sees. `#[serde(alias)]` hides which name belongs to which field: then every name that this
    /// field may have, joined by `|`.
    pub name: String,
    /// What is in it.
    pub schema: Schema,
}

/// A variant of an enum.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Variant {
    /// The number on the wire.
    pub index: u32,
    /// The name that serde sees; several joined by `|` where aliases hide which one it is. In an enum that has both
    /// `alias` and `other`, even that is hidden, and names may be those of a variant before.
    pub name: String,
    /// What is in it.
    pub fields: Fields,
}

/// The name of the struct around what travels of a client. No type of a user has such a name.
pub(crate) const CLIENT: &str = "actor::Client";

impl Schema {
    /// Whether a value of it has clients in it.
    pub(crate) fn has_client(&self) -> bool {
        matches!(self, Self::Struct { name, .. } if name == CLIENT) || self.parts().any(Self::has_client)
    }

    /// Whether all of it was learned, so that equal fingerprints mean equal types.
    pub fn is_checked(&self) -> bool {
        !matches!(self, Self::Opaque { .. }) && self.parts().all(Self::is_checked)
    }

    /// The parts that could not be learned, each a [`Schema::Opaque`], from left to right.
    pub fn opaque_parts(&self) -> Vec<&Self> {
        let mut found = Vec::new();
        self.collect_opaque(&mut found);
        found
    }

    fn collect_opaque<'a>(&'a self, found: &mut Vec<&'a Self>) {
        if matches!(self, Self::Opaque { .. }) {
            found.push(self);
        }
        self.parts().for_each(|part| part.collect_opaque(found));
    }

    /// The schemas that stand directly in this one.
    pub(super) fn parts(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        match self {
            Self::Option(inner)
            | Self::Sequence(inner)
            | Self::Stream(inner)
            | Self::Array { element: inner, .. } => Box::new(std::iter::once(&**inner)),
            Self::Map { key, value } => Box::new([&**key, &**value].into_iter()),
            Self::Tuple(elements) => Box::new(elements.iter()),
            Self::Struct { fields, .. } => fields.parts(),
            Self::Enum { variants, .. } => {
                Box::new(variants.iter().flat_map(|variant| variant.fields.parts()))
            }
            _ => Box::new(std::iter::empty()),
        }
    }
}

impl Fields {
    pub(super) fn parts(&self) -> Box<dyn Iterator<Item = &Schema> + '_> {
        match self {
            Self::Unit => Box::new(std::iter::empty()),
            Self::Newtype(inner) => Box::new(std::iter::once(&**inner)),
            Self::Tuple(elements) => Box::new(elements.iter()),
            Self::Named(fields) => Box::new(fields.iter().map(|field| &field.schema)),
        }
    }
}
