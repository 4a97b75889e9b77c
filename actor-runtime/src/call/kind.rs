//! What went wrong with a call, and what is known about its handler.

use std::fmt;

/// The kinds of [`Failure`](super::Failure).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// Several nodes live in this process (or none can be made) and nothing says which one the client belongs to.
    AmbiguousNode,
    /// The call was given up before it ended: its caller left, or its actor dropped the [`ReplyTo`](crate::ReplyTo).
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
    /// There is no room for the call, such as in the actor's mailbox, and the actor was registered to refuse calls then, or
    /// the call was made with [`try_now`](crate::Call::try_now).
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
}
