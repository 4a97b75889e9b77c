//! The calls of one actor that are answered later.
//!
//! Invariants:
//! 1. A call is here until its `ReplyTo` is gone; nothing is allocated before the first.
//! 2. After `end` every call that was here is over, and so is one that comes later.
//! 3. Whoever waits for the last one is woken when it leaves.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use slab::Slab;
use tokio::time::Instant;

use crate::{
    call::{AnyCall, Delivery, Failure, FailureKind, Stage, StopReason},
    context::Identity,
    node::deadlines::Sweep,
    sync::{Mutex, lock},
};

/// The calls of one actor that are answered later.
#[derive(Default)]
pub(crate) struct Pending(Mutex<Option<Box<State>>>);

#[derive(Default)]
struct State {
    calls: Slab<Arc<dyn AnyCall>>,
    /// Whether somebody looks after the deadlines.
    watched: bool,
    /// Why the actor takes no more turns.
    closing: Option<Arc<StopReason>>,
    ended: bool,
    /// Waits for the last call to leave.
    drained: Option<Waker>,
}

/// A turn takes the right to answer its call later. `None` if it has no place: the actor has ended, and the call with it.
pub(super) fn add(identity: &Arc<Identity>, call: &Arc<dyn AnyCall>) -> Option<usize> {
    let mut state = lock(&identity.pending.0);
    let inner = state.get_or_insert_default();
    if let (true, Some(reason)) = (inner.ended, inner.closing.clone()) {
        drop(state);
        call.fail(&mut |stage| reason.interruption(stage));
        return None;
    }
    let place = inner.calls.insert(call.clone());
    let watch = !std::mem::replace(&mut inner.watched, true);
    drop(state);
    identity.node.expect_deadline(call.head().turn_deadline(), watch, || {
        let holder: Arc<dyn Sweep> = identity.clone();
        Arc::downgrade(&holder)
    });
    Some(place)
}

impl Pending {
    /// A `ReplyTo` is gone.
    pub(super) fn remove(&self, place: usize) {
        let mut state = lock(&self.0);
        let Some(inner) = state.as_mut() else { return };
        let call = inner.calls.try_remove(place);
        let drained = if inner.calls.is_empty() { inner.drained.take() } else { None };
        drop(state);
        drop(call);
        if let Some(drained) = drained {
            drained.wake();
        }
    }

    /// Why the actor takes no more turns, if it does not.
    pub(super) fn closing(&self) -> Option<Arc<StopReason>> {
        lock(&self.0).as_ref()?.closing.clone()
    }

    /// The actor takes no more turns.
    pub(crate) fn close(&self, reason: &Arc<StopReason>) {
        if let Some(inner) = lock(&self.0).as_mut() {
            inner.closing.get_or_insert_with(|| reason.clone());
        }
    }

    /// Waits until no call is left.
    pub(crate) fn poll_drained(&self, cx: &Context<'_>) -> Poll<()> {
        match lock(&self.0).as_mut() {
            Some(inner) if !inner.calls.is_empty() => {
                inner.drained = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// The actor has ended: so do its calls.
    pub(crate) fn end(&self, reason: &Arc<StopReason>) {
        let mut state = lock(&self.0);
        let inner = state.get_or_insert_default();
        inner.ended = true;
        let reason = inner.closing.get_or_insert_with(|| reason.clone()).clone();
        let calls: Vec<_> = inner.calls.iter().map(|(_, call)| call.clone()).collect();
        drop(state);
        for call in calls {
            call.fail(&mut |stage| reason.interruption(stage));
        }
    }

    fn limits<'a>(
        calls: &'a Slab<Arc<dyn AnyCall>>,
    ) -> impl Iterator<Item = (&'a Arc<dyn AnyCall>, Instant)> {
        let open = calls.iter().filter(|(_, call)| call.stage() != Stage::Over);
        open.filter_map(|(_, call)| Some((call, call.head().turn_deadline()?)))
    }
}

impl Sweep for Identity {
    fn sweep(&self, now: Instant) -> Option<Instant> {
        let mut state = lock(&self.pending.0);
        let inner = state.as_mut()?;
        let expired: Vec<_> = Pending::limits(&inner.calls)
            .filter(|(_, deadline)| *deadline <= now)
            .map(|(call, _)| call.clone())
            .collect();
        let next = Pending::limits(&inner.calls).map(|(_, deadline)| deadline).filter(|at| *at > now).min();
        inner.watched = next.is_some();
        drop(state);
        for call in expired {
            call.fail(&mut |_| late(&*call));
        }
        next
    }

    fn next(&self) -> Option<Instant> {
        let state = lock(&self.pending.0);
        Pending::limits(&state.as_ref()?.calls).map(|(_, deadline)| deadline).min()
    }
}

fn late(call: &dyn AnyCall) -> Failure {
    let hops = call.head().chain.as_ref().map(|link| link.hops()).unwrap_or_default();
    let detail = "the actor has its `ReplyTo` and did not answer in time";
    Failure::new(FailureKind::DeadlineExceeded, Delivery::Unknown, detail).with_hops(hops)
}
