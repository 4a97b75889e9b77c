//! A handler inside the server layers of its node and its actor.
//!
//! All of this is boxed: an actor without layers has no place for it in its turns.

use std::{
    any::Any,
    panic::resume_unwind,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

use super::ActorCell;
#[cfg(feature = "testing")]
use crate::testing::faults::HandlerPanic;
use crate::{
    call::{AnyCall, Delivery, Failure, FailureKind, Stage},
    layer::{self, Begun, Inner, LayerCall, Next, Side},
    names::BoxFuture,
    panics::text_of,
    service::{Access, Turn, TurnEnd},
};

/// Shows the turn's call to the layers; `None` if it goes on as if there were none.
#[inline]
pub(super) fn begin(cell: &ActorCell, turn: &mut Turn) -> Option<Begun> {
    if cell.layers.are_off(Side::Server) { None } else { shown(cell, turn) }
}

#[inline(never)]
fn shown(cell: &ActorCell, turn: &mut Turn) -> Option<Begun> {
    // The mailbox may not have come to say so, and a layer that refuses it leaves nobody else who would.
    if turn.call.head().method.oneway {
        turn.call.accepted();
    }
    let begun = cell.layers.incoming(&*turn.call, &cell.identity.node);
    turn.publish = begun.is_none();
    begun
}

/// Runs the handler inside the layers that stand around it.
pub(super) fn layered<'a>(
    cell: &'a ActorCell,
    call: &'a Arc<dyn AnyCall>,
    begun: Begun,
    handler: BoxFuture<'a, TurnEnd>,
) -> BoxFuture<'a, TurnEnd> {
    Box::pin(run(cell, &**call, begun, handler))
}

async fn run(cell: &ActorCell, call: &dyn AnyCall, begun: Begun, handler: BoxFuture<'_, TurnEnd>) -> TurnEnd {
    let Begun { around, refused } = begun;
    let watched = Watched::default();
    let inner = pin!(async {
        if let Some(failure) = refused {
            return Err(failure);
        }
        // A call that was over before its turn has nobody who would read this.
        watched
            .run(handler)
            .await
            .unwrap_or_else(|| Err(Failure::new(FailureKind::Cancelled, Delivery::NotDelivered, "too late")))
    });
    let seen = LayerCall::new(call, &cell.identity.node, Side::Server);
    let end = layer::caught(Next::new(&cell.layers, around, seen, Inner::new(inner, None)).run()).await;
    if let Some(panic) = watched.panic() {
        // The layers have seen it; now the actor ends by it.
        resume_unwind(panic);
    }
    match end {
        Ok(end) => Some(end),
        #[cfg(feature = "testing")]
        Err(panic) if panic.is::<HandlerPanic>() => resume_unwind(Box::new(HandlerPanic::TEXT)),
        Err(panic) if call.head().method.access == Access::Exclusive && watched.is(BROKEN_OFF) => {
            resume_unwind(panic)
        }
        Err(panic) => {
            let delivery = match call.stage() {
                _ if watched.is(ENDED) => Delivery::Executed,
                Stage::Waiting => Delivery::NotDelivered,
                Stage::Running | Stage::Over => Delivery::Unknown,
            };
            Some(Err(layer::panicked("server", &*panic, delivery)))
        }
    }
}

/// What became of a handler inside layers.
#[derive(Default)]
struct Watched {
    state: AtomicU8,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// It has begun and not ended; 0 before.
const BROKEN_OFF: u8 = 1;
const ENDED: u8 = 2;

impl Watched {
    /// Runs the handler. Layers see its panic as a failure.
    async fn run(&self, handler: BoxFuture<'_, TurnEnd>) -> TurnEnd {
        // Until it ends: it is broken off where it is dropped.
        self.set(BROKEN_OFF);
        let end = layer::caught(handler).await;
        self.set(ENDED);
        end.unwrap_or_else(|panic| {
            let detail = format!("the handler panicked: {}; its actor stops", text_of(&*panic));
            *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
            Some(Err(Failure::new(FailureKind::Panicked, Delivery::Unknown, detail)))
        })
    }

    fn panic(&self) -> Option<Box<dyn Any + Send>> {
        self.panic.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn is(&self, state: u8) -> bool {
        self.state.load(Ordering::Relaxed) == state
    }

    fn set(&self, state: u8) {
        self.state.store(state, Ordering::Relaxed);
    }
}
