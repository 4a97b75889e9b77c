//! Turns that make no progress: what counts as one, and what is said of it.
//!
//! A node's watchdog looks at its actors again and again. Each look sees *signs*; a sign that is the same at every look for
//! as long as [`Config::stuck_after`](crate::Config::stuck_after) is a stuck turn.
//!
//! ```text
//!   sign       the same as long as                                        elapsed on
//!   blocked    one poll of one turn or hook has not returned              the system's clock
//!   waiting    no turn of the actor is polled, and nobody waits for this  both clocks: the system's, and the
//!              one's end: its caller has left or its time is over; or     runtime's, which a test may have paused
//!              it has no deadline, and calls queue that it holds up
//! ```
//!
//! A turn that waits within its caller's time is not stuck: the deadline ends that. Streams and idle timers are no turns.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    ActorCell, Roster,
    mailbox::{Awaited, RunningTurn},
};
use crate::{actor_id::ActorId, call::Polling};

/// A turn that makes no progress, by [`Node::stuck`](crate::Node::stuck).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StuckTurn {
    /// The actor whose turn it is.
    pub actor: ActorId,
    /// Its name, or what stands for it.
    pub name: String,
    /// `Service/method`, or the name of a hook.
    pub method: String,
    /// What holds it up.
    pub how: Stuck,
    /// For how long, when it was last looked at. Time in which the process itself was stopped does not count.
    pub lasting: Duration,
}

/// What holds up a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stuck {
    /// Its handler blocks its thread: it computes, or it waits without `.await`. Nothing else runs on this thread meanwhile.
    Blocked,
    /// Its handler awaits something that does not come, and nobody waits for the handler any more, or others queue behind
    /// it and it has no deadline.
    Waiting,
}

/// `calc (…): Calculator/divide blocks its thread since 12 s`.
impl fmt::Display for StuckTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { actor, name, method, how, lasting } = self;
        write!(f, "{name} ({actor}): {method} {how} since {lasting:.1?}")
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blocked => "blocks its thread",
            Self::Waiting => "waits, and nothing wakes it",
        })
    }
}

/// What was seen of the actors of one node.
pub(crate) struct Vigil {
    after: Duration,
    signs: HashMap<Place, Sign>,
}

/// Where a sign was seen.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    /// The actor's own task is in a poll.
    Task(u64),
    /// The task of one of its turns is.
    Turn(u64, usize),
    /// None is.
    Still(u64),
}

/// The same sign has the same mark.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Mark {
    polls: u32,
    polls_of_tasks: u32,
    slot: usize,
}

/// A sign of a turn that may be stuck.
struct Sign {
    mark: Mark,
    lasting: Duration,
    /// When it was seen first, on the clock of the runtime.
    since: Instant,
    /// How long it is to last until it is named.
    next: Duration,
    named: Option<StuckTurn>,
}

/// The time of a look.
#[derive(Clone, Copy)]
pub(crate) struct LookAtTurns {
    /// How long ago the last one was, on the system's clock.
    pub(crate) step: Duration,
    /// The time on the clock of the node's runtime.
    pub(crate) now: Instant,
}

/// How many actors are held at once.
const CHUNK: usize = 256;

impl Vigil {
    pub(crate) fn new(after: Duration) -> Self {
        // A turn that lasts no time at all cannot be told from one that runs.
        Self { after: after.max(Duration::from_millis(1)), signs: HashMap::new() }
    }

    /// Looks at all actors, and gives the turns that are stuck.
    pub(crate) fn look(&mut self, roster: &Roster, look: LookAtTurns) -> Vec<StuckTurn> {
        let mut before = std::mem::take(&mut self.signs);
        let mut from = 0;
        loop {
            let actors = roster.from(from, CHUNK);
            for actor in &actors {
                self.look_at(actor, look, &mut before);
            }
            match actors.last() {
                Some(last) if actors.len() == CHUNK => from = last.identity.id.serial + 1,
                _ => break,
            }
        }
        before.into_values().filter_map(|sign| sign.named).for_each(|turn| goes_on(&turn));
        self.signs.values().filter_map(|sign| sign.named.clone()).collect()
    }

    fn look_at(&mut self, actor: &Arc<ActorCell>, look: LookAtTurns, before: &mut HashMap<Place, Sign>) {
        let serial = actor.identity.id.serial;
        let (polls, slot) = actor.polling.look();
        let polls_of_tasks = actor.polls_of_tasks();
        let turns = actor.mailbox.turns();
        let turns = turns.as_ref();
        let hook = match slot {
            Polling::START => Some("on_start"),
            Polling::STOP => Some("on_stop"),
            _ => None,
        };
        let turn = turns.and_then(|turns| turns.all.iter().find(|turn| turn.slot == slot));
        let in_poll = polls % 2 == 1 && (hook.is_some() || turn.is_some());
        if in_poll {
            let method = || hook.map(str::to_owned).or_else(|| method_of(turn));
            let mark = Mark { polls, polls_of_tasks: 0, slot };
            self.see(Place::Task(serial), mark, look, before, actor, Stuck::Blocked, method);
        }
        let Some(turns) = turns else { return };
        let mut still = !in_poll;
        for turn in &turns.all {
            let Some(poll) = turn.in_poll else { continue };
            still = false;
            let mark = Mark { polls: 0, polls_of_tasks: poll, slot: turn.slot };
            let method = || method_of(Some(turn));
            self.see(Place::Turn(serial, turn.slot), mark, look, before, actor, Stuck::Blocked, method);
        }
        let left = turns.all.iter().find(|turn| match turn.awaited {
            Awaited::InTime => false,
            Awaited::WithoutEnd => turns.held_up,
            Awaited::Over => true,
        });
        if let Some(turn) = left.filter(|_| still) {
            let mark = Mark { polls, polls_of_tasks, slot: turn.slot };
            let method = || method_of(Some(turn));
            self.see(Place::Still(serial), mark, look, before, actor, Stuck::Waiting, method);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one place, three signs")]
    fn see(
        &mut self,
        place: Place,
        mark: Mark,
        look: LookAtTurns,
        before: &mut HashMap<Place, Sign>,
        actor: &ActorCell,
        how: Stuck,
        method: impl FnOnce() -> Option<String>,
    ) {
        let seen = before.remove(&place);
        let (same, other): (Vec<_>, Vec<_>) = seen.into_iter().partition(|sign| sign.mark == mark);
        other.into_iter().filter_map(|sign| sign.named).for_each(|turn| goes_on(&turn));
        let new = || Sign { mark, lasting: Duration::ZERO, since: look.now, next: self.after, named: None };
        let mut sign = match same.into_iter().next() {
            Some(sign) => Sign { lasting: sign.lasting + look.step, ..sign },
            None => new(),
        };
        let on_clock = look.now.saturating_duration_since(sign.since);
        let is_stuck = sign.lasting >= self.after && (how == Stuck::Blocked || on_clock >= self.after);
        if is_stuck && sign.named.is_none() {
            sign.named = method().map(|method| StuckTurn {
                actor: actor.identity.id,
                name: actor.identity.name.to_string(),
                method,
                how,
                lasting: sign.lasting,
            });
        }
        if let Some(turn) = &mut sign.named {
            turn.lasting = sign.lasting;
            if sign.lasting >= sign.next {
                name(turn);
                sign.next = sign.lasting * 2;
            }
        }
        self.signs.insert(place, sign);
    }
}

fn method_of(turn: Option<&RunningTurn>) -> Option<String> {
    turn.map(|turn| turn.method.to_string())
}

fn name(turn: &StuckTurn) {
    let StuckTurn { actor, name, method, how, lasting } = turn;
    let advice = match how {
        Stuck::Blocked => {
            "nothing else runs on its thread; run what blocks or computes for long with `Node::spawn_blocking`, or put \
             the actor on threads of its own with a `Group`"
        }
        Stuck::Waiting => {
            "the actor takes no other turn before it ends; give what it awaits a time limit, end it by `ctx.cancelled()`, \
             or mark the method `#[cancel_safe]`"
        }
    };
    tracing::warn!(actor = %name, id = %actor, %method, ?lasting, "a handler {how}: {advice}");
}

fn goes_on(turn: &StuckTurn) {
    let StuckTurn { actor, name, method, how, lasting } = turn;
    tracing::info!(actor = %name, id = %actor, %method, ?lasting, "no longer: a handler {how}");
}
