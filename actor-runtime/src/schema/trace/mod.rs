//! Tracing: a type's own `Deserialize` is run on sample answers, and what it asks for is the schema.
//!
//! ```text
//!   run 1   Shape::deserialize --> "an enum of Circle, Line"   answer: variant 0 --> "a newtype" --> "an f64"
//!   run 2   Shape::deserialize --> "an enum of Circle, Line"   answer: variant 1 --> "a tuple of 2" --> …
//!   run 3   a second look with other samples: does it ask for the same?
//!
//!   deserializer.rs, access.rs   answer one question of a visitor
//!   position.rs                  what was asked at each place of the value, over all runs
//!   state.rs                     the run that is going on, and where in the value it is
//!   choose.rs                    which answer to give there
//!   recover.rs                   after a refusal: other samples, another variant, a way around
//!   build.rs                     all places together, as a `Schema`
//! ```
//!
//! A place can be asked again only by a new run, since a `DeserializeSeed` is consumed by its first answer. Each run
//! therefore carries what all earlier ones have learned, and must learn something new or be the last.
//!
//! Every traced type compiles its `Deserialize` once more. What is generic here is therefore kept small, and what it
//! calls is not inlined into it.
//!
//! Structs and enums are known by the name of their visitor's type, which tells generic instantiations apart. The
//! first place where one occurs *owns* it and explores its variants; at all others, and so in every recursion, it is
//! *closed*: `None`, no elements, and a variant that ends.

mod access;
mod build;
mod choose;
mod deserializer;
mod error;
mod position;
mod recover;
mod samples;
mod state;

use std::any::type_name;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::de::DeserializeOwned;

use self::deserializer::Tracer;
use self::error::Refusal;
use self::position::ROOT;
use self::state::Trace;
use super::Schema;

/// What postcard reads for `T`, learned from its `Deserialize`.
///
/// Runs `T::deserialize` a few times, on sample values, without input: microseconds for most types. Nothing is cached.
/// A type that reads its input in a way that postcard does not support (`#[serde(untagged)]`, `flatten`, an internal
/// tag), or that takes none of the samples, gives [`Schema::Opaque`] where nothing could be learned; each of those
/// says why.
///
/// # Panics
///
/// Never. If `T::deserialize` panics on a sample, that is one more refusal (the panic hook does run).
pub fn of<T: DeserializeOwned + 'static>() -> Schema {
    learn(type_name::<T>(), &|trace| T::deserialize(Tracer { trace, position: ROOT }).map(drop))
}

/// All of it that does not depend on the type, so that it is compiled once.
fn learn(type_name: &'static str, deserialize: &dyn Fn(&mut Trace) -> Result<(), Refusal>) -> Schema {
    let run = |trace: &mut Trace| {
        // After a panic only complete entries of the trace are read; the next run starts from its root.
        let run = AssertUnwindSafe(|| deserialize(trace));
        catch_unwind(run).unwrap_or_else(|_| Err(Refusal::panicked()))
    };
    let mut trace = Trace::new(type_name);
    while trace.begin_run() {
        let go_on = match run(&mut trace) {
            Ok(()) if trace.is_incomplete(ROOT) && trace.has_progressed() => true,
            Ok(()) => {
                // The second look only has to find contradictions; that it is refused says nothing.
                trace.begin_second_look();
                let _ = run(&mut trace);
                false
            }
            Err(refusal) => trace.recover(refusal),
        };
        if !go_on {
            break;
        }
    }
    trace.into_schema()
}
