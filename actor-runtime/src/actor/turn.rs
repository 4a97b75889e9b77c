//! One turn: a handler's future in its context, with its panic caught and its caller watched (S4, S7).

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::{
    Actor, ActorCell,
    counts::Mark,
    layered::{begin, layered},
};
use crate::{
    call::{AnyCall, Delivery, Failure, FailureKind, Stage, StopReason},
    context::{ActorContext, InContext, enter, with_call, with_current},
    panics::text_of,
    service::{Access, Services, SharedRef, Status, Turn, TurnEnd},
    timer::DueTurn,
    watch::DownTurn,
};

/// A turn under way, in its context.
pub(super) type RunningTurn<F> = InContext<Guarded<F>>;

pin_project! {
    /// A handler whose panic is caught and whose caller is watched. Its call is the one of the context that it runs in.
    pub(super) struct Guarded<F> {
        #[pin]
        handler: Option<F>,
        // A shared turn ends with its caller's interest; an exclusive one may have half changed the state, unless it
        // says that it may be dropped.
        droppable: bool,
    }
}

/// How a turn left its actor.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// As good as before.
    Intact,
    /// A handler panicked: nobody knows what the state is worth, so the actor stops for this reason.
    Panicked(Box<StopReason>),
}

/// A turn of a `&self` method.
pub(super) fn shared<'a, A: Actor>(
    actor: SharedRef<'a, A>,
    cell: &'a Arc<ActorCell>,
    call: Arc<dyn AnyCall>,
) -> RunningTurn<impl Future<Output = ()> + Send + 'a> {
    let mut turn = turn(cell, &call);
    running(cell, call, async move {
        // Named in both branches: a future that is moved to where it is awaited is stored twice.
        let end = match begin(cell, &mut turn) {
            None => A::Services::shared(actor, &turn).await,
            Some(begun) => {
                layered(cell, &turn.call, begun, Box::pin(A::Services::shared(actor, &turn))).await
            }
        };
        finish(cell, &turn, end);
    })
}

/// A turn of a `&mut self` method, or of a hook.
pub(super) fn exclusive<'a, A: Actor>(
    actor: &'a mut A,
    cell: &'a Arc<ActorCell>,
    call: Arc<dyn AnyCall>,
) -> RunningTurn<impl Future<Output = ()> + Send + 'a> {
    let mut turn = turn(cell, &call);
    running(cell, call, async move {
        if let Some(due) = DueTurn::of(&*turn.call) {
            if let Some(timeout) = due.begin() {
                actor.on_timeout(timeout).await;
            } else {
                cell.mark(Mark::NotBegun);
            }
            return due.finish();
        }
        if let Some(down) = DownTurn::of(&*turn.call) {
            if let Some(seen) = down.begin(cell.watches()) {
                actor.on_down(seen).await;
            } else {
                cell.mark(Mark::NotBegun);
            }
            return down.finish();
        }
        let end = match begin(cell, &mut turn) {
            None => A::Services::exclusive(actor, &turn).await,
            Some(begun) => {
                layered(cell, &turn.call, begun, Box::pin(A::Services::exclusive(actor, &turn))).await
            }
        };
        finish(cell, &turn, end);
    })
}

fn running<F: Future<Output = ()>>(
    cell: &Arc<ActorCell>,
    call: Arc<dyn AnyCall>,
    handler: F,
) -> RunningTurn<F> {
    let method = call.head().method;
    let droppable = method.access == Access::Shared || method.cancel_safe;
    enter(ActorContext::of_turn(cell.identity.clone(), call), Guarded { handler: Some(handler), droppable })
}

fn turn(cell: &ActorCell, call: &Arc<dyn AnyCall>) -> Turn {
    let node = &cell.identity.node;
    Turn { call: call.clone(), limit: node.config().max_message_bytes, publish: true }
}

/// Ends the call with what the turn gave, unless the turn has done so itself.
#[inline]
fn finish(cell: &ActorCell, turn: &Turn, end: TurnEnd) {
    if !(turn.publish && matches!(end, Some(Ok(Status::Replied)))) {
        finish_otherwise(cell, turn, end);
    }
}

/// It did not end as most do: without layers, and with a reply.
#[inline(never)]
fn finish_otherwise(cell: &ActorCell, turn: &Turn, end: TurnEnd) {
    if !matches!(end, Some(Ok(Status::Replied))) {
        mark(cell, &end);
    }
    match end {
        None => {}
        // Also where a layer has seen the end of the turn: the answer is the `ReplyTo`'s.
        Some(Ok(_)) if turn.publish || is_answered_later(turn) => {}
        Some(end) => {
            // Else a oneway call that was not run would end as one that was.
            if end.is_err() || turn.call.stage() != Stage::Waiting {
                turn.call.publish(end);
            }
            // A layer that says the call ended, without having run it, has nothing to show for it.
            turn.call.fail(&mut |stage| {
                let delivery =
                    if stage == Stage::Waiting { Delivery::NotDelivered } else { Delivery::Unknown };
                let detail = "a server layer ended the call without a reply; return a `Failure` instead";
                Failure::new(FailureKind::Internal, delivery, detail)
            });
        }
    }
}

#[cold]
fn mark(cell: &ActorCell, end: &TurnEnd) {
    cell.mark(match end {
        Some(Ok(_)) => Mark::Error,
        // So layers see a call that was over before its handler began.
        Some(Err(failure)) if failure.kind() == FailureKind::Cancelled => Mark::NotBegun,
        Some(Err(_)) => Mark::Failed,
        None => Mark::NotBegun,
    });
}

/// Whether a handler has, or had, the `ReplyTo` of the call; it has none if no layer has run it.
fn is_answered_later(turn: &Turn) -> bool {
    turn.call.head().method.later && turn.call.stage() != Stage::Waiting
}

impl<F: Future<Output = ()>> Future for Guarded<F> {
    type Output = Left;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Left> {
        let mut this = self.project();
        // The handler is not used again after a panic, and what it borrowed is given up by the loop.
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let polled = match this.handler.as_mut().as_pin_mut() {
                Some(handler) => handler.poll(cx),
                None => Poll::Ready(()),
            };
            if polled.is_pending() && !(*this.droppable && is_over(cx)) {
                return Poll::Pending;
            }
            // Here, and not where the turn is dropped: what the handler holds may panic.
            this.handler.set(None);
            if polled.is_pending() {
                cancelled();
            }
            Poll::Ready(())
        }));
        match polled {
            Ok(Poll::Ready(())) => Poll::Ready(Left::Intact),
            Ok(Poll::Pending) => Poll::Pending,
            Err(panic) => {
                let message = text_of(&*panic);
                let method = with_current(ActorContext::turn).flatten().map(|(actor, call)| {
                    let method = call.head().method.to_string();
                    // Before the caller learns of it, who may look.
                    if let Some(cell) = actor.cell.upgrade() {
                        cell.note_failed(&*call, &message);
                    }
                    tracing::error!(%method, actor = %call.head().name, %message, "a handler panicked");
                    let detail = format!("the handler panicked: {message}; its actor stops");
                    call.fail(&mut |_| {
                        Failure::new(FailureKind::Panicked, Delivery::Unknown, detail.clone())
                    });
                    method
                });
                let method = method.unwrap_or_default();
                Poll::Ready(Left::Panicked(Box::new(StopReason::Panicked { method, message })))
            }
        }
    }
}

/// The turn that runs this code was dropped before its end.
#[cold]
fn cancelled() {
    if let Some(cell) = with_current(|context| context.identity().cell.upgrade()).flatten() {
        cell.mark(Mark::Cancelled);
    }
}

/// Whether the call of this turn has ended without it; if not, the turn is woken when it does.
fn is_over(cx: &Context<'_>) -> bool {
    with_call(|call| !call.park_turn(cx.waker())).unwrap_or(false)
}
