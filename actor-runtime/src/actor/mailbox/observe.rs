//! What others may learn of a mailbox without taking part: how much it holds, how long nothing has moved, and how its
//! actor says that it is.
//!
//! Time since progress costs a turn nothing but a flag. The clock is read when the receiver parks while turns run, and
//! when the loop of turns lets other tasks go first; in between, a call that runs was made before its turn started, so
//! the youngest of these says enough.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use super::{Mailbox, State, accept, lock, wake};
use crate::{
    actor::Health,
    call::{Stage, StopReason},
    service::{Access, Method},
};

/// Asks the receiver how its actor is. Dropped without an answer if the actor ends.
pub(crate) type Question = watch::Sender<Option<Health>>;

/// Where the answer comes.
pub(crate) type Answer = watch::Receiver<Option<Health>>;

/// A mailbox at one moment.
pub(crate) struct Look {
    pub(crate) queued: usize,
    pub(crate) waiting: usize,
    pub(crate) running: usize,
    pub(crate) closing: Option<Arc<StopReason>>,
    pub(crate) ended: bool,
    pub(crate) started: bool,
    pub(crate) resting: bool,
    pub(crate) since_progress: Duration,
    /// How many turns were given back, and how many were left when their runs ended.
    pub(crate) turns: u64,
    pub(crate) cut_off: u64,
    /// How many calls could not start at once.
    pub(crate) delayed: u64,
}

/// The turns of a mailbox that run at one moment.
pub(crate) struct Turns {
    pub(crate) all: Vec<RunningTurn>,
    /// Whether a call is queued that cannot begin before these have ended.
    pub(crate) held_up: bool,
}

/// One of them.
pub(crate) struct RunningTurn {
    pub(crate) slot: usize,
    pub(crate) method: &'static Method,
    /// The poll that it is in, if it has a task to itself.
    pub(crate) in_poll: Option<u32>,
    /// Until when somebody waits for it.
    pub(crate) awaited: Awaited,
}

/// Until when somebody waits for the end of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// Until its deadline, and that is to come.
    InTime,
    /// Nobody has set a bound: a oneway call, a hook, a call that was made without a deadline.
    WithoutEnd,
    /// Nobody does any more.
    Over,
}

impl Mailbox {
    /// Asks how the actor is. `None` if nobody is there to answer.
    pub(crate) fn ask(&self) -> Option<Answer> {
        let mut state = lock(&self.state);
        if state.ended || self.is_killed() {
            return None;
        }
        if let Some(asked) = &state.question {
            return Some(asked.subscribe());
        }
        let (question, answer) = watch::channel(None);
        state.question = Some(question);
        // An exclusive turn must not be polled for this: the loop looks here when the turn has ended.
        let alone = state.running.iter().any(|(_, call)| call.head().method.access == Access::Exclusive);
        let receiver = if alone { None } else { state.receiver.take() };
        drop(state);
        wake(receiver);
        Some(answer)
    }

    /// What it holds at `now`. Calls whose callers left are not counted.
    pub(crate) fn look(&self, now: Instant) -> Look {
        let mut state = lock(&self.state);
        state.purge();
        let promoted = state.promoted();
        let (waiting, joins) =
            state.beside.as_ref().map_or((0, 0), |all| (all.waiting.len(), all.joins.len()));
        let look = Look {
            queued: state.queue.len() + joins,
            waiting,
            running: state.running.len(),
            closing: state.closing.clone(),
            ended: state.ended,
            started: state.started,
            resting: state.resting,
            since_progress: state.since_progress(now),
            turns: state.turns,
            cut_off: state.cut_off(),
            delayed: state.delayed,
        };
        drop(state);
        accept(promoted);
        look
    }

    /// The turns that run; `None` if there are none.
    pub(crate) fn turns(&self) -> Option<Turns> {
        let state = lock(&self.state);
        if state.running.is_empty() {
            return None;
        }
        let all = state.running.iter().map(|(slot, call)| {
            let head = call.head();
            let awaited = match head.turn_deadline() {
                _ if call.stage() == Stage::Over => Awaited::Over,
                Some(_) => Awaited::InTime,
                None => Awaited::WithoutEnd,
            };
            RunningTurn { slot, method: head.method, in_poll: head.in_poll.look(), awaited }
        });
        let all: Vec<RunningTurn> = all.collect();
        let alone = all.iter().any(|turn| turn.method.access == Access::Exclusive);
        let mut queued = state.queue.iter().filter(|call| call.stage() != Stage::Over);
        let held_up = queued.any(|call| alone || call.head().method.access == Access::Exclusive);
        Some(Turns { all, held_up })
    }

    /// Whether its receiver is gone.
    pub(crate) fn is_ended(&self) -> bool {
        lock(&self.state).ended
    }

    /// The loop lets other tasks go first.
    #[cold]
    pub(crate) fn note_progress(&self) {
        lock(&self.state).note_progress();
    }
}

impl State {
    fn since_progress(&self, now: Instant) -> Duration {
        let made = |call: &super::Entry| call.head().made;
        let seen = match (self.running.is_empty(), self.moved) {
            (false, true) => self.running.iter().filter_map(|(_, call)| made(call)).max(),
            (false, false) => None,
            (true, _) => match self.calls().filter_map(made).min() {
                None => return Duration::ZERO,
                oldest => oldest,
            },
        };
        self.progress.max(seen).map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}
