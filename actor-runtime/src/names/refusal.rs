//! What callers are told of names that lead nowhere, by whichever side finds out.

use super::Namespace;
use crate::{
    actor_id::ActorId,
    call::{Delivery, Failure, FailureKind},
};

/// Nothing has the name: what was asked, where, and what exists.
pub(crate) fn unknown(name: &str, place: &str, known: &[String]) -> Failure {
    if name.is_empty() && known.len() != 1 {
        return nameless(place, known);
    }
    let exists = match known {
        [] => "nothing is registered there".to_owned(),
        known => format!("there is {}", known.join(", ")),
    };
    let detail = format!("no actor is registered as {name:?} {place}; {exists}");
    Failure::new(FailureKind::NotFound, Delivery::NotDelivered, detail)
}

/// The empty name means the only actor there is, and there is none, or more than one.
fn nameless(place: &str, known: &[String]) -> Failure {
    let exists = match known {
        [] => "nothing is registered".to_owned(),
        known => format!("there are {}; call one of them by its name", known.join(", ")),
    };
    let detail = format!("the empty name means the only actor that is registered, and {place} {exists}");
    Failure::new(FailureKind::NotFound, Delivery::NotDelivered, detail)
}

/// The name is asked for in a namespace that is served elsewhere.
pub(crate) fn elsewhere(name: &str, asked: &str, own: &Namespace) -> Failure {
    let detail = format!(
        "the call asks for {name:?} in namespace {asked:?}, and this server serves namespace {own}; give both sides the \
         same namespace"
    );
    Failure::new(FailureKind::NotFound, Delivery::NotDelivered, detail)
}

/// The name belongs to another registration than the one that is meant.
pub(crate) fn stale(wanted: ActorId, present: ActorId) -> Failure {
    let detail = format!("the client means the registration {wanted}, but the name belongs to {present} now");
    Failure::new(FailureKind::Stale, Delivery::NotDelivered, detail)
}
