//! Answers that come later than the turn that was asked for them (S1).
//!
//! ```text
//!   turn:   handler(…, reply) ──► ends; the actor goes on with its next turn
//!                      │
//!                      └──► kept in the actor's state, a task, another actor's call ──┬──► send, fail: the call ends
//!                                                                                     └──► dropped: the call fails
//!   call:   running ─────────────────────────────────────────────────────────────────────► over
//! ```
//!
//! | | |
//! |---|---|
//! | here | [`ReplyTo`]: the right to answer one call |
//! | `pending` | the calls of an actor that are answered later: their deadlines, and their end with the actor |
//! | `forward` | a call that another actor answers |
//!
//! A call that is answered later is in its actor's `Pending` from the beginning of its turn until its `ReplyTo` is gone,
//! so that somebody sees to its deadline, and ends it with the actor, when it has no turn any more.

mod forward;
mod pending;

use std::{fmt, future::poll_fn, sync::Arc, thread, time::Duration};

pub use forward::Answer;
pub(crate) use pending::Pending;

use crate::{
    call::{AnyCall, Delivery, Failure, FailureKind, Stage, StopReason, accept_response},
    context::{self, Identity},
    service::Service,
};

/// The right to answer a call later: from another turn of the actor, from a task, or by another actor.
///
/// A method takes it as its last argument, and has no return type then. Its client's method has no such argument and
/// gives what it would give if the method returned `T`; for a `ReplyTo<Result<T, E>>` that is `Result<T, CallError<E>>`.
///
/// ```
/// use actor_runtime::{ReplyTo, prelude::*};
///
/// /// Work is taken in the order in which it was asked for.
/// #[actor_service]
/// trait Queue {
///     async fn put(&mut self, work: String);
///     /// Waits until there is some; the actor does not.
///     async fn take(&mut self, reply: ReplyTo<String>);
/// }
///
/// #[derive(Default)]
/// struct Desk {
///     work: Vec<String>,
///     waiting: Vec<ReplyTo<String>>,
/// }
///
/// #[actor_service]
/// impl Queue for Desk {
///     async fn put(&mut self, mut work: String) {
///         while !self.waiting.is_empty() {
///             // Who has left gives the work back.
///             match self.waiting.remove(0).send(work) {
///                 Ok(()) => return,
///                 Err(back) => work = back,
///             }
///         }
///         self.work.push(work);
///     }
///
///     async fn take(&mut self, reply: ReplyTo<String>) {
///         if self.work.is_empty() {
///             self.waiting.push(reply);
///         } else if let Err(work) = reply.send(self.work.remove(0)) {
///             self.work.insert(0, work);
///         }
///     }
/// }
///
/// # #[actor_runtime::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = ActorServer::bind("loopback:0").await?;
/// server.register("queue", Desk::default())?;
/// let queue = QueueClient::new(&FixedResolver::new([("queue", server.address())]), "queue");
/// let (taken, put) = futures::join!(queue.take(), queue.put("sweep".to_owned()));
/// put?;
/// assert_eq!(taken?, "sweep");
/// # Ok(())
/// # }
/// ```
///
/// The call keeps its deadline, and it ends when its caller leaves, when the actor is killed, or when the actor's
/// handler panics in the turn that took it. An actor that is stopped, or whose server is shut down, first runs what is
/// queued. Then it is dropped, and what it held of these with it: their calls fail with
/// [`Stopped`](FailureKind::Stopped). Those that tasks hold can be answered until the grace of the shutdown is over.
///
/// Dropped without an answer, it fails the call with [`Cancelled`](FailureKind::Cancelled), or with
/// [`Panicked`](FailureKind::Panicked) if the task that held it panicked.
///
/// Layers of the server's side see the end of the turn, and not the answer.
#[must_use = "dropping a `ReplyTo` fails the call"]
pub struct ReplyTo<T> {
    held: Option<Held>,
    answer: AnswerFn<T>,
}

/// Ends the call with the response that the value is of its service.
type AnswerFn<T> = fn(&dyn AnyCall, T, usize);

/// A call that is to be answered.
struct Held {
    call: Arc<dyn AnyCall>,
    identity: Arc<Identity>,
    /// Its place among the actor's pending calls.
    place: Option<usize>,
}

impl<T> ReplyTo<T> {
    /// Answers. What comes too late is given back: the caller has left, or the call has failed.
    ///
    /// An `Ok` says that somebody waited for the answer a moment ago, not that it has arrived. An answer that cannot be
    /// encoded fails the call with [`Malformed`](FailureKind::Malformed) or [`TooLarge`](FailureKind::TooLarge), as one
    /// that a method returns does.
    ///
    /// # Errors
    /// The value, if nobody waits for it any more.
    pub fn send(self, value: T) -> Result<(), T> {
        let Some(held) = self.held.as_ref().filter(|held| !held.is_over()) else { return Err(value) };
        (self.answer)(&*held.call, value, held.identity.node.config().max_message_bytes);
        Ok(())
    }

    /// Fails the call, such as with the failure of another call that the answer needed. The caller is told that the
    /// handler may have run: a failure that was [`NotDelivered`](Delivery::NotDelivered) there is
    /// [`Unknown`](Delivery::Unknown) here.
    pub fn fail(self, failure: Failure) {
        if let Some(held) = &self.held {
            let failure = failure.after_delivery();
            held.call.fail(&mut |_| failure.clone());
        }
    }

    /// Whether nobody waits for the answer any more: the caller has left, the deadline has passed, or the actor has
    /// ended.
    pub fn is_closed(&self) -> bool {
        self.held.as_ref().is_none_or(Held::is_over)
    }

    /// Waits until nobody waits for the answer any more.
    ///
    /// # Cancel safety
    /// It can be dropped at any time, and called again.
    pub async fn closed(&mut self) {
        if let Some(held) = &self.held {
            poll_fn(|cx| held.call.poll_closed(cx)).await;
        }
    }

    /// How much time is left for the answer; `None` if the call has no deadline.
    pub fn remaining(&self) -> Option<Duration> {
        let held = self.held.as_ref()?;
        let deadline = held.call.head().turn_deadline()?;
        Some(deadline.saturating_duration_since(held.identity.node.now()))
    }
}

impl Held {
    fn is_over(&self) -> bool {
        self.call.stage() == Stage::Over
    }

    /// Whether this is the turn that was asked for the answer.
    fn is_here(&self) -> bool {
        let same = |call: &Arc<dyn AnyCall>| std::ptr::addr_eq(Arc::as_ptr(call), Arc::as_ptr(&self.call));
        context::with_call(same).unwrap_or(false)
    }

    fn unanswered(&self, closing: Option<&StopReason>, stage: Stage) -> Failure {
        if thread::panicking() {
            let detail = "what held the `ReplyTo` of the call panicked";
            return Failure::new(FailureKind::Panicked, Delivery::Unknown, detail);
        }
        match closing {
            Some(reason) => reason.interruption(stage),
            None => {
                let detail = format!(
                    "the actor dropped the `ReplyTo` of {} without an answer",
                    self.call.head().method
                );
                Failure::new(FailureKind::Cancelled, Delivery::Unknown, detail)
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // A handler that panics takes what it holds with it; its turn tells the caller what it said.
        if !(thread::panicking() && self.is_here()) {
            // Before the call is locked: a sweep asks the calls how far they are while it has the lock of all of them.
            let closing = self.identity.pending.closing();
            self.call.fail(&mut |stage| self.unanswered(closing.as_deref(), stage));
        }
        if let Some(place) = self.place {
            self.identity.pending.remove(place);
        }
    }
}

impl<T> fmt::Debug for ReplyTo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.held.as_ref().map(|held| held.call.head().method.to_string());
        f.debug_struct("ReplyTo")
            .field("method", &method)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// The right to answer the call of the turn that runs this code, for generated code.
pub fn reply_to<T>(answer: AnswerFn<T>) -> ReplyTo<T> {
    let turn = context::with_current(context::ActorContext::turn).flatten();
    let held = turn.map(|(identity, call)| Held { place: pending::add(&identity, &call), call, identity });
    ReplyTo { held, answer }
}

/// Ends a call with a response, for generated code.
pub fn answer<S: Service>(call: &dyn AnyCall, response: S::Response, limit: usize) {
    if let Err(failure) = accept_response::<S>(call, response, limit, true) {
        call.fail(&mut |_| failure.clone());
    }
}
