//! The phase in which shared turns overlap.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{StreamExt, stream::FuturesUnordered};
use pin_project_lite::pin_project;

use super::{
    ActorCell,
    mailbox::{Admit, Question, Started, Step},
    turn::Left,
};
use crate::call::AnyCall;

pin_project! {
    /// Shared turns of one actor, from the first one until none is left.
    ///
    /// A turn runs in a place of the actor's own task, without an allocation, if the place is free; it mostly is, since
    /// most turns end at their first poll. Turns that come while it is taken are allocated.
    pub(super) struct SharedPhase<'a, A, S, H, F> {
        cell: &'a Arc<ActorCell>,
        limit: usize,
        actor: A,
        // Both know nothing of their own, and so take no place in a task at rest.
        start: S,
        answer: H,
        #[pin]
        place: Option<InSlot<F>>,
        // Made when the first turn overlaps another: an empty one costs two allocations.
        others: Option<FuturesUnordered<Beside<'a, F>>>,
        // The slot of the turn in place that ended last, to be given back with the mailbox's next lock.
        finished: Option<usize>,
        panicked: Option<Left>,
    }
}

impl<'a, A, S, H, F> SharedPhase<'a, A, S, H, F>
where
    A: Copy,
    S: Fn(A, &'a Arc<ActorCell>, Arc<dyn AnyCall>) -> F,
    H: Fn(A, Question),
    F: Future<Output = Left>,
{
    /// `start` makes a turn, and `answer` answers a question in between.
    pub(super) fn new(
        cell: &'a Arc<ActorCell>,
        actor: A,
        first: Started,
        limit: usize,
        start: S,
        answer: H,
    ) -> Self {
        let place = Some(InSlot { turn: start(actor, cell, first.call), slot: first.slot });
        Self { cell, limit, actor, start, answer, place, others: None, finished: None, panicked: None }
    }

    /// Which calls may join the running ones. Once a handler has panicked none may, so that the actor comes to its
    /// end; a turn that waits for another turn of this chain must get it all the same.
    fn admit(&self) -> Admit {
        if self.panicked.is_some() || self.running() >= self.limit { Admit::Joins } else { Admit::Shared }
    }

    fn running(&self) -> usize {
        self.others.as_ref().map_or(0, FuturesUnordered::len) + usize::from(self.place.is_some())
    }

    /// Lets the running turns go on, and takes note of those that end.
    fn poll_turns(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        let mut this = self.project();
        let mut ended = |left| {
            if left != Left::Intact {
                this.panicked.get_or_insert(left);
            }
        };
        if let Some(turn) = this.place.as_mut().as_pin_mut() {
            this.cell.polling.turn_to(turn.slot);
            this.cell.polling.begin();
            if let Poll::Ready((slot, left)) = turn.poll(cx) {
                this.place.set(None);
                *this.finished = Some(slot);
                ended(left);
            } else {
                this.cell.polling.end();
            }
        }
        while let Some(others) = this.others.as_mut().filter(|others| !others.is_empty()) {
            let Poll::Ready(Some((slot, left))) = others.poll_next_unpin(cx) else { return };
            this.cell.mailbox.finish(slot);
            ended(left);
        }
    }
}

impl<'a, A, S, H, F> Future for SharedPhase<'a, A, S, H, F>
where
    A: Copy,
    S: Fn(A, &'a Arc<ActorCell>, Arc<dyn AnyCall>) -> F,
    H: Fn(A, Question),
    F: Future<Output = Left>,
{
    /// How the turns left the actor, and a slot that is to be given back.
    type Output = (Left, Option<usize>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        /// How many turns start before the loop lets other tasks of its thread go first.
        const BUDGET: u32 = 64;
        if self.cell.mailbox.is_killed() {
            return Poll::Ready((Left::Intact, None));
        }
        for _ in 0..BUDGET {
            self.as_mut().poll_turns(cx);
            let finished = self.as_mut().project().finished.take();
            if self.running() == 0 {
                let panicked = self.project().panicked.take();
                return Poll::Ready((panicked.unwrap_or(Left::Intact), finished));
            }
            match self.cell.mailbox.poll_next(cx, finished, self.admit()) {
                Poll::Ready(Step::Turn(Started { call, slot })) => {
                    let mut this = self.as_mut().project();
                    let started = InSlot { turn: (this.start)(*this.actor, this.cell, call), slot };
                    if this.place.is_none() {
                        this.place.set(Some(started));
                    } else {
                        let beside = Beside { turn: started, cell: this.cell };
                        this.others.get_or_insert_default().push(beside);
                    }
                }
                Poll::Ready(Step::Asked(question)) => (self.answer)(self.actor, question),
                Poll::Ready(Step::Killed) => return Poll::Ready((Left::Intact, None)),
                Poll::Ready(Step::Blocked | Step::Closed | Step::Retired) | Poll::Pending => {
                    return Poll::Pending;
                }
            }
        }
        self.cell.mailbox.note_progress();
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

pin_project! {
    /// A turn, and what to give back to the mailbox when it has ended.
    pub(super) struct InSlot<F> {
        #[pin]
        turn: F,
        slot: usize,
    }
}

impl<F: Future<Output = Left>> Future for InSlot<F> {
    type Output = (usize, Left);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.turn.poll(cx).map(|left| (*this.slot, left))
    }
}

pin_project! {
    /// A turn that has not found the place free. One of several: each poll says which.
    struct Beside<'a, F> {
        #[pin]
        turn: InSlot<F>,
        cell: &'a ActorCell,
    }
}

impl<F: Future<Output = Left>> Future for Beside<'_, F> {
    type Output = (usize, Left);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.cell.polling.turn_to(this.turn.slot);
        this.cell.polling.begin();
        let polled = this.turn.poll(cx);
        if polled.is_pending() {
            this.cell.polling.end();
        }
        polled
    }
}
