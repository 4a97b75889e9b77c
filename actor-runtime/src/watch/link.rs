//! Links: an actor that ends, as failed, when another one fails.
//!
//! ```text
//!   ctx.link ──► a task with a Monitor ──┬─ the other one stopped ──► the link ends
//!                                        └─ anything else ──────────► the run ends: StopReason::LinkBroken
//! ```
//!
//! Invariants:
//! 1. A link ends one run of its actor: the one that began it. The mailbox compares runs under its own lock.
//! 2. Whether a link breaks or ends is decided once, under the link's lock. What follows from a break runs code of users,
//!    and so comes after it.

use std::{
    collections::BTreeMap,
    fmt,
    future::poll_fn,
    sync::{Arc, Weak},
    task::Poll,
};

use futures::FutureExt;

use super::{Down, DownReason, Monitor};
use crate::{
    ActorContext,
    actor::ActorCell,
    call::StopReason,
    client::ServiceClient,
    node::AbortOnDrop,
    sync::{Mutex, lock},
    texts::{end_of, start_of},
};

/// One actor ends when another one fails, by [`ActorContext::link`]. Dropping this leaves it linked; [`end`](Self::end) ends
/// the link.
pub struct Link(Arc<Linking>);

pub(crate) struct Linking {
    actor: Weak<ActorCell>,
    /// Which of its runs.
    run: u64,
    state: Mutex<State>,
}

enum State {
    /// The task that waits, once it is known.
    Holds(Option<AbortOnDrop>),
    /// It has ended its actor's run.
    Broken,
    Ended,
}

impl Link {
    /// Links the actor of this context, until its run ends.
    pub(crate) async fn begin(context: &ActorContext, client: &impl ServiceClient) -> Self {
        let cell = context.identity().cell.upgrade();
        let Some((cell, run)) = cell.and_then(|cell| cell.mailbox.run().map(|run| (cell, run))) else {
            return Self(Linking::new(Weak::new(), 0, State::Ended));
        };
        let mut monitor = Monitor::begin(client).await;
        if monitor.actor() == Some(cell.identity.id) {
            return Self(Linking::new(Weak::new(), 0, State::Ended));
        }
        let linking = Linking::new(context.identity().cell.clone(), run, State::Holds(None));
        if let Some(down) = (&mut monitor).now_or_never() {
            if linking.down(&down) {
                drop(cell);
                cut_off().await;
            }
            return Self(linking);
        }
        cell.links().insert(&linking);
        let told = linking.clone();
        let task = context.spawn(async move {
            let down = monitor.await;
            told.down(&down);
        });
        if let State::Holds(waits) = &mut *lock(&linking.state) {
            *waits = Some(task.abort_on_drop());
        }
        // The end of the run finds it, or came before and is seen here.
        if cell.mailbox.run() != Some(run) {
            linking.end();
        }
        Self(linking)
    }

    /// Links no more: when this has returned, the other one's end ends nobody by this link. False if the link had ended
    /// before, or had broken: then the actor's run was told to end.
    pub fn end(&self) -> bool {
        self.0.end()
    }
}

impl Linking {
    fn new(actor: Weak<ActorCell>, run: u64, state: State) -> Arc<Self> {
        Arc::new(Self { actor, run, state: Mutex::new(state) })
    }

    /// The other one has ended. True if this one's run ends by that.
    fn down(&self, down: &Down) -> bool {
        let Some(cell) = self.actor.upgrade() else { return false };
        let reason = breaks(down).map(Arc::new);
        let mut state = lock(&self.state);
        if !matches!(*state, State::Holds(_)) {
            return false;
        }
        let broken = reason.and_then(|reason| Some((cell.mailbox.break_run(self.run, &reason)?, reason)));
        let after = if broken.is_some() { State::Broken } else { State::Ended };
        let before = std::mem::replace(&mut *state, after);
        drop(state);
        cell.links().remove(self);
        let breaks = broken.is_some();
        if let Some((cut, reason)) = broken {
            tracing::error!(actor = %cell.identity.name, %reason, "an actor ends with one that it is linked to");
            cell.broken(cut, &reason);
        }
        // The task that runs this.
        drop(before);
        breaks
    }

    fn end(&self) -> bool {
        let mut state = lock(&self.state);
        if !matches!(*state, State::Holds(_)) {
            return false;
        }
        let before = std::mem::replace(&mut *state, State::Ended);
        drop(state);
        drop(before);
        if let Some(cell) = self.actor.upgrade() {
            cell.links().remove(self);
        }
        true
    }
}

/// The links that one run of an actor has begun, by their places in memory, until they break or end.
#[derive(Default)]
pub(crate) struct Links(Mutex<BTreeMap<usize, Arc<Linking>>>);

impl Links {
    fn insert(&self, linking: &Arc<Linking>) {
        lock(&self.0).insert(Arc::as_ptr(linking).addr(), linking.clone());
    }

    fn remove(&self, linking: &Linking) {
        let removed = lock(&self.0).remove(&std::ptr::from_ref(linking).addr());
        drop(removed);
    }

    /// The run has ended: it is linked to nobody.
    pub(crate) fn end(&self) {
        let all = std::mem::take(&mut *lock(&self.0));
        for linking in all.into_values() {
            linking.end();
        }
    }
}

/// Why an actor that is linked to this one ends; `None` if it does not.
fn breaks(down: &Down) -> Option<StopReason> {
    let why = match &down.reason {
        DownReason::Stopped(_) => return None,
        DownReason::Gone => "it had ended before it was linked, or never was".to_owned(),
        reason => shortened(reason.to_string()),
    };
    Some(StopReason::LinkBroken { to: down.name.clone(), actor: down.actor, why })
}

/// How long the reason may be, in bytes. Each link of a chain adds its own words to that of the next.
const MAX_BYTES: usize = 512;

/// Leaves out of a long reason what is in its middle: its end says what happened first.
fn shortened(why: String) -> String {
    if why.len() <= MAX_BYTES {
        return why;
    }
    format!("{} … {}", start_of(&why, MAX_BYTES / 4), end_of(&why, MAX_BYTES / 2))
}

/// Lets the run that was told to end do so here.
async fn cut_off() {
    let mut waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        // For code that is not of the run.
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &*lock(&self.0.state) {
            State::Holds(_) => "holds",
            State::Broken => "broken",
            State::Ended => "ended",
        };
        f.debug_tuple("Link").field(&state).finish()
    }
}

#[cfg(all(test, not(actor_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_keeps_its_beginning_and_its_end() {
        let long = format!("the first {} the last", "ä".repeat(1000));
        let short = shortened(long);
        assert!(short.len() <= MAX_BYTES, "{}", short.len());
        assert!(short.starts_with("the first ä") && short.ends_with("ä the last"), "{short}");
        assert_eq!(shortened("short".to_owned()), "short");
    }
}
