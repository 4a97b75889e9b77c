//! What a pool tells of itself: how it stands, and what happens to it.

use std::{fmt, time::Duration};

use crate::{ActorId, Failure, ResolvedEndpoint};

/// How a pool stands at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolSnapshot {
    /// The name that its members have.
    pub name: String,
    /// An entry for each endpoint that the resolver gave last, in the resolver's order.
    pub members: Vec<MemberSnapshot>,
    /// Entries that the resolver could not read, with the reasons.
    pub rejected: Vec<String>,
    /// Why the resolver gave no newer answer, if it failed.
    pub resolver_failure: Option<String>,
}

/// How one member of a pool stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemberSnapshot {
    /// Where it is.
    pub endpoint: ResolvedEndpoint,
    /// Which registration it is, once it was reached.
    pub actor: Option<ActorId>,
    /// Whether it is called.
    pub state: MemberState,
    /// Calls of this pool that it has now.
    pub outstanding: usize,
    /// Calls that were sent to it since it was last connected.
    pub calls: u64,
    /// Of these, those that failed for a reason that may be its own.
    pub failed: u64,
    /// Its mean time for a call; `None` before the first.
    pub latency: Option<Duration>,
}

/// Whether a member of a pool is called.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum MemberState {
    /// It is.
    Ready,
    /// The next call will show whether it is well again.
    Probing,
    /// It misbehaved, and is left out for so long from now on.
    Ejected(Duration),
    /// It is being reached for the first time, or again.
    Connecting,
    /// It cannot be reached; it is tried again.
    Unreachable(Failure),
    /// Another entry leads to the same actor.
    Duplicate,
}

/// What happens to a pool.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PoolEvent {
    /// A member was reached, and is called from now on.
    Joined {
        /// Where it is.
        endpoint: ResolvedEndpoint,
    },
    /// The resolver does not name it any more. Calls that it has go on.
    Left {
        /// Where it was.
        endpoint: ResolvedEndpoint,
    },
    /// It could not be reached, or its connection or registration ended; it is tried again until it leaves.
    Lost {
        /// Where it is.
        endpoint: ResolvedEndpoint,
        /// What happened.
        why: Failure,
    },
    /// It misbehaved, and is left out.
    Ejected {
        /// Where it is.
        endpoint: ResolvedEndpoint,
        /// What it did.
        why: String,
        /// For how long.
        pause: Duration,
    },
    /// Its probe went well: it is called again.
    Returned {
        /// Where it is.
        endpoint: ResolvedEndpoint,
    },
    /// The resolver failed; the members stay those that it gave last.
    ResolverFailed {
        /// What it said.
        why: String,
    },
    /// The reader was too slow, and so many events before the next one are gone.
    Missed(u64),
}

impl fmt::Display for PoolEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined { endpoint } => write!(f, "{endpoint} joined"),
            Self::Left { endpoint } => write!(f, "{endpoint} left"),
            Self::Lost { endpoint, why } => write!(f, "{endpoint} was lost: {why}"),
            Self::Ejected { endpoint, why, pause } => {
                write!(f, "{endpoint} is left out for {pause:?}: {why}")
            }
            Self::Returned { endpoint } => write!(f, "{endpoint} is back"),
            Self::ResolverFailed { why } => write!(f, "the resolver failed: {why}"),
            Self::Missed(count) => write!(f, "{count} events were missed"),
        }
    }
}

impl fmt::Display for MemberState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Probing => f.write_str("to be probed"),
            Self::Ejected(rest) => write!(f, "left out for {rest:?}"),
            Self::Connecting => f.write_str("connecting"),
            Self::Unreachable(why) => why.fmt(f),
            Self::Duplicate => f.write_str("the same actor as another entry"),
        }
    }
}

/// A line for each member.
impl fmt::Display for PoolSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pool {:?}, {} endpoints", self.name, self.members.len())?;
        for member in &self.members {
            write!(
                f,
                "\n  {}  {}, {} calls, {} failed",
                member.endpoint, member.state, member.calls, member.failed
            )?;
            if let Some(latency) = member.latency {
                write!(f, ", {latency:.1?} each")?;
            }
        }
        for reason in &self.rejected {
            write!(f, "\n  rejected: {reason}")?;
        }
        if let Some(why) = &self.resolver_failure {
            write!(f, "\n  the resolver failed: {why}")?;
        }
        Ok(())
    }
}
