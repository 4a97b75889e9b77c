//! What a caller gets when a call gives neither a reply nor an application error.

use std::{
    error::Error,
    fmt::{self, Write},
};

use crate::codec::CodecError;

/// Why a call failed, and what is known about it: the one error type of the runtime.
///
/// A method that returns `T` gives its caller `Result<T, Failure>`; one that returns `Result<T, E>` gives
/// `Result<T, CallError<E>>`, and `?` turns a `Failure` into a [`CallError`].
///
/// ```
/// use actor_runtime::{CallError, Delivery, Failure, FailureKind};
///
/// fn worth_another_try(failure: &Failure) -> bool {
///     failure.kind() == FailureKind::Overloaded || failure.delivery() == Delivery::NotDelivered
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

/// The kinds of [`Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// Several nodes live in this process (or none can be made) and nothing says which one the client belongs to.
    AmbiguousNode,
    /// The caller left before the call ended.
    Cancelled,
    /// The connection broke while the call was under way.
    ConnectionLost,
    /// The call's chain of turns comes back to an actor that waits for it.
    Cycle,
    /// The deadline passed.
    DeadlineExceeded,
    /// The callee does not allow this caller to call this method.
    Denied,
    /// A defect of the runtime; please report it.
    Internal,
    /// Bytes that are not what they should be.
    Malformed,
    /// Nothing has the name that was asked for.
    NotFound,
    /// The actor's mailbox is full, and the actor was registered to refuse calls then.
    Overloaded,
    /// The handler panicked.
    Panicked,
    /// The two sides have different ideas of the method's arguments or reply.
    SchemaMismatch,
    /// The id of the actor is not the one that was asked for: the actor was registered anew.
    Stale,
    /// The actor has stopped.
    Stopped,
    /// A message or a value is larger than its limit.
    TooLarge,
    /// The caller is not who it should be.
    Unauthenticated,
    /// The actor does not serve this service or method.
    Unimplemented,
    /// Nothing answers at the endpoint.
    Unreachable,
}

impl FailureKind {
    const ALL: [Self; 18] = [
        Self::NotFound,
        Self::Stale,
        Self::Unreachable,
        Self::ConnectionLost,
        Self::DeadlineExceeded,
        Self::Cancelled,
        Self::Overloaded,
        Self::Stopped,
        Self::Panicked,
        Self::Cycle,
        Self::SchemaMismatch,
        Self::Unimplemented,
        Self::Malformed,
        Self::TooLarge,
        Self::Unauthenticated,
        Self::Denied,
        Self::AmbiguousNode,
        Self::Internal,
    ];

    /// The number of the kind on the wire, from 1.
    pub(crate) fn code(self) -> u8 {
        Self::ALL.iter().position(|kind| *kind == self).map_or(u8::MAX, |at| at as u8 + 1)
    }

    /// The kind of a number from the wire; one that this release does not know is [`Internal`](Self::Internal).
    pub(crate) fn from_code(code: u8) -> Self {
        usize::from(code).checked_sub(1).and_then(|at| Self::ALL.get(at)).copied().unwrap_or(Self::Internal)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AmbiguousNode => "ambiguous node",
            Self::Cancelled => "cancelled",
            Self::ConnectionLost => "connection lost",
            Self::Cycle => "cycle",
            Self::DeadlineExceeded => "deadline exceeded",
            Self::Denied => "denied",
            Self::Internal => "internal error",
            Self::Malformed => "malformed",
            Self::NotFound => "not found",
            Self::Overloaded => "overloaded",
            Self::Panicked => "panicked",
            Self::SchemaMismatch => "schema mismatch",
            Self::Stale => "stale",
            Self::Stopped => "stopped",
            Self::TooLarge => "too large",
            Self::Unauthenticated => "unauthenticated",
            Self::Unimplemented => "unimplemented",
            Self::Unreachable => "unreachable",
        })
    }
}

/// What is known about whether the actor ran a call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// No handler saw it: another try cannot do it twice.
    NotDelivered,
    /// A handler may have run, wholly or in part.
    Unknown,
    /// The handler ran to its end; only its reply is missing.
    Executed,
}

impl Delivery {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::NotDelivered => 1,
            Self::Unknown => 2,
            Self::Executed => 3,
        }
    }

    pub(crate) fn from_code(code: u8) -> Self {
        match code {
            1 => Self::NotDelivered,
            3 => Self::Executed,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotDelivered => "not delivered",
            Self::Unknown => "delivery unknown",
            Self::Executed => "executed",
        })
    }
}

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

/// How a call of a method that returns `Result<T, E>` can go wrong.
///
/// A handler that calls other actors and hands their failures on keeps them as what they are, with a variant of its own:
///
/// ```
/// use actor_runtime::{CallError, NoContext, prelude::*};
///
/// #[message]
/// #[derive(Debug)]
/// enum OrderError {
///     SoldOut,
///     /// Something else than the stock said no.
///     Unavailable(String),
/// }
///
/// impl From<Failure> for OrderError {
///     fn from(failure: Failure) -> Self {
///         Self::Unavailable(failure.to_string())
///     }
/// }
///
/// impl From<CallError<OrderError>> for OrderError {
///     fn from(error: CallError<OrderError>) -> Self {
///         match error {
///             CallError::Application(error) => error,
///             CallError::Failed(failure) => failure.into(),
///         }
///     }
/// }
///
/// impl From<NoContext> for OrderError {
///     fn from(error: NoContext) -> Self {
///         Self::Unavailable(error.to_string())
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError<E> {
    /// The method ran and returned this error.
    Application(E),
    /// There is no answer of the method.
    Failed(Failure),
}

impl<E> CallError<E> {
    /// The longest text of an application error in [`Display`](fmt::Display), in bytes. Errors that are made of the texts
    /// of other errors would otherwise grow with every actor on their way.
    const MAX_TEXT: usize = 512;

    /// The failure, if the method did not answer.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Application(_) => None,
            Self::Failed(failure) => Some(failure),
        }
    }
}

impl<E> From<Failure> for CallError<E> {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl<E: fmt::Debug> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Application(error) => {
                let mut text = Bounded { text: String::new(), room: Self::MAX_TEXT };
                // The only error is the one of the bound.
                let cut = write!(text, "{error:?}").is_err();
                write!(f, "the method returned an error: {}{}", text.text, if cut { "…" } else { "" })
            }
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

/// A text up to a bound.
struct Bounded {
    text: String,
    room: usize,
}

impl Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let mut fits = more.len().min(self.room);
        while !more.is_char_boundary(fits) {
            fits -= 1;
        }
        self.text.push_str(&more[..fits]);
        self.room -= fits;
        if fits < more.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

impl<E: fmt::Debug> Error for CallError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.failure().map(|failure| failure as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_one_to_one_and_an_unknown_one_is_internal() {
        for kind in FailureKind::ALL {
            assert_eq!(FailureKind::from_code(kind.code()), kind);
        }
        for code in [0, 19, 255] {
            assert_eq!(FailureKind::from_code(code), FailureKind::Internal);
        }
        for delivery in [Delivery::NotDelivered, Delivery::Unknown, Delivery::Executed] {
            assert_eq!(Delivery::from_code(delivery.code()), delivery);
        }
        assert_eq!(Delivery::from_code(9), Delivery::Unknown);
    }

    #[test]
    fn the_text_of_an_application_error_is_bounded() {
        let text = CallError::Application("ä\\".repeat(10_000)).to_string();
        assert!(text.len() < 600 && text.ends_with('…'), "{} bytes", text.len());
        assert_eq!(CallError::Application(7).to_string(), "the method returned an error: 7");
    }

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
