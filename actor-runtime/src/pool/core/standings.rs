//! Who is left out, and who comes back.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Core,
    entries::{Entry, Place},
};
use crate::{
    actor_id::ActorId,
    pool::{Member, PoolEvent, eject::Standing},
    sync::lock,
};

impl Core {
    /// Leaves a member out, if so many may be.
    pub(in crate::pool) fn eject(&self, id: ActorId, why: &str) {
        let state = lock(&self.state);
        let Some(member) = state.up().find(|member| member.id() == id).cloned() else { return };
        let standing = lock(member.record()).standing;
        let is_out = |member: &&Member| lock(member.record()).standing != Standing::In;
        // Who is out and lost its connection is out when it is back.
        let away = |entry: &&Entry| {
            let is_away = !matches!(entry.place, Place::Up(_) | Place::Twin(_));
            is_away && entry.last.is_some() && lock(&entry.record).standing != Standing::In
        };
        let away = state.entries.iter().filter(away).count();
        let others = || away + state.up().filter(|other| other.id() != id).filter(is_out).count();
        match standing {
            // Another call was quicker.
            Standing::Out { .. } => return,
            // It takes no place that it does not have already.
            Standing::Probe { .. } => {}
            Standing::In if others() >= self.ejection.allowed(away + state.up().count()) => return,
            Standing::In => {}
        }
        let now = self.node.now();
        let until = lock(member.record()).eject(&self.ejection, now);
        member.trouble();
        self.publish(state);
        self.changed.notify_one();
        let pause = until.saturating_duration_since(now);
        self.tell(PoolEvent::Ejected { endpoint: member.endpoint().clone(), why: why.to_owned(), pause });
    }

    /// A member's probe went well.
    pub(in crate::pool) fn is_back(&self, id: ActorId) {
        let state = lock(&self.state);
        let member = state.up().find(|member| member.id() == id).cloned();
        self.publish(state);
        if let Some(member) = member {
            member.forget_time();
            self.tell(PoolEvent::Returned { endpoint: member.endpoint().clone() });
        }
    }

    /// Who is called may have changed.
    pub(in crate::pool) fn choose_anew(&self) {
        self.publish(lock(&self.state));
    }

    /// Pauses that are over become probes; with `judge`, those that are much slower than others are left out.
    pub(in crate::pool) fn tick(&self, now: Instant, judge: bool) {
        let state = lock(&self.state);
        let mut rested = false;
        for member in state.up() {
            let mut record = lock(member.record());
            // Also one that nobody asks, since its probe was forgotten.
            rested |= record.rested(now) || record.standing == Standing::Probe { asked: false };
        }
        if rested {
            self.publish(state);
        } else {
            drop(state);
        }
        if !judge {
            return;
        }
        let mut judged: Vec<(Member, Duration)> = Vec::new();
        for member in self.members() {
            if lock(member.record()).standing == Standing::In
                && let Some(time) = member.judged()
            {
                judged.push((member, time));
            }
        }
        let times: Vec<Duration> = judged.iter().map(|&(_, time)| time).collect();
        for place in self.ejection.outliers(&times) {
            let (member, time) = &judged[place];
            self.eject(
                member.id(),
                &format!("it takes {time:.1?} for a call, many times as long as the others"),
            );
        }
    }

    /// How often members are judged by their speed; `None` if they are not.
    pub(in crate::pool) fn judges(&self) -> Option<Duration> {
        self.ejection.slower.is_finite().then_some(self.ejection.interval)
    }

    /// When the membership task is to look again.
    pub(in crate::pool) fn next(&self) -> Option<Instant> {
        let state = lock(&self.state);
        let each = state.entries.iter().filter_map(|entry| match &entry.place {
            Place::Down { until, .. } => Some(*until),
            Place::Up(member) => match lock(member.record()).standing {
                Standing::Out { until } => Some(until),
                Standing::In | Standing::Probe { .. } => None,
            },
            Place::Due { .. } => Some(self.node.now()),
            Place::Opening { .. } | Place::Twin(_) => None,
        });
        each.min()
    }
}
