//! A turn that nobody called for: one of the actor's own hooks, with its place in the mailbox.
//!
//! To the mailbox, to those who look at it and to the calls that the hook makes it is a `#[oneway]` call: it has no caller
//! and no deadline, is named in failures, and its panic is a handler's (S4). What is said to a caller is said to nobody.

use std::{
    any::Any,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    AnyCall, CallHead, Delivery, Failure, FailureKind, WireReply,
    phase::{Ended, Far, Phase, Stage},
};
use crate::{
    codec::{CodecError, Decoder},
    service::{Method, Status},
    stream::{Incoming, Outgoing},
    sync::{Mutex, lock},
};

/// A turn of a hook, with what the hook is called with.
pub(crate) struct HookCall<T> {
    head: CallHead,
    phase: Mutex<Phase>,
    pub(crate) content: T,
}

/// Who is to be told that a turn will not be; told by dropping this.
#[must_use = "to be dropped once no lock is held"]
pub(crate) struct Withdrawn(Option<Ended>);

impl Drop for Withdrawn {
    fn drop(&mut self) {
        if let Some(ended) = self.0.take() {
            ended.notify();
        }
    }
}

impl<T> HookCall<T> {
    pub(crate) fn new(method: &'static Method, actor: Arc<str>, made: Instant, content: T) -> Self {
        debug_assert!(method.oneway, "it has no caller");
        let head = CallHead { made: Some(made), ..CallHead::new(method, actor) };
        Self { head, phase: Mutex::default(), content }
    }

    /// Its turn begins; false if it was withdrawn.
    pub(crate) fn claim(&self) -> bool {
        lock(&self.phase).claim()
    }

    /// Its turn does not begin any more; `None` if it has begun, or is over.
    pub(crate) fn withdraw(&self) -> Option<Withdrawn> {
        let mut phase = lock(&self.phase);
        if phase.stage() == Stage::Waiting { phase.end().map(|ended| Withdrawn(Some(ended))) } else { None }
    }

    /// Its turn has ended.
    pub(crate) fn finish(&self) {
        let ended = lock(&self.phase).end();
        if let Some(ended) = ended {
            ended.notify();
        }
    }
}

impl<T: Send + Sync + 'static> AnyCall for HookCall<T> {
    fn head(&self) -> &CallHead {
        &self.head
    }

    fn head_mut(&mut self) -> &mut CallHead {
        &mut self.head
    }

    fn stage(&self) -> Stage {
        lock(&self.phase).stage()
    }

    fn fail(&self, _: &mut dyn FnMut(Stage) -> Failure) {
        self.finish();
    }

    /// It has no caller whose time could be over.
    fn expire(&self, _: &mut dyn FnMut(Stage) -> Failure) {}

    fn accepted(&self) {}

    fn abandon(&self) {}

    fn ended(&self) -> Option<bool> {
        None
    }

    fn park_first(&mut self, _: &Waker) {}

    fn poll_over(&self, _: &mut Context<'_>) -> Poll<bool> {
        Poll::Ready(false)
    }

    fn peek(&self) -> Result<Status, Failure> {
        Err(Failure::new(FailureKind::Internal, Delivery::Unknown, "a hook has no caller"))
    }

    fn overrule(&self, _: Failure) {}

    fn locate(&self, _: &str) {}

    #[cfg(debug_assertions)]
    fn check_encoding(&self) {}

    fn poll_closed(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn park_turn(&self, waker: &Waker) -> bool {
        let mut replaced = None;
        lock(&self.phase).park_turn(waker, &mut replaced)
    }

    fn watch(&self, key: &mut Option<usize>, waker: &Waker) -> bool {
        let mut waker = Some(waker.clone());
        lock(&self.phase).watch(key, &mut waker)
    }

    fn unwatch(&self, key: usize) {
        let watcher = lock(&self.phase).unwatch(key);
        drop(watcher);
    }

    fn publish(&self, _: Result<Status, Failure>) {}

    fn claim_encoded(&self) -> Option<Result<Decoder, CodecError>> {
        None
    }

    fn accept_encoded(&self, _: Status, _: Bytes, _: bool) {}

    fn accept_stream(&self, _: Outgoing, _: bool) {}

    fn receive_stream(&self, _: Incoming) {}

    fn leave(&self, _: usize) -> Result<(Bytes, Option<Outgoing>), CodecError> {
        Ok((Bytes::new(), None))
    }

    fn sent(&self, _: Far) -> bool {
        false
    }

    fn receive(&self, _: WireReply) {}

    fn as_any(&self) -> &dyn Any {
        self
    }
}
