use std::fmt;

use super::{Delivery, Failure, FailureKind, Stage};
use crate::actor_id::ActorId;

/// Why an actor stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// The runtime that ran it went away, or the node or server was dropped without a shutdown.
    Abandoned,
    /// A handler panicked.
    Panicked {
        /// `Service/method`.
        method: String,
        /// What the panic said.
        message: String,
    },
    /// Another actor was given its name.
    Replaced {
        /// Which.
        by: ActorId,
    },
    /// Its server was shut down.
    Shutdown,
    /// It was unregistered.
    Unregistered,
}

impl StopReason {
    /// For a call that came too late.
    pub(crate) fn refusal(&self) -> Failure {
        // Who has the name now is known: whoever follows it goes there, and nobody else.
        let kind = if let Self::Replaced { .. } = self { FailureKind::Stale } else { FailureKind::Stopped };
        Failure::new(kind, Delivery::NotDelivered, self.to_string())
    }

    /// For a call whose turn was cut off.
    pub(crate) fn interruption(&self, stage: Stage) -> Failure {
        let delivery = if stage == Stage::Waiting { Delivery::NotDelivered } else { Delivery::Unknown };
        Failure::new(FailureKind::Stopped, delivery, self.to_string())
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abandoned => f.write_str("its server or its runtime was dropped without a shutdown"),
            Self::Panicked { method, message } => {
                write!(f, "a handler panicked in {method}: {message}; register the actor anew")
            }
            Self::Replaced { by } => write!(f, "it was replaced: its name belongs to {by} now"),
            Self::Shutdown => f.write_str("its server was shut down"),
            Self::Unregistered => f.write_str("it was unregistered"),
        }
    }
}
