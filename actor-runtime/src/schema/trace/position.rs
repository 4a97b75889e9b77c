//! What was asked at each place of the value, over all runs.

pub(super) type PositionId = usize;
pub(super) type TypeId = usize;

/// The whole value.
pub(super) const ROOT: PositionId = 0;

/// One place in the value: a field, an element, a variant's payload.
#[derive(Debug)]
pub(super) struct Position {
    /// The full name of the type that its seed makes, for messages.
    pub(super) type_name: &'static str,
    /// The place that it stands in, and as which child there.
    pub(super) parent: Option<(PositionId, usize)>,
    /// What was asked here. More than one entry is a contradiction: what is read depends on what was read before.
    pub(super) shapes: Vec<Shape>,
    /// Which sample to answer with.
    pub(super) sample: usize,
    /// How often other samples were tried since this place refused.
    pub(super) attempts: usize,
    /// Whether it ever gave a value.
    pub(super) succeeded: bool,
    /// Whether exploring here is over, be it that all is known.
    pub(super) complete: bool,
    /// For options, sequences and maps: what would stand in it ends every run, so leave it out.
    pub(super) leave_empty: bool,
    /// Why no run gets past this place.
    pub(super) blocked: Option<String>,
}

impl Position {
    pub(super) fn new(type_name: &'static str, parent: Option<(PositionId, usize)>) -> Self {
        Self {
            type_name,
            parent,
            shapes: Vec::new(),
            sample: 0,
            attempts: 0,
            succeeded: false,
            complete: false,
            leave_empty: false,
            blocked: None,
        }
    }
}

/// A question and what followed from it.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) form: Form,
    /// The struct or enum that it is.
    pub(super) named: Option<TypeId>,
    /// What stands in it, made when it is first visited.
    pub(super) children: Vec<Option<PositionId>>,
    /// How many elements the visitor took of a form with a fixed number, once it has succeeded.
    pub(super) taken: Option<usize>,
    /// Whether it took another number of them another time.
    pub(super) varies: bool,
}

/// The question that a visitor asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Leaf(Leaf),
    Option,
    Sequence,
    Map,
    Tuple(usize),
    Newtype,
    UnitStruct,
    TupleStruct(usize),
    Struct(&'static [&'static str]),
    Enum(&'static [&'static str]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaf {
    Bool,
    U8,
    U16,
    U32,
    U64,
    U128,
    I8,
    I16,
    I32,
    I64,
    I128,
    F32,
    F64,
    Char,
    String,
    Bytes,
    Unit,
}

/// A struct or an enum, wherever it occurs.
#[derive(Debug)]
pub(super) struct Named {
    /// The name of the visitor's type. Instances of one generic type differ in it, two types of one name do too.
    pub(super) visitor: &'static str,
    pub(super) name: &'static str,
    pub(super) form: Form,
    /// The place that explores it. It is set at the first visit outside any closed place.
    pub(super) owner: Option<PositionId>,
    /// For enums.
    pub(super) variants: Vec<VariantState>,
    /// The variant that was first seen to end: closed places choose it. Its payload was read when only variants found
    /// before it were chosen in closed places, so that choosing it always ends.
    pub(super) ends: Option<usize>,
}

/// What is known of one entry of an enum's list of names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum VariantState {
    #[default]
    Usable,
    /// Waits until some other enum has a variant that ends.
    Postponed,
    /// Every run that chooses it fails.
    Blocked,
    /// The index is none: the name before it has an alias.
    NoVariant,
    /// The reader takes the index and refuses it without reading on, as `OsString` does with the other system's.
    AlwaysRefused,
}
