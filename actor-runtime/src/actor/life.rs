//! One run of an actor, from its start to its end (S9).
//!
//! ```text
//!   on_start ──► turns ──┬─ closed, and the queue is empty ──┐
//!      │                 ├─ retired: another run follows ────┼──► children end ──► on_stop ──► dropped ──► ended
//!      │ failed          ├─ a handler panicked ──────────────┘                                   ▲
//!      ├─────────────────┴─ killed ──────────────────────────── children are killed ─────────────┤
//!      └─────────────────────────────────────────────────────── children end ────────────────────┘
//! ```
//!
//! The run of an actor in nobody's care that ends is the end of its registration. That of a supervised one is followed
//! by another with the same mailbox, unless the mailbox was closed.

use std::{future::Future, sync::Arc};

use super::{
    Actor, ActorCell, hooks,
    turns::{Leaving, parallel_turns, turns},
};
use crate::call::StopReason;

/// Runs an actor whose shared turns overlap on the actor's own task.
// Not an `async fn`: that would store its arguments, and with them the actor, twice.
pub(crate) fn run<A: Actor>(mut actor: A, cell: Arc<ActorCell>) -> impl Future<Output = ()> + Send {
    // Here: a task can be dropped before its first poll.
    let run = Run { cell, reason: None };
    async move {
        let mut run = run;
        let leaving = match start(&mut actor, &run.cell).await {
            Ok(()) => turns(&mut actor, &run.cell).await,
            Err(leaving) => leaving,
        };
        let closed = matches!(leaving, Leaving::Closed);
        wind_down(Some(&mut actor), &mut run, leaving).await;
        run.discard(actor);
        if closed {
            run.cell.answered().await;
        }
    }
}

/// Runs an actor whose shared turns run on up to `tasks` tasks of their own.
pub(crate) fn run_parallel<A: Actor + Sync>(
    actor: A,
    cell: Arc<ActorCell>,
    tasks: usize,
) -> impl Future<Output = ()> + Send {
    let mut actor = Arc::new(actor);
    let run = Run { cell, reason: None };
    async move {
        let mut run = run;
        let started = match Arc::get_mut(&mut actor) {
            Some(actor) => start(actor, &run.cell).await,
            None => Err(Leaving::Killed),
        };
        let leaving = match started {
            Ok(()) => parallel_turns(&mut actor, &run.cell, tasks).await,
            Err(leaving) => leaving,
        };
        let closed = matches!(leaving, Leaving::Closed);
        // Turns that were cut off on their tasks may have it for a moment longer; then there is no hook to run.
        wind_down(Arc::get_mut(&mut actor), &mut run, leaving).await;
        run.discard(actor);
        if closed {
            run.cell.answered().await;
        }
    }
}

async fn start<A: Actor>(actor: &mut A, cell: &Arc<ActorCell>) -> Result<(), Leaving> {
    match hooks::start(actor, cell).await {
        Ok(()) => {
            cell.mailbox.start();
            Ok(())
        }
        Err(None) => Err(Leaving::Killed),
        Err(Some(reason)) => Err(Leaving::NotStarted(Box::new(reason))),
    }
}

/// The actor takes no more turns: what it had started ends, and then it is told.
async fn wind_down<A: Actor>(actor: Option<&mut A>, run: &mut Run, leaving: Leaving) {
    let started = !matches!(leaving, Leaving::NotStarted(_));
    let reason = match leaving {
        Leaving::Killed => {
            // A run that is cut off for the next one; the reason of a kill is the mailbox's.
            run.reason = run.cell.mailbox.retiring();
            return run.cell.kill_children();
        }
        Leaving::Closed => run.cell.mailbox.closed(),
        Leaving::Retired => run.cell.mailbox.retiring(),
        Leaving::Failed(reason) | Leaving::NotStarted(reason) => {
            let reason = Arc::new(*reason);
            run.cell.failed(&reason);
            Some(reason)
        }
    };
    let Some(reason) = reason else { return };
    run.reason = Some(reason.clone());
    run.cell.close_pending(&reason);
    run.cell.end_children().await;
    if let Some(actor) = actor.filter(|_| started)
        && let Err(failure) = hooks::stop(actor, &run.cell, &reason).await
    {
        run.failed(failure);
    }
}

/// However a run ends, also by its task being dropped: nobody waits for it afterwards.
struct Run {
    cell: Arc<ActorCell>,
    /// Why it ends, once that is known.
    reason: Option<Arc<StopReason>>,
}

impl Run {
    fn discard<A>(&mut self, actor: A) {
        if let Err(failure) = hooks::discard(actor, &self.cell) {
            self.failed(failure);
        }
    }

    fn failed(&mut self, failure: StopReason) {
        if self.reason.as_ref().is_none_or(|reason| failure.outweighs(reason)) {
            self.reason = Some(Arc::new(failure));
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // A link may have broken at any time, also while `on_stop` ran.
        if let Some(broken) = self.cell.mailbox.broken()
            && self.reason.as_ref().is_none_or(|reason| broken.outweighs(reason))
        {
            self.reason = Some(broken);
        }
        let reason = self.reason.take();
        self.cell.leave(reason.unwrap_or_else(|| Arc::new(StopReason::Abandoned)));
    }
}
