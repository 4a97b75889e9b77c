//! The producers that run on a node, so that a server that goes away can wait for them, and end them (S9).

use std::{
    collections::BTreeSet,
    sync::Arc,
    task::{Context, Waker},
};

use slab::Slab;
use tokio::sync::Notify;

use crate::{
    actor_id::ActorId,
    call::{Delivery, Failure, FailureKind, StopReason},
    context::ActorContext,
    sync::{Mutex, lock},
};

/// The streams that actors of one node have returned and that have not ended.
#[derive(Default)]
pub(crate) struct Producers {
    running: Mutex<Slab<Producing>>,
    fewer: Notify,
}

struct Producing {
    id: ActorId,
    actor: String,
    stopped: Option<Failure>,
    waker: Option<Waker>,
}

/// One of them; it counts until this is dropped.
pub(crate) struct Running {
    producers: Arc<Producers>,
    key: usize,
}

impl Producers {
    /// A stream of this actor begins. If the actor was killed meanwhile, the stream is to end at once.
    pub(crate) fn run(self: &Arc<Self>, actor: &ActorContext) -> Running {
        let (id, name) = (actor.actor_id(), actor.actor_name().to_owned());
        let key = lock(&self.running).insert(Producing { id, actor: name, stopped: None, waker: None });
        // A kill says so before it looks for streams: it finds this one, or was seen to be said.
        if let Some(reason) = actor.killed() {
            self.stop_those_of(id, &reason);
        }
        Running { producers: self.clone(), key }
    }

    /// The actors whose streams have not ended.
    pub(crate) fn actors(&self) -> BTreeSet<String> {
        lock(&self.running).iter().map(|(_, producing)| producing.actor.clone()).collect()
    }

    /// Ends when no stream is left.
    pub(crate) async fn idle(&self) {
        loop {
            let mut fewer = std::pin::pin!(self.fewer.notified());
            fewer.as_mut().enable();
            if lock(&self.running).is_empty() {
                return;
            }
            fewer.await;
        }
    }

    /// Ends those that run, for this reason.
    pub(crate) fn stop(&self, reason: &StopReason) {
        self.stop_if(reason, |_| true);
    }

    /// Ends those of this actor.
    pub(crate) fn stop_those_of(&self, actor: ActorId, reason: &StopReason) {
        self.stop_if(reason, |producing| producing.id == actor);
    }

    fn stop_if(&self, reason: &StopReason, wanted: impl Fn(&Producing) -> bool) {
        let stop = |(_, producing): (usize, &mut Producing)| {
            if !wanted(producing) {
                return None;
            }
            let failure = || Failure::new(FailureKind::Stopped, Delivery::Executed, reason.to_string());
            producing.stopped.get_or_insert_with(failure);
            producing.waker.take()
        };
        let wakers: Vec<Waker> = lock(&self.running).iter_mut().filter_map(stop).collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Running {
    /// Why it is to end, if it is; the task is woken then.
    pub(crate) fn poll_stopped(&self, cx: &Context<'_>) -> Option<Failure> {
        let mut running = lock(&self.producers.running);
        let producing = running.get_mut(self.key)?;
        match &mut producing.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        producing.stopped.clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let removed = lock(&self.producers.running).try_remove(self.key);
        drop(removed);
        self.producers.fewer.notify_waiters();
    }
}
