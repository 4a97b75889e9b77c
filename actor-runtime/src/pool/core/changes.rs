//! Who comes and goes: the resolver's answers, endpoints that are reached, and members that are lost.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Core,
    entries::{Entry, Place, rest},
};
use crate::{
    actor_id::ActorId,
    call::{Delivery, Failure, FailureKind},
    client::Route,
    names::{ResolveResult, ResolvedEndpoint},
    pool::{Member, PoolEvent},
    sync::lock,
};

impl Core {
    /// The resolver answered.
    pub(in crate::pool) fn adopt(&self, found: ResolveResult) {
        let mut state = lock(&self.state);
        let mut before = std::mem::take(&mut state.entries);
        for endpoint in &found.endpoints {
            let same = |entry: &Entry| {
                (&entry.endpoint.address, &entry.endpoint.name, entry.endpoint.actor)
                    == (&endpoint.address, &endpoint.name, endpoint.actor)
            };
            let entry = match before.iter().position(same) {
                Some(place) => {
                    let mut entry = before.swap_remove(place);
                    // What is being reached is not it any more.
                    if let (Place::Opening { failures }, true) = (&entry.place, entry.endpoint != *endpoint) {
                        entry.place = Place::Due { failures: *failures };
                    }
                    entry
                }
                None => Entry {
                    endpoint: endpoint.clone(),
                    place: Place::Due { failures: 0 },
                    record: Arc::default(),
                    last: None,
                    refusals: 0,
                },
            };
            state.entries.push(Entry { endpoint: endpoint.clone(), ..entry });
        }
        state.known = true;
        // Its age stands still here, and is not told.
        let stale = found.stale.as_ref().map(|stale| format!("{}; its last answer holds", stale.reason));
        let failed = stale.clone().filter(|_| state.failure.is_none());
        state.failure = stale;
        state.found = ResolveResult { endpoints: Vec::new(), ..found };
        state.part_twins();
        self.publish(state);
        for Entry { endpoint, place, .. } in before {
            let endpoint = if let Place::Up(member) = &place { member.endpoint().clone() } else { endpoint };
            self.tell(PoolEvent::Left { endpoint });
        }
        if let Some(why) = failed {
            self.tell(PoolEvent::ResolverFailed { why });
        }
    }

    /// The resolver failed: what it said last stays.
    pub(in crate::pool) fn not_resolved(&self, why: String) {
        let mut state = lock(&self.state);
        state.known = true;
        let news = state.failure.as_ref() != Some(&why);
        state.failure = Some(why.clone());
        self.publish(state);
        if news {
            self.tell(PoolEvent::ResolverFailed { why });
        }
    }

    /// The membership task was cut off: what is not known now will not be.
    pub(in crate::pool) fn not_followed(&self) {
        lock(&self.state).ended = true;
        let detail = "the task that follows the resolver was cut off: the runtime of the caller's node ended, or the \
                      resolver panicked";
        self.not_resolved(detail.to_owned());
    }

    /// The endpoints that are to be reached now.
    pub(in crate::pool) fn due(&self, now: Instant) -> Vec<ResolvedEndpoint> {
        let mut state = lock(&self.state);
        let due = state.entries.iter_mut().filter_map(|entry| {
            let failures = match entry.place {
                Place::Due { failures } => failures,
                Place::Down { failures, until, .. } if until <= now => failures,
                _ => return None,
            };
            entry.place = Place::Opening { failures };
            Some(entry.endpoint.clone())
        });
        let due: Vec<_> = due.collect();
        due
    }

    /// An endpoint was reached, or not.
    pub(in crate::pool) fn opened(&self, endpoint: &ResolvedEndpoint, opened: Result<Route, Failure>) {
        let mut state = lock(&self.state);
        let opening =
            |entry: &Entry| entry.endpoint == *endpoint && matches!(entry.place, Place::Opening { .. });
        // It may have left meanwhile.
        let Some(place) = state.entries.iter().position(opening) else { return };
        let Place::Opening { failures } = state.entries[place].place else { return };
        let reached = opened.and_then(|route| match route.endpoint().actor {
            Some(id) => Ok((route, id)),
            None => Err(Failure::new(
                FailureKind::Internal,
                Delivery::NotDelivered,
                "nobody said which actor it is",
            )),
        });
        let event = match reached {
            Ok((_, id)) if state.up().any(|member| member.id() == id) => {
                state.entries[place].place = Place::Twin(id);
                None
            }
            Ok((route, id)) => {
                let entry = &mut state.entries[place];
                if entry.last != Some(id) {
                    (entry.last, entry.record, entry.refusals) = (Some(id), Arc::default(), 0);
                }
                let member = Member::new(route, id, entry.record.clone(), self.this.clone());
                let endpoint = member.endpoint().clone();
                entry.place = Place::Up(member);
                Some(PoolEvent::Joined { endpoint })
            }
            Err(why) => {
                let until = self.node.now() + rest(failures, self.node.random_u64());
                let event = PoolEvent::Lost { endpoint: endpoint.clone(), why: why.clone() };
                state.entries[place].place = Place::Down { failures: failures + 1, until, why };
                (failures == 0).then_some(event)
            }
        };
        self.publish(state);
        if let Some(event) = event {
            self.tell(event);
        }
    }

    /// A member cannot be reached any more, or is another one by now: it is looked for again.
    pub(in crate::pool) fn lost(&self, id: ActorId, why: &Failure) {
        let mut state = lock(&self.state);
        let is_it = |entry: &&mut Entry| matches!(&entry.place, Place::Up(member) if member.id() == id);
        let Some(entry) = state.entries.iter_mut().find(is_it) else { return };
        let place = match why.kind() {
            // A registration that has ended may still have its name: it is found again at once, and takes no call again.
            FailureKind::Stopped | FailureKind::NotFound | FailureKind::Stale => {
                let until = self.node.now() + rest(entry.refusals, self.node.random_u64());
                entry.refusals = entry.refusals.saturating_add(1);
                Place::Down { failures: entry.refusals, until, why: why.clone() }
            }
            _ => Place::Due { failures: 0 },
        };
        let before = std::mem::replace(&mut entry.place, place);
        state.part_twins();
        self.publish(state);
        self.changed.notify_one();
        if let Place::Up(member) = before {
            self.tell(PoolEvent::Lost { endpoint: member.endpoint().clone(), why: why.clone() });
        }
    }
}
