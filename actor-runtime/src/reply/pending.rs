//! The calls of one actor that are answered later.
//!
//! Invariants:
//! 1. A call is here until its `ReplyTo` is gone; nothing is allocated before the first.
//! 2. After `end` every call that was here is over, and so is one that comes later.
//! 3. Whoever waits for the last one is woken when it leaves.
//! 4. A call's own lock may be taken under the one of all calls, and never the other way round.

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

    /// The calls that somebody waits for. No more come once the actor takes no more turns.
    pub(crate) fn open(&self) -> Vec<Arc<dyn AnyCall>> {
        let state = lock(&self.0);
        let calls = state.iter().flat_map(|inner| inner.calls.iter());
        calls.filter(|(_, call)| call.stage() != Stage::Over).map(|(_, call)| call.clone()).collect()
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

    /// The actor is to end at once, whatever its loop of turns is at.
    pub(crate) fn kill(&self, reason: &Arc<StopReason>) {
        if lock(&self.0).is_some() {
            self.end(reason);
        }
    }

    /// A run of the actor has ended, and another follows: the calls that it had are over.
    pub(crate) fn interrupt(&self, reason: &StopReason) {
        let mut state = lock(&self.0);
        let Some(inner) = state.as_mut() else { return };
        inner.closing = None;
        let calls: Vec<_> = inner.calls.iter().map(|(_, call)| call.clone()).collect();
        drop(state);
        for call in calls {
            call.fail(&mut |stage| reason.interruption(stage));
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

    fn limits(calls: &Slab<Arc<dyn AnyCall>>) -> impl Iterator<Item = (&Arc<dyn AnyCall>, Instant)> {
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

#[cfg(all(test, not(actor_loom)))]
mod tests {
    use std::time::Duration;

    use futures::{FutureExt, future::poll_fn};

    use super::{super::Held, *};
    use crate::{
        Node,
        call::sample::{EXCLUSIVE, call},
        node::clock,
    };

    fn identity() -> Arc<Identity> {
        let node = Node::builder().build().expect("a runtime runs");
        let id = node.next_actor_id();
        Arc::new(Identity::new(id, "sample".into(), node))
    }

    fn reason() -> Arc<StopReason> {
        Arc::new(StopReason::Unregistered)
    }

    /// 1 and 3.
    #[tokio::test]
    async fn whoever_waits_for_the_last_one_is_woken_and_nothing_is_left() {
        let identity = identity();
        assert!(lock(&identity.pending.0).is_none());
        let places: Vec<_> = (0..2).map(|n| add(&identity, &call(&EXCLUSIVE, n, None)).unwrap()).collect();
        let mut drained = Box::pin(poll_fn(|cx| identity.pending.poll_drained(cx)));
        for place in places {
            assert!((&mut drained).now_or_never().is_none());
            identity.pending.remove(place);
        }
        drained.await;
        assert!(lock(&identity.pending.0).as_ref().unwrap().calls.is_empty());
    }

    /// 2.
    #[tokio::test]
    async fn after_the_end_every_call_is_over_also_one_that_comes_later() {
        let identity = identity();
        let calls = [0, 1].map(|n| call(&EXCLUSIVE, n, None));
        assert!(add(&identity, &calls[0]).is_some());
        identity.pending.end(&reason());
        assert!(add(&identity, &calls[1]).is_none());
        for call in calls {
            assert_eq!(call.peek().unwrap_err().kind(), FailureKind::Stopped);
        }
    }

    /// 4.
    #[tokio::test]
    async fn who_drops_a_reply_to_does_not_wait_for_the_others_with_its_call_locked() {
        let identity = identity();
        let call = call(&EXCLUSIVE, 0, None);
        let held = Held { place: add(&identity, &call), call: call.clone(), identity: identity.clone() };
        // As in a sweep.
        let others = lock(&identity.pending.0);
        let stage = std::thread::scope(|scope| {
            scope.spawn(move || drop(held));
            // Until it has come to where it waits. Sooner, there is nothing to be seen.
            std::thread::park_timeout(Duration::from_millis(100));
            let (said, hears) = std::sync::mpsc::channel();
            scope.spawn(move || said.send(call.stage()));
            let stage = hears.recv_timeout(Duration::from_secs(5));
            drop(others);
            stage
        });
        assert_eq!(stage, Ok(Stage::Waiting));
    }

    #[tokio::test]
    async fn calls_end_at_their_deadlines_and_the_next_one_is_told() {
        let identity = identity();
        let now = clock::now();
        let after = |millis| Some(now + Duration::from_millis(millis));
        let calls = [after(1), after(3), None].map(|deadline| call(&EXCLUSIVE, 0, deadline));
        for call in &calls {
            add(&identity, call);
        }
        assert_eq!(Sweep::next(&*identity), after(1));
        assert_eq!(identity.sweep(now + Duration::from_millis(2)), after(3));
        let over = calls.each_ref().map(|call| call.stage() == Stage::Over);
        assert_eq!(over, [true, false, false]);
        calls[1].abandon();
        assert_eq!(identity.sweep(now + Duration::from_millis(2)), None, "it has left");
    }
}
