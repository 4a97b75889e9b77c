use std::{error::Error, fmt, time::Duration};

use super::{Delivery, Failure, FailureKind, Stage};
use crate::actor_id::ActorId;

/// Why an actor stopped.
///
/// Of several reasons the one that says most is kept: that it failed goes before that it was killed, and both before that
/// it was asked to stop. So an actor that failed while it was stopping is not taken for one that stopped well
/// ([`is_failure`](Self::is_failure)).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// The runtime that ran it went away, or the node or server was dropped without a shutdown.
    Abandoned,
    /// It stopped itself, with [`ActorContext::stop`](crate::ActorContext::stop).
    Finished,
    /// It was killed, or had not ended when the grace of its stop was over.
    Killed,
    /// A handler panicked.
    Panicked {
        /// `Service/method`.
        method: String,
        /// What the panic said.
        message: String,
    },
    /// An actor ended that it was linked to, with [`ActorContext::link`](crate::ActorContext::link), and not by a stop.
    LinkBroken {
        /// The name that was linked.
        to: String,
        /// The registration; none if nothing had the name, or it was not reached.
        actor: Option<ActorId>,
        /// How that one ended, as far as it is known. At most 512 bytes; of a longer text the middle is left out.
        why: String,
    },
    /// The actor that had started it ended, or was restarted.
    ParentEnded,
    /// Another actor was given its name.
    Replaced {
        /// Which.
        by: ActorId,
    },
    /// It is to be started again by its supervisor, with its id and its queue. Only hooks and the calls that are cut off
    /// see this: the actor has not ended.
    Restarted,
    /// It, or another one in the care of its supervisor, failed more often than the supervisor allows.
    RestartsExhausted {
        /// The name of that child, or of that supervisor if it had given up itself.
        child: String,
        /// How often children were to be restarted, the last time included.
        failures: u32,
        /// In how much time.
        within: Duration,
        /// How the child ended the last time.
        last: Box<Self>,
    },
    /// Its server was shut down.
    Shutdown,
    /// It did not start: [`Actor::on_start`](crate::Actor::on_start) failed, panicked or took too long, or the factory
    /// that makes it anew panicked.
    StartFailed {
        /// What went wrong.
        message: String,
    },
    /// It was asked to stop, and did not do so well: [`Actor::on_stop`](crate::Actor::on_stop) panicked or took too
    /// long, its `Drop` panicked, or its handler blocked its thread when it was to be restarted.
    StopFailed {
        /// What went wrong.
        message: String,
    },
    /// It was asked to stop by its handle.
    Stopped,
    /// Its supervisor was stopped, or ended it with its siblings.
    SupervisorStopped,
    /// It was unregistered.
    Unregistered,
}

impl StopReason {
    /// Whether the actor ended because something went wrong, in it or in one that it was linked to; not because somebody
    /// wanted its end.
    pub fn is_failure(&self) -> bool {
        self.weight() == 2
    }

    /// How much it says: the heaviest of several is told.
    fn weight(&self) -> u8 {
        match self {
            Self::LinkBroken { .. }
            | Self::Panicked { .. }
            | Self::RestartsExhausted { .. }
            | Self::StartFailed { .. }
            | Self::StopFailed { .. } => 2,
            Self::Killed => 1,
            _ => 0,
        }
    }

    /// Whether it says more than what was said before.
    pub(crate) fn outweighs(&self, before: &Self) -> bool {
        self.weight() > before.weight()
    }

    /// For a call that came too late.
    pub(crate) fn refusal(&self) -> Failure {
        let detail = match self {
            Self::Panicked { .. } => format!("{self}; register the actor anew"),
            reason => reason.to_string(),
        };
        // Who has the name now is known: whoever follows it goes there, and nobody else.
        let kind = if let Self::Replaced { .. } = self { FailureKind::Stale } else { FailureKind::Stopped };
        Failure::new(kind, Delivery::NotDelivered, detail)
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
                write!(f, "a handler panicked in {method}: {message}")
            }
            Self::Replaced { by } => write!(f, "it was replaced: its name belongs to {by} now"),
            Self::Finished => f.write_str("it stopped itself"),
            Self::Killed => f.write_str("it was killed"),
            Self::LinkBroken { to, why, .. } => write!(f, "it was linked to {to:?}, which ended: {why}"),
            Self::ParentEnded => f.write_str("the actor that had started it ended"),
            Self::Restarted => f.write_str("its supervisor starts it again"),
            Self::RestartsExhausted { child, failures, within, last } => write!(
                f,
                "its supervisor gave up: {child:?} ended {failures} times within {within:?}, the last time because {last}"
            ),
            Self::Shutdown => f.write_str("its server was shut down"),
            Self::StartFailed { message } => write!(f, "it did not start: {message}"),
            Self::StopFailed { message } => write!(f, "it did not stop well: {message}"),
            Self::Stopped => f.write_str("it was stopped"),
            Self::SupervisorStopped => f.write_str("its supervisor ended it"),
            Self::Unregistered => f.write_str("it was unregistered"),
        }
    }
}

impl Error for StopReason {}
