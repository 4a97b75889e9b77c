//! The phase in which shared turns overlap.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use futures::{StreamExt, stream::FuturesUnordered};
use pin_project_lite::pin_project;

use super::{
    ActorCell,
    mailbox::{Admit, Started, Step},
    turn::Left,
};
use crate::call::AnyCall;

/// Shared turns of one actor, from the first one until none is left.
///
/// A turn runs in a place of the actor's own task, without an allocation, if the place is free; it mostly is, since
/// most turns end at their first poll. Turns that come while it is taken are allocated.
pub(super) struct SharedPhase<'a, S, F> {
    cell: &'a ActorCell,
    limit: usize,
    start: S,
    /// Made when the first turn overlaps another: an empty one costs two allocations.
    others: Option<FuturesUnordered<InSlot<F>>>,
    /// The slot of the turn in place.
    in_place: Option<usize>,
    panicked: Option<Left>,
}

impl<'a, S, F> SharedPhase<'a, S, F>
where
    S: Fn(Arc<dyn AnyCall>) -> F,
    F: Future<Output = Left>,
{
    pub(super) async fn run(cell: &'a ActorCell, first: Started, limit: usize, start: S) -> Left {
        let mut place = pin!(Some(start(first.call)));
        let mut phase = Self { cell, limit, start, others: None, in_place: Some(first.slot), panicked: None };
        poll_fn(|cx| phase.poll(place.as_mut(), cx)).await
    }

    fn poll(&mut self, mut place: Pin<&mut Option<F>>, cx: &mut Context<'_>) -> Poll<Left> {
        /// How many turns start before the loop lets other tasks of its thread go first.
        const BUDGET: u32 = 64;
        if self.cell.mailbox.is_killed() {
            return Poll::Ready(Left::Intact);
        }
        for _ in 0..BUDGET {
            self.poll_place(place.as_mut(), cx);
            self.poll_others(cx);
            match self.cell.mailbox.poll_next(cx, None, self.admit()) {
                Poll::Ready(Step::Turn(started)) if place.is_none() => {
                    place.set(Some((self.start)(started.call)));
                    self.in_place = Some(started.slot);
                }
                Poll::Ready(Step::Turn(started)) => {
                    let turn = (self.start)(started.call);
                    self.others.get_or_insert_default().push(InSlot { turn, slot: started.slot });
                }
                Poll::Ready(Step::Killed) => return Poll::Ready(Left::Intact),
                _ if self.running() == 0 => return Poll::Ready(self.panicked.take().unwrap_or(Left::Intact)),
                Poll::Ready(Step::Blocked | Step::Closed) | Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Which calls may join the running ones. Once a handler has panicked none may, so that the actor comes to its
    /// end; a turn that waits for another turn of this chain must get it all the same.
    fn admit(&self) -> Admit {
        if self.panicked.is_some() || self.running() >= self.limit { Admit::Joins } else { Admit::Shared }
    }

    fn running(&self) -> usize {
        self.others.as_ref().map_or(0, FuturesUnordered::len) + usize::from(self.in_place.is_some())
    }

    fn poll_place(&mut self, mut place: Pin<&mut Option<F>>, cx: &mut Context<'_>) {
        let Some(turn) = place.as_mut().as_pin_mut() else { return };
        if let Poll::Ready(left) = turn.poll(cx) {
            place.set(None);
            if let Some(slot) = self.in_place.take() {
                self.ended(slot, left);
            }
        }
    }

    fn poll_others(&mut self, cx: &mut Context<'_>) {
        while let Some(others) = self.others.as_mut().filter(|others| !others.is_empty()) {
            let Poll::Ready(Some((slot, left))) = others.poll_next_unpin(cx) else { return };
            self.ended(slot, left);
        }
    }

    fn ended(&mut self, slot: usize, left: Left) {
        self.cell.mailbox.finish(slot);
        if left != Left::Intact {
            self.panicked.get_or_insert(left);
        }
    }
}

pin_project! {
    /// A turn that had to be allocated.
    struct InSlot<F> {
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
