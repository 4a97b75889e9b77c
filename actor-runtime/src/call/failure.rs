//! What a caller gets when a call gives neither a reply nor an application error.

use std::{error::Error, fmt};

use super::{Delivery, FailureKind};
use crate::codec::CodecError;

/// Why a call failed, and what is known about it: the one error type of the runtime.
///
/// A method that returns `T` gives its caller `Result<T, Failure>`; one that returns `Result<T, E>` gives
/// `Result<T, CallError<E>>`, and `?` turns a `Failure` into a [`CallError`](super::CallError).
///
/// ```
/// use actor_runtime::{CallError, Delivery, Failure, FailureKind};
///
/// /// Whether the same call may go better in a moment, and cannot be done twice.
/// fn worth_another_try(failure: &Failure) -> bool {
///     use FailureKind::{NotFound, Overloaded, Stopped, Unreachable};
///     let passing = matches!(failure.kind(), NotFound | Overloaded | Stopped | Unreachable);
///     passing && failure.delivery() == Delivery::NotDelivered
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Failure(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    kind: FailureKind,
    delivery: Delivery,
    method: String,
    actor: String,
    endpoint: String,
    hops: Vec<Hop>,
    detail: String,
}

impl Failure {
    /// A failure with a text that says what was attempted and what to do.
    pub fn new(kind: FailureKind, delivery: Delivery, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            delivery,
            method: String::new(),
            actor: String::new(),
            endpoint: String::new(),
            hops: Vec::new(),
            detail: detail.into(),
        }))
    }

    /// A value that could not be encoded or decoded; `what` says which.
    pub(crate) fn of_codec(error: &CodecError, delivery: Delivery, what: &str) -> Self {
        let kind = match error {
            CodecError::TooLarge { .. } => FailureKind::TooLarge,
            CodecError::UnknownMethod { .. } => FailureKind::Unimplemented,
            _ => FailureKind::Malformed,
        };
        Self::new(kind, delivery, format!("{what}: {error}"))
    }

    /// What went wrong.
    pub fn kind(&self) -> FailureKind {
        self.0.kind
    }

    /// Whether the actor may have seen the call.
    pub fn delivery(&self) -> Delivery {
        self.0.delivery
    }

    /// `Service/method`; empty if the failure does not belong to a call.
    pub fn method(&self) -> &str {
        &self.0.method
    }

    /// The name of the actor that was called, as the caller gave it.
    pub fn actor(&self) -> &str {
        &self.0.actor
    }

    /// Where the actor was reached, such as `actor://loopback:1/calc`; empty if the call did not get that far.
    pub fn endpoint(&self) -> &str {
        &self.0.endpoint
    }

    /// The turns that were waiting for this call, outermost first; for [`FailureKind::Cycle`] the circle itself.
    pub fn hops(&self) -> &[Hop] {
        &self.0.hops
    }

    /// What was attempted and what to do, without the facts that have accessors of their own.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// For the caller of a call whose handler has seen it.
    #[must_use]
    pub(crate) fn after_delivery(mut self) -> Self {
        if self.0.delivery == Delivery::NotDelivered {
            self.0.delivery = Delivery::Unknown;
        }
        self
    }

    /// As it was at the other side.
    #[must_use]
    pub(crate) fn about(mut self, method: impl fmt::Display, actor: &str, endpoint: &str) -> Self {
        self.locate(method, actor, endpoint);
        self
    }

    /// Names the method, the actor and the endpoint where the failure does not do so yet.
    pub(crate) fn locate(&mut self, method: impl fmt::Display, actor: &str, endpoint: &str) {
        let inner = &mut *self.0;
        if inner.method.is_empty() {
            inner.method = method.to_string();
        }
        if inner.actor.is_empty() {
            actor.clone_into(&mut inner.actor);
        }
        if inner.endpoint.is_empty() {
            endpoint.clone_into(&mut inner.endpoint);
        }
    }

    /// After so many attempts.
    #[must_use]
    pub(crate) fn after(self, attempts: u32) -> Self {
        self.remark(format_args!("gave up after {attempts} attempts"))
    }

    /// With something more to know about it.
    #[must_use]
    pub(crate) fn remark(mut self, remark: impl fmt::Display) -> Self {
        use fmt::Write;
        let _ = write!(self.0.detail, "; {remark}");
        self
    }

    #[must_use]
    pub(crate) fn with_hops(mut self, hops: Vec<Hop>) -> Self {
        self.0.hops = hops;
        self
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, delivery, method, actor, endpoint, hops, detail } = &*self.0;
        f.debug_struct("Failure")
            .field("kind", kind)
            .field("delivery", delivery)
            .field("method", method)
            .field("actor", actor)
            .field("endpoint", endpoint)
            .field("hops", hops)
            .field("detail", detail)
            .finish()
    }
}

/// `Calculator/divide on actor "calc" at actor://loopback:1/calc: stopped: … (not delivered)`.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, delivery, method, actor, endpoint, hops, detail } = &*self.0;
        if !method.is_empty() {
            write!(f, "{method} on actor {actor:?}")?;
            if !endpoint.is_empty() {
                write!(f, " at {endpoint}")?;
            }
            f.write_str(": ")?;
        }
        write!(f, "{kind}: {detail} ({delivery})")?;
        // A circle is told in the detail.
        if !hops.is_empty() && *kind != FailureKind::Cycle {
            f.write_str("; called by ")?;
            for (at, hop) in hops.iter().enumerate() {
                write!(f, "{}{hop}", if at == 0 { "" } else { " → " })?;
            }
        }
        Ok(())
    }
}

impl Error for Failure {}

/// One turn of a chain of calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The name of the actor.
    pub actor: String,
    /// `Service/method`.
    pub method: String,
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {:?}", self.method, self.actor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_tells_what_where_and_who_waited() {
        let failure =
            Failure::new(FailureKind::Stopped, Delivery::NotDelivered, "the actor was unregistered")
                .about("Calculator/divide", "calc", "actor://loopback:1/calc")
                .with_hops(vec![
                    Hop { actor: "front".into(), method: "Front/ask".into() },
                    Hop { actor: "middle".into(), method: "Middle/ask".into() },
                ]);
        assert_eq!(
            failure.to_string(),
            "Calculator/divide on actor \"calc\" at actor://loopback:1/calc: stopped: the actor was unregistered \
             (not delivered); called by Front/ask on \"front\" → Middle/ask on \"middle\""
        );
        assert_eq!(size_of::<Failure>(), size_of::<usize>());
    }
}
