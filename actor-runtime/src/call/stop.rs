use std::fmt;

use super::{Delivery, Failure, FailureKind, Stage};

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
    /// Its server was shut down.
    Shutdown,
    /// It was unregistered.
    Unregistered,
}

impl StopReason {
    /// For a call that came too late.
    pub(crate) fn refusal(&self) -> Failure {
        Failure::new(FailureKind::Stopped, Delivery::NotDelivered, self.to_string())
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
            Self::Shutdown => f.write_str("its server was shut down"),
            Self::Unregistered => f.write_str("it was unregistered"),
        }
    }
}
