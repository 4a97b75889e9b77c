//! Types as data: what postcard reads for a type, and a fingerprint of it.
//!
//! A method's arguments and reply need a schema for two things: two peers compare fingerprints before the first
//! byte of a call is sent, and a tool that has no Rust types turns JSON into postcard. Users write nothing for it.
//! The schema is learned from the type's own `Deserialize`, which is the code that postcard will run:
//!
//! ```text
//!   T::deserialize(tracer)          asks: "a struct Point with x and y", "an f64", "an f64"
//!         |  ^
//!         v  | sample answers, again and again until every variant has been seen
//!       tracer ---> Schema ---> fingerprint   (compared by peers)
//!                      |-----> Display        (`Point { x: f64, y: f64 }`)
//!                      '-----> walk           (the bytes of one value, by the schema alone)
//! ```
//!
//! Invariants, cited by the tests:
//!
//! 1. [`of`] never panics, always ends, and depends on the type alone.
//! 2. A schema without opaque parts reads exactly the bytes that postcard reads for the type.
//! 3. What could not be learned is [`Schema::Opaque`], never a guess, and says what to do about it.
//! 4. Equal fingerprints mean the same structure with the same field and variant names. Names of types are free.
//! 5. Fingerprints are part of the wire: they do not change from one release to the next.

mod display;
mod fingerprint;
mod shape;
mod trace;
mod walk;

#[cfg(test)]
mod tests;

pub use self::fingerprint::method_fingerprint;
pub(crate) use self::shape::CLIENT;
pub use self::shape::{Field, Fields, Schema, Variant};
pub use self::trace::of;
pub use self::walk::WalkError;
