//! The loop of an actor: which turn runs when (S1, S4).
//!
//! ```text
//!   idle ──shared call──► shared phase: turns overlap, until the next call is exclusive and all have ended ──┐
//!    ▲ └─exclusive call─► one turn, alone ───────────────────────────────────────────────────────────────────┤
//!    └───────────────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! The actor is owned by the loop and borrowed by its turns, so the borrow checker proves S1; there are no locks
//! around the state.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    Actor, ActorCell,
    health::answer,
    mailbox::{Admit, Started, Step},
    shared::SharedPhase,
    turn::{self, Left},
};
use crate::{
    call::{AnyCall, StopReason},
    service::{Access, SharedRef},
};

/// How many turns run before the loop lets other tasks of its thread go first.
const BUDGET: u32 = 64;

/// Why the loop has ended.
pub(super) enum Leaving {
    /// Nothing will come any more.
    Closed,
    /// What will come is for the actor's next run.
    Retired,
    /// A handler panicked.
    Failed(Box<StopReason>),
    /// The loop never began.
    NotStarted(Box<StopReason>),
    /// The actor is to end at once.
    Killed,
}

/// Runs the turns of an actor whose shared turns overlap on the actor's own task.
pub(super) async fn turns<A: Actor>(actor: &mut A, cell: &Arc<ActorCell>) -> Leaving {
    let mut budget = BUDGET;
    let mut finished = None;
    loop {
        let Started { call, slot } = match next(cell, finished.take()).await {
            Step::Turn(started) => started,
            Step::Asked(question) => {
                answer(actor, question);
                continue;
            }
            Step::Closed => return Leaving::Closed,
            Step::Retired => return Leaving::Retired,
            // Nothing is running that the next call could have to wait for.
            Step::Blocked | Step::Killed => return Leaving::Killed,
        };
        let left = match call.head().method.access {
            Access::Exclusive => {
                cell.polling.turn_to(slot);
                let Some(left) = alone(cell, pin!(turn::exclusive(actor, cell, call))).await else {
                    return Leaving::Killed;
                };
                finished = Some(slot);
                left
            }
            Access::Shared => {
                let (actor, first) = (SharedRef::new(&*actor), Started { call, slot });
                let answer = |actor: SharedRef<'_, A>, question| {
                    // SAFETY: the phase is polled by this task alone, and so are its turns: as long as this
                    // runs, nobody else uses the actor.
                    answer(unsafe { actor.get_here() }, question);
                };
                let overlap = cell.limits.overlap as usize;
                let (left, slot) = SharedPhase::new(cell, actor, first, overlap, turn::shared, answer).await;
                finished = slot;
                left
            }
        };
        if let Some(leaving) = leaving(cell, left, finished) {
            return leaving;
        }
        spend(cell, &mut budget).await;
    }
}

/// Runs the turns of an actor whose shared turns run on up to `tasks` tasks of their own.
pub(super) async fn parallel_turns<A: Actor + Sync>(
    actor: &mut Arc<A>,
    cell: &Arc<ActorCell>,
    tasks: usize,
) -> Leaving {
    let mut budget = BUDGET;
    let mut finished = None;
    loop {
        let Started { call, slot } = match next(cell, finished.take()).await {
            Step::Turn(started) => started,
            Step::Asked(question) => {
                answer(&**actor, question);
                continue;
            }
            Step::Closed => return Leaving::Closed,
            Step::Retired => return Leaving::Retired,
            // Nothing is running that the next call could have to wait for.
            Step::Blocked | Step::Killed => return Leaving::Killed,
        };
        let left = match call.head().method.access {
            Access::Exclusive => {
                // All shared turns have ended, and with them their clones.
                let Some(actor) = Arc::get_mut(actor) else { return Leaving::Killed };
                cell.polling.turn_to(slot);
                let Some(left) = alone(cell, pin!(turn::exclusive(actor, cell, call))).await else {
                    return Leaving::Killed;
                };
                finished = Some(slot);
                left
            }
            Access::Shared => {
                let first = Started { call, slot };
                let start = |actor: &Arc<A>, cell: &Arc<ActorCell>, call: Arc<dyn AnyCall>| {
                    on_a_task(actor.clone(), cell.clone(), call)
                };
                let answer = |actor: &Arc<A>, question| answer(&**actor, question);
                let (left, slot) = SharedPhase::new(cell, &*actor, first, tasks, start, answer).await;
                finished = slot;
                left
            }
        };
        if let Some(leaving) = leaving(cell, left, finished) {
            return leaving;
        }
        spend(cell, &mut budget).await;
    }
}

/// A shared turn on a task of its own; dropping this ends it.
async fn on_a_task<A: Actor + Sync>(actor: Arc<A>, cell: Arc<ActorCell>, call: Arc<dyn AnyCall>) -> Left {
    let node = cell.identity.node.clone();
    let task = node.spawn_bare(async move {
        let head = call.clone();
        let mut turn = pin!(turn::shared(SharedRef::new(&*actor), &cell, call));
        poll_fn(|cx| {
            head.head().in_poll.begin(cell.next_poll());
            let polled = turn.as_mut().poll(cx);
            head.head().in_poll.end();
            polled
        })
        .await
    });
    let _abort = task.abort_on_drop();
    // The turn catches its handler's panics; a task that is gone all the same was ended with its runtime.
    task.await.unwrap_or(Left::Intact)
}

/// What to do next while no turn is running.
async fn next(cell: &ActorCell, mut finished: Option<usize>) -> Step {
    poll_fn(|cx| cell.mailbox.poll_next(cx, finished.take(), Admit::Any)).await
}

/// Runs an exclusive turn to its end; `None` if the actor's came first.
async fn alone(cell: &ActorCell, mut turn: Pin<&mut impl Future<Output = Left>>) -> Option<Left> {
    poll_fn(|cx: &mut Context<'_>| {
        cell.polling.begin();
        if let Poll::Ready(left) = turn.as_mut().poll(cx) {
            return Poll::Ready(Some(left));
        }
        cell.polling.end();
        if cell.mailbox.park_for_kill(cx) { Poll::Pending } else { Poll::Ready(None) }
    })
    .await
}

/// Whether the actor is at its end after a turn, whose slot is given back then.
fn leaving(cell: &ActorCell, left: Left, finished: Option<usize>) -> Option<Leaving> {
    let leaving = match left {
        Left::Panicked(reason) => Leaving::Failed(reason),
        Left::Intact if cell.mailbox.is_killed() => Leaving::Killed,
        Left::Intact => return None,
    };
    if let Some(slot) = finished {
        cell.mailbox.finish(slot);
    }
    Some(leaving)
}

async fn spend(cell: &ActorCell, budget: &mut u32) {
    *budget -= 1;
    if *budget == 0 {
        *budget = BUDGET;
        cell.mailbox.note_progress();
        yield_now().await;
    }
}

async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
