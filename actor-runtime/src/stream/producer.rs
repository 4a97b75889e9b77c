//! The stream of a handler or of a caller: code that is not ours.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use futures::Stream;

use crate::{
    Node,
    call::{Delivery, Failure, FailureKind},
    context::{ActorContext, enter_sync, with_current},
    panics::{discard, text_of},
};

/// A stream, with the context that it was made in.
pub(super) struct Producer<T> {
    items: Option<Pin<Box<dyn Stream<Item = T> + Send>>>,
    context: Option<ActorContext>,
}

/// What came of polling it.
pub(super) enum Polled {
    Pending,
    /// As much was taken as was wanted.
    Full,
    /// With a failure if it panicked.
    Ended(Option<Failure>),
}

impl<T> Producer<T> {
    pub(super) fn new(items: impl Stream<Item = T> + Send + 'static) -> Self {
        Self { items: Some(Box::pin(items)), context: with_current(ActorContext::detached) }
    }

    /// The actor that it belongs to.
    pub(super) fn actor(&self) -> Option<&ActorContext> {
        self.context.as_ref()
    }

    pub(super) fn node(&self) -> Option<Node> {
        self.context.as_ref().map(|context| context.node().clone())
    }

    /// Polls it until it is pending or over, or `take` wants no more. What it does, and what `take` does with an item,
    /// is of the user's types: a panic is an end.
    pub(super) fn poll_some(&mut self, cx: &mut Context<'_>, mut take: impl FnMut(T) -> bool) -> Polled {
        let Some(items) = &mut self.items else { return Polled::Ended(None) };
        let mut poll = || loop {
            match items.as_mut().poll_next(cx) {
                Poll::Pending => return Polled::Pending,
                Poll::Ready(None) => return Polled::Ended(None),
                Poll::Ready(Some(item)) => {
                    if !take(item) {
                        return Polled::Full;
                    }
                }
            }
        };
        let polled = catch_unwind(AssertUnwindSafe(|| match &self.context {
            Some(context) => enter_sync(context, poll),
            None => poll(),
        }));
        let polled = polled.unwrap_or_else(|panic| {
            let message = text_of(&*panic);
            let actor = self.context.as_ref().map(ActorContext::actor_name).unwrap_or_default();
            tracing::error!(%actor, %message, "a stream panicked");
            let detail = format!("the stream panicked: {message}");
            Polled::Ended(Some(Failure::new(FailureKind::Panicked, Delivery::Executed, detail)))
        });
        if matches!(polled, Polled::Ended(_)) {
            discard(self.items.take());
        }
        polled
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        if let Some(items) = self.items.take() {
            discard(items);
        }
    }
}
