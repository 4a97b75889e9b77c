//! The hooks of an actor's life: in its context, with their panics caught, and bounded in time.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::{Actor, ActorCell};
use crate::{
    call::{Polling, StopReason},
    context::{ActorContext, InContext, enter},
    panics::text_of,
};

/// Runs `on_start`. What it gives is why the actor cannot run; `None` if it was killed meanwhile.
pub(super) async fn start<A: Actor>(actor: &mut A, cell: &Arc<ActorCell>) -> Result<(), Option<StopReason>> {
    let limit = cell.identity.node.config().start_timeout;
    cell.polling.turn_to(Polling::START);
    let message = match Hook::new(cell, limit, async { actor.on_start().await }).await {
        HookEnd::Done(Ok(())) => return Ok(()),
        HookEnd::Killed => return Err(None),
        HookEnd::Done(Err(error)) => error.to_string(),
        HookEnd::Panicked(message) => format!("`on_start` panicked: {message}"),
        HookEnd::Late => format!("`on_start` did not end within {limit:?} (`Config::start_timeout`)"),
    };
    tracing::error!(actor = %cell.identity.name, %message, "an actor did not start");
    Err(Some(StopReason::StartFailed { message }))
}

/// Runs `on_stop`. What it gives is what went wrong in it.
pub(super) async fn stop<A: Actor>(
    actor: &mut A,
    cell: &Arc<ActorCell>,
    reason: &StopReason,
) -> Result<(), StopReason> {
    let limit = cell.identity.node.config().stop_timeout;
    cell.polling.turn_to(Polling::STOP);
    let message = match Hook::new(cell, limit, async { actor.on_stop(reason).await }).await {
        HookEnd::Done(()) | HookEnd::Killed => return Ok(()),
        HookEnd::Panicked(message) => format!("`on_stop` panicked: {message}"),
        HookEnd::Late => format!("`on_stop` did not end within {limit:?} (`Config::stop_timeout`)"),
    };
    tracing::error!(actor = %cell.identity.name, %message, "an actor did not stop well");
    Err(StopReason::StopFailed { message })
}

/// Drops the actor. What it gives is what went wrong in that.
pub(crate) fn discard<A>(actor: A, cell: &ActorCell) -> Result<(), StopReason> {
    catch_unwind(AssertUnwindSafe(move || drop(actor))).map_err(|panic| {
        let message = format!("its `Drop` panicked: {}", text_of(&*panic));
        tracing::error!(actor = %cell.identity.name, %message, "an actor did not stop well");
        StopReason::StopFailed { message }
    })
}

pin_project! {
    /// A hook that runs. The clock is looked at when it waits for the first time.
    struct Hook<'a, F> {
        #[pin]
        hook: Option<InContext<F>>,
        cell: &'a ActorCell,
        limit: Duration,
        until: Option<Pin<Box<Sleep>>>,
    }
}

/// How a hook ended.
enum HookEnd<T> {
    Done(T),
    Panicked(String),
    Late,
    /// The actor was killed.
    Killed,
}

impl<'a, F: Future> Hook<'a, F> {
    fn new(cell: &'a ActorCell, limit: Duration, hook: F) -> Self {
        let context = ActorContext::of_actor(cell.identity.clone());
        Self { hook: Some(enter(context, hook)), cell, limit, until: None }
    }
}

impl<F: Future> Future for Hook<'_, F> {
    type Output = HookEnd<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        this.cell.polling.begin();
        let mut polled = catch_unwind(AssertUnwindSafe(|| {
            this.hook.as_mut().as_pin_mut().map_or(Poll::Pending, |hook| hook.poll(cx).map(HookEnd::Done))
        }));
        this.cell.polling.end();
        if matches!(polled, Ok(Poll::Pending)) {
            let node = &this.cell.identity.node;
            let limit = *this.limit;
            let until = this.until.get_or_insert_with(|| Box::pin(node.sleep_until(node.after(limit))));
            if until.as_mut().poll(cx).is_ready() {
                polled = Ok(Poll::Ready(HookEnd::Late));
            } else if !this.cell.mailbox.park_for_kill(cx) {
                polled = Ok(Poll::Ready(HookEnd::Killed));
            } else {
                return Poll::Pending;
            }
        }
        // Here, and not where the hook is dropped: what it holds may panic.
        let dropped = catch_unwind(AssertUnwindSafe(|| this.hook.set(None)));
        let panicked = |panic: &(dyn std::any::Any + Send)| HookEnd::Panicked(text_of(panic));
        match (polled, dropped) {
            (Err(panic), _) | (Ok(Poll::Ready(HookEnd::Done(_))), Err(panic)) => {
                Poll::Ready(panicked(&*panic))
            }
            (Ok(end), _) => end,
        }
    }
}
