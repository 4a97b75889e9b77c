//! Calls that end for their callers when their actors have them.
//!
//! ```text
//!   caller:  made ──► sent ──► accepted: `Ok(())`                      deadline, leaving, failures: up to here
//!                                 │
//!   actor:              waiting ──┴──► queue ──► turn ──► over         stop, kill and panics end it; its caller is not told
//! ```
//!
//! What ends an accepted call before its turn has come to its end is logged: there is nobody else to tell.

use super::{AnyCall, CallHead, Failure, FailureKind};

/// How a oneway call ended for its caller, for the generated client.
///
/// # Errors
/// It was not accepted.
pub fn accepted(call: &dyn AnyCall) -> Result<(), Failure> {
    if call.ended() == Some(false) { Ok(()) } else { call.peek().map(drop) }
}

/// An accepted call did not come to its end.
#[cold]
pub(super) fn lost(head: &CallHead, failure: &Failure) {
    // A panic is logged where it is caught.
    if failure.kind() != FailureKind::Panicked {
        tracing::error!(
            method = %head.method,
            actor = %head.name,
            %failure,
            "a oneway call was accepted, and was not run to its end"
        );
    }
}
