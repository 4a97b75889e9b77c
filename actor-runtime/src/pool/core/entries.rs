//! The endpoints of a pool: what the resolver named last, and how far each is.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    actor_id::ActorId,
    call::Failure,
    names::{ResolveResult, ResolvedEndpoint},
    pool::{
        Member, MemberState,
        eject::{Record, Standing},
    },
    sync::{Mutex, lock},
};

#[derive(Default)]
pub(super) struct State {
    /// Whether the resolver has answered, or failed to.
    pub(super) known: bool,
    pub(super) failure: Option<String>,
    /// Whether nobody follows the resolver any more.
    pub(super) ended: bool,
    pub(super) found: ResolveResult,
    pub(super) entries: Vec<Entry>,
}

/// One endpoint of the resolver's last answer.
pub(super) struct Entry {
    pub(super) endpoint: ResolvedEndpoint,
    pub(super) place: Place,
    /// How the registration behaves that is or was there last.
    pub(super) record: Arc<Mutex<Record>>,
    pub(super) last: Option<ActorId>,
    /// How often that registration took no call since it was found.
    pub(super) refusals: u32,
}

pub(super) enum Place {
    /// To be reached, after so many failures.
    Due {
        failures: u32,
    },
    Opening {
        failures: u32,
    },
    Up(Member),
    /// The same actor as another entry's.
    Twin(ActorId),
    Down {
        failures: u32,
        until: Instant,
        why: Failure,
    },
}

/// The pause after the first failure to reach a member; it doubles with each further one.
const FIRST_REST: Duration = Duration::from_millis(50);
const LONGEST_REST: Duration = Duration::from_secs(5);

/// How long to wait after so many failures: exponential, with full jitter in its upper half (Brooker, "Exponential
/// Backoff and Jitter", 2015).
pub(super) fn rest(failures: u32, random: u64) -> Duration {
    let longest = FIRST_REST.saturating_mul(1 << failures.min(16)).min(LONGEST_REST);
    longest.mul_f64(0.5 + 0.5 * (random as f64 / u64::MAX as f64))
}

impl State {
    pub(super) fn up(&self) -> impl Iterator<Item = &Member> {
        self.entries.iter().filter_map(|entry| match &entry.place {
            Place::Up(member) => Some(member),
            _ => None,
        })
    }

    pub(super) fn is_settled(&self) -> bool {
        // Once each was tried, that there is nobody is known too.
        self.known && self.up().next().is_some() || self.is_tried()
    }

    pub(super) fn is_tried(&self) -> bool {
        let untried = |entry: &Entry| {
            matches!(entry.place, Place::Due { failures: 0 } | Place::Opening { failures: 0 })
        };
        self.ended || self.known && !self.entries.iter().any(untried)
    }

    /// Entries whose twin has left are looked for again.
    pub(super) fn part_twins(&mut self) {
        let up: Vec<ActorId> = self.up().map(Member::id).collect();
        for entry in &mut self.entries {
            if matches!(entry.place, Place::Twin(id) if !up.contains(&id)) {
                entry.place = Place::Due { failures: 0 };
            }
        }
    }
}

impl Place {
    pub(super) fn state(&self, entry: &Entry, now: Option<Instant>) -> MemberState {
        match self {
            Self::Due { .. } | Self::Opening { .. } => MemberState::Connecting,
            Self::Twin(_) => MemberState::Duplicate,
            Self::Down { why, .. } => MemberState::Unreachable(why.clone()),
            Self::Up(_) => match lock(&entry.record).standing {
                Standing::In => MemberState::Ready,
                Standing::Probe { .. } => MemberState::Probing,
                Standing::Out { until } => MemberState::Ejected(
                    now.map_or(Duration::ZERO, |now| until.saturating_duration_since(now)),
                ),
            },
        }
    }
}
