//! What a pool is asked: who its members are, and why there is none.

use std::sync::Arc;

use super::{Core, entries::Place};
use crate::{
    call::{Delivery, Failure, FailureKind},
    names::{Address, ResolvedEndpoint, unknown},
    pool::{Member, MemberSnapshot, PoolSnapshot},
    sync::lock,
};

impl Core {
    /// Why there is nobody to call.
    pub(in crate::pool) fn nobody(&self) -> Failure {
        let state = lock(&self.state);
        let place = format!("in namespace {}", self.node.namespace());
        let unreachable = |detail| Failure::new(FailureKind::Unreachable, Delivery::NotDelivered, detail);
        match &state.failure {
            _ if !state.entries.is_empty() => {
                let each = state
                    .entries
                    .iter()
                    .map(|entry| format!("{}: {}", entry.endpoint, entry.place.state(entry, None)));
                let each = each.collect::<Vec<_>>().join("; ");
                unreachable(format!("no member of the pool {:?} can be reached: {each}", self.name))
            }
            Some(why) => unreachable(format!("the members of the pool {:?} are not known: {why}", self.name)),
            None if !state.found.rejected.is_empty() => {
                let detail = format!(
                    "no entry for {:?} {place} is an address: {}",
                    self.name,
                    state.found.rejected.join("; ")
                );
                Failure::new(FailureKind::NotFound, Delivery::NotDelivered, detail)
            }
            None => unknown(&self.name, &place, &state.found.known),
        }
    }

    /// The members that have been reached, in the resolver's order.
    pub(in crate::pool) fn members(&self) -> Vec<Member> {
        lock(&self.state).up().cloned().collect()
    }

    /// Every endpoint of the resolver's last answer, each actor once, with its member if it can be reached.
    pub(in crate::pool) fn all(&self) -> Vec<(Arc<ResolvedEndpoint>, Result<Member, Failure>)> {
        let state = lock(&self.state);
        // That there is nobody is no answer if nobody knows.
        let is_known = state.known && state.failure.is_none() && state.found.rejected.is_empty();
        if state.entries.is_empty() && !is_known {
            let (known, endpoint) = (state.known, ResolvedEndpoint::new(Address::Loopback(0), &*self.name));
            drop(state);
            let detail =
                format!("the time was over before the members of the pool {:?} were known", self.name);
            let late = || Failure::new(FailureKind::DeadlineExceeded, Delivery::NotDelivered, detail);
            return vec![(Arc::new(endpoint), Err(if known { self.nobody() } else { late() }))];
        }
        let each = state.entries.iter().filter_map(|entry| {
            let way = match &entry.place {
                Place::Up(member) => Ok(member.clone()),
                Place::Twin(_) => return None,
                Place::Down { why, .. } => Err(why.clone()),
                Place::Due { .. } | Place::Opening { .. } => {
                    let detail = "it has not been reached yet; `wait_for_size` waits for members";
                    Err(Failure::new(FailureKind::Unreachable, Delivery::NotDelivered, detail))
                }
            };
            let endpoint = match &way {
                Ok(member) => member.shared_endpoint(),
                Err(_) => Arc::new(entry.endpoint.clone()),
            };
            Some((endpoint, way))
        });
        each.collect()
    }

    /// How the pool stands, in words; of an empty one, why it is.
    pub(in crate::pool) fn story(&self) -> String {
        let snapshot = self.snapshot();
        if snapshot.members.is_empty() && self.view().settled {
            return self.nobody().detail().to_owned();
        }
        snapshot.to_string()
    }

    pub(in crate::pool) fn snapshot(&self) -> PoolSnapshot {
        let (state, now) = (lock(&self.state), self.node.now());
        let members = state.entries.iter().map(|entry| {
            let up = if let Place::Up(member) = &entry.place { Some(member) } else { None };
            MemberSnapshot {
                endpoint: up.map_or(&entry.endpoint, Member::endpoint).clone(),
                actor: up.map(Member::id).or(entry.endpoint.actor),
                state: entry.place.state(entry, Some(now)),
                outstanding: up.map_or(0, Member::outstanding),
                calls: up.map_or(0, Member::calls),
                failed: up.map_or(0, Member::failed),
                latency: up.and_then(Member::latency),
            }
        });
        PoolSnapshot {
            name: self.name.to_string(),
            members: members.collect(),
            rejected: state.found.rejected.clone(),
            resolver_failure: state.failure.clone(),
        }
    }
}
