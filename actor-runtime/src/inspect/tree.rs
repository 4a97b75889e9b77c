//! The actors of a node, and who started or looks after whom.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use super::{
    ActorState,
    inspector::{generation, state},
};
use crate::{Counts, FailedCall, Node, actor_id::ActorId, call::StopReason, supervise::Strategy};

/// The actors and supervisors of a node at one moment, by [`Node::actors`], in the order in which they began.
///
/// As text it is a line for each, below whoever started it or looks after it, and one for each call whose panic ended a run
/// of it, as far as they are [kept](FailedCall::KEPT):
///
/// ```text
/// supervisor #1, one for one, 1 restart
///   calc: running, 1 running, 3 queued, 1207 turns (2 errors, 1 cancelled, 311 delayed)
///   store: idle, 1 turn (1 failed), restarted 1 time, the last time because a handler panicked in …
///     ! run 0 ended by Store/put, called by Shop/sell on "shop": …
///     #4: idle
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorTree {
    /// All of them.
    pub actors: Vec<ActorNode>,
}

/// One actor or supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActorNode {
    /// Which registration it is.
    pub id: ActorId,
    /// Its name, or what stands for it.
    pub name: String,
    /// The actor that started it, or the supervisor that looks after it.
    pub parent: Option<ActorId>,
    /// What it does; none for a supervisor.
    pub state: Option<ActorState>,
    /// How many calls its mailbox holds, with those that wait at their callers because it is full.
    pub queued: u64,
    /// How many turns are running.
    pub running: u64,
    /// What it has done since it was registered; nothing for a supervisor.
    pub counts: Counts,
    /// Which children it starts again; none for an actor.
    pub supervises: Option<Strategy>,
    /// How often it was started again; for a supervisor, how often it has had that done.
    pub restarts: u64,
    /// Why, the last time.
    pub last_failure: Option<StopReason>,
    /// The last calls whose panics ended its runs, the oldest first; none for a supervisor.
    pub failures: Vec<FailedCall>,
}

impl ActorTree {
    /// The actor of this name.
    pub fn actor(&self, name: &str) -> Option<&ActorNode> {
        self.actors.iter().find(|actor| actor.name == name)
    }
}

impl Node {
    /// The actors that run here, or wait to be started again, and their supervisors. Those that others have registered
    /// under reserved names are not among them.
    pub fn actors(&self) -> ActorTree {
        let id = |serial| (serial != 0).then_some(ActorId { node: self.id(), serial });
        let now = self.now();
        let mut actors = BTreeMap::new();
        for post in self.posts().all() {
            let (restarts, last_failure) = post.restarts();
            let node = ActorNode {
                id: post.id,
                name: match &*post.name {
                    "" => format!("supervisor #{}", post.id.serial),
                    name => format!("supervisor {name}"),
                },
                parent: id(post.above),
                state: None,
                queued: 0,
                running: 0,
                counts: Counts::default(),
                supervises: Some(post.strategy),
                restarts,
                last_failure,
                failures: Vec::new(),
            };
            actors.insert(post.id.serial, node);
        }
        for cell in self.roster().all() {
            let (restarts, last_failure) = generation(&cell);
            let look = cell.mailbox.look(now);
            let node = ActorNode {
                id: cell.identity.id,
                name: cell.identity.name.to_string(),
                parent: id(cell.registered.parent),
                state: Some(state(&look)),
                queued: (look.queued + look.waiting) as u64,
                running: look.running as u64,
                counts: cell.counts(&look),
                supervises: None,
                restarts,
                last_failure,
                failures: cell.failed_calls(),
            };
            actors.insert(cell.identity.id.serial, node);
        }
        ActorTree { actors: actors.into_values().collect() }
    }
}

impl fmt::Display for ActorTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let present: HashSet<ActorId> = self.actors.iter().map(|actor| actor.id).collect();
        let mut children: HashMap<Option<ActorId>, Vec<&ActorNode>> = HashMap::new();
        for actor in &self.actors {
            let below = actor.parent.filter(|parent| present.contains(parent));
            children.entry(below).or_default().push(actor);
        }
        // The last one that began is written last: so the stack is filled from the end.
        let mut left = Vec::new();
        let mut put = |left: &mut Vec<_>, depth: usize, parent: Option<ActorId>| {
            let below = children.remove(&parent).unwrap_or_default();
            left.extend(below.into_iter().rev().map(|actor| (depth, actor)));
        };
        put(&mut left, 0, None);
        while let Some((depth, actor)) = left.pop() {
            writeln!(f, "{:indent$}{actor}", "", indent = 2 * depth)?;
            for failed in &actor.failures {
                writeln!(f, "{:indent$}! {failed}", "", indent = 2 * (depth + 1))?;
            }
            put(&mut left, depth + 1, Some(actor.id));
        }
        Ok(())
    }
}

impl fmt::Display for ActorNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = |n| if n == 1 { "" } else { "s" };
        f.write_str(&self.name)?;
        if let Some(strategy) = self.supervises {
            return write!(f, ", {strategy}, {} restart{}", self.restarts, times(self.restarts));
        }
        match &self.state {
            Some(ActorState::Idle) => f.write_str(": idle")?,
            Some(ActorState::Starting) => f.write_str(": starting")?,
            Some(ActorState::Restarting) => f.write_str(": waits to be started again")?,
            Some(ActorState::Stopping) => f.write_str(": stopping")?,
            Some(ActorState::Stopped { .. } | ActorState::Panicked { .. }) => f.write_str(": stopped")?,
            Some(ActorState::Running) | None => f.write_str(": running")?,
        }
        for (count, what) in [(self.running, "running"), (self.queued, "queued")] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        let Counts { handled, errors, failed, cancelled, delayed } = self.counts;
        if handled > 0 {
            write!(f, ", {handled} turn{}", times(handled))?;
        }
        let others = [(errors, "errors"), (failed, "failed"), (cancelled, "cancelled"), (delayed, "delayed")];
        for (at, (count, what)) in others.into_iter().filter(|(count, _)| *count > 0).enumerate() {
            write!(f, "{}{count} {what}", if at == 0 { " (" } else { ", " })?;
        }
        if others.iter().any(|(count, _)| *count > 0) {
            f.write_str(")")?;
        }
        if self.restarts > 0 {
            write!(f, ", restarted {} time{}", self.restarts, times(self.restarts))?;
        }
        match &self.last_failure {
            Some(reason) => write!(f, ", the last time because {reason}"),
            None => Ok(()),
        }
    }
}
