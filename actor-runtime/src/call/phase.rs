use std::{mem, sync::Arc, task::Waker};

use slab::Slab;

use crate::{panics::wake, sync::park};

/// Where a call is in its life, and who waits for the next step. Kept under the lock of the call it belongs to.
#[derive(Default)]
pub(super) struct Phase {
    stage: Stage,
    /// The caller of a oneway call was told that it is in its actor's mailbox.
    accepted: bool,
    /// It ended by its reply: who works on it may go on.
    replied: bool,
    /// Who waits for the end.
    caller: Option<Waker>,
    /// The turn that runs the call, if it waits for something.
    turn: Option<Waker>,
    /// Who has to be told, far away, that the caller left.
    far: Option<Far>,
    /// Made when the first one comes; few calls have any.
    others: Option<Box<Others>>,
}

/// Others who wait for the end.
#[derive(Default)]
struct Others {
    /// Who has its `ReplyTo` and wants to know that nobody waits for the answer any more.
    closed: Option<Waker>,
    /// `ActorContext::cancelled`.
    watchers: Slab<Waker>,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// No handler has seen it.
    #[default]
    Waiting,
    /// A handler has it.
    Running,
    /// It has a reply or a failure, or its caller has left.
    Over,
}

/// Carries the news that a caller left to where its call is.
pub trait Leave: Send + Sync {
    /// The caller of this call is gone.
    fn left(&self, call: u64);
}

/// A call that was sent away, under this number.
pub struct Far {
    pub(crate) link: Arc<dyn Leave>,
    pub(crate) call: u64,
}

/// Who is to be told that a call is over; told by dropping the lock first.
#[must_use = "call `notify` once the lock is released"]
pub(super) struct Ended {
    caller: Option<Waker>,
    turn: Option<Waker>,
    far: Option<Far>,
    others: Option<Box<Others>>,
}

impl Phase {
    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// The call goes to a handler; false if it is too late for that.
    pub(super) fn claim(&mut self) -> bool {
        let claimed = self.stage == Stage::Waiting;
        if claimed {
            self.stage = Stage::Running;
        }
        claimed
    }

    pub(super) fn is_accepted(&self) -> bool {
        self.accepted
    }

    /// The call is in its actor's mailbox, and that is all that its caller waited for: whom to tell. `None` if it was so
    /// before, or if it is over.
    pub(super) fn accept(&mut self) -> Option<Option<Waker>> {
        if self.is_over() || mem::replace(&mut self.accepted, true) {
            return None;
        }
        Some(self.caller.take())
    }

    /// The call is over; `None` if it was so before.
    pub(super) fn end(&mut self) -> Option<Ended> {
        if self.is_over() {
            return None;
        }
        self.stage = Stage::Over;
        Some(Ended {
            caller: self.caller.take(),
            turn: self.turn.take(),
            far: self.far.take(),
            others: self.others.take(),
        })
    }

    /// The call is over by its reply; `None` if it was so before.
    pub(super) fn reply(&mut self) -> Option<Ended> {
        let ended = self.end();
        self.replied |= ended.is_some();
        ended
    }

    /// The caller wants to be woken at the end. Gives the waker that this one replaces, as all that park do, to be dropped
    /// without the lock.
    pub(super) fn park_caller(&mut self, waker: &Waker) -> Option<Waker> {
        park(&mut self.caller, waker)
    }

    /// The turn waits; it wants to be woken if the call ends without it. False if it has done so. A turn that has answered
    /// goes on to its end.
    pub(super) fn park_turn(&mut self, waker: &Waker, replaced: &mut Option<Waker>) -> bool {
        if self.is_over() {
            return self.replied;
        }
        *replaced = park(&mut self.turn, waker);
        true
    }

    /// Wants to be woken when nobody waits for the answer any more. False if that is so.
    pub(super) fn park_closed(&mut self, waker: &Waker, replaced: &mut Option<Waker>) -> bool {
        if self.is_over() {
            return false;
        }
        *replaced = park(&mut self.others.get_or_insert_default().closed, waker);
        true
    }

    /// Somebody beside the turn wants to be woken at the end, and keeps its place by `key`. False if the call is over.
    /// The waker that this one replaces is given back in it.
    pub(super) fn watch(&mut self, key: &mut Option<usize>, waker: &mut Option<Waker>) -> bool {
        if self.is_over() {
            return false;
        }
        let Some(new) = waker.take() else { return true };
        let watchers = &mut self.others.get_or_insert_default().watchers;
        match key.and_then(|key| watchers.get_mut(key)) {
            Some(parked) => *waker = Some(mem::replace(parked, new)),
            None => *key = Some(watchers.insert(new)),
        }
        true
    }

    /// Whoever watched by this key does so no more.
    pub(super) fn unwatch(&mut self, key: usize) -> Option<Waker> {
        self.others.as_mut()?.watchers.try_remove(key)
    }

    /// The call is about to go far away; false if it is over, and nobody would tell the far side.
    pub(super) fn sent(&mut self, far: Far) -> bool {
        if self.is_over() {
            return false;
        }
        self.far = Some(far);
        true
    }
}

impl Ended {
    /// The call ended by its reply: its turn has ended by itself, and nobody far away needs to know.
    pub(super) fn notify_reply(self) {
        if let Some(others) = self.others {
            // Not by who has the `ReplyTo`, but by a layer, it may be.
            others.wake();
        }
        if let Some(caller) = self.caller {
            wake(caller);
        }
    }

    /// The call ended otherwise: its turn, here or far away, has nobody left to work for.
    pub(super) fn notify(self) {
        if let Some(far) = self.far {
            far.link.left(far.call);
        }
        if let Some(turn) = self.turn {
            wake(turn);
        }
        if let Some(others) = self.others {
            others.wake();
        }
        if let Some(caller) = self.caller {
            wake(caller);
        }
    }
}

impl Others {
    #[cold]
    fn wake(self) {
        for (_, watcher) in self.watchers {
            wake(watcher);
        }
        if let Some(closed) = self.closed {
            wake(closed);
        }
    }
}
