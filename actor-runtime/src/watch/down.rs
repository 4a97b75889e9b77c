//! How it was that an actor ended, as those who watched it are told.

use std::fmt;

use crate::{
    actor_id::ActorId,
    call::{Failure, StopReason},
    inspect::{End, EndKind},
};

/// An actor has ended, or cannot be seen any more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Down {
    /// The name that was watched.
    pub name: String,
    /// The registration; `None` if nothing had the name.
    pub actor: Option<ActorId>,
    /// What is known of its end.
    pub reason: DownReason,
}

/// What is known of the end of an actor that was watched.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DownReason {
    /// It was asked to stop, or stopped itself, and did so well.
    Stopped(String),
    /// It was killed, or had not ended when the grace of its stop was over.
    Killed(String),
    /// It failed: a handler or a hook panicked, or it did not start.
    Failed(String),
    /// It had ended before it was watched, or never was.
    Gone,
    /// The node that it is on cannot be reached, or was lost: nobody here knows what became of it.
    Lost(Failure),
}

impl DownReason {
    /// Whether something went wrong, as far as anybody knows.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Lost(_))
    }

    pub(super) fn of(reason: &StopReason) -> Self {
        Self::from(End::of(reason))
    }
}

impl From<End> for DownReason {
    fn from(end: End) -> Self {
        match end.kind {
            EndKind::Stopped => Self::Stopped(end.reason),
            EndKind::Killed => Self::Killed(end.reason),
            EndKind::Failed => Self::Failed(end.reason),
        }
    }
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(reason) | Self::Killed(reason) | Self::Failed(reason) => f.write_str(reason),
            Self::Gone => f.write_str("it had ended before it was watched, or never was"),
            Self::Lost(failure) => write!(f, "its node was lost: {failure}"),
        }
    }
}

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is down: {}", self.name, self.reason)
    }
}
