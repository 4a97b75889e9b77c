//! Calls that another actor answers.

use std::pin::pin;

use futures::future::{Either, select};

use super::ReplyTo;
use crate::{
    call::{CallError, Failure},
    client::Call,
    context::ActorContext,
};

/// The end of a call as an answer of the type `T`: of a call that gives `Result<T, Failure>` for a `ReplyTo<T>`, and of one
/// that gives `Result<T, CallError<E>>` for a `ReplyTo<Result<T, E>>`.
#[diagnostic::on_unimplemented(
    message = "a call that gives `{Self}` does not answer one of `{T}`",
    label = "gives another type",
    note = "a `ReplyTo<T>` is answered by a call of a method that returns `T`; for another type, make the call in a task of \
            `ctx.spawn`, and `send` what becomes of its result"
)]
pub trait Answer<T>: Send + 'static {
    /// The answer, or the failure of the call that was to give it.
    ///
    /// # Errors
    /// The call's failure.
    fn into_answer(self) -> Result<T, Failure>;
}

impl<T: Send + 'static> Answer<T> for Result<T, Failure> {
    fn into_answer(self) -> Self {
        self
    }
}

impl<T: Send + 'static, E: Send + 'static> Answer<Result<T, E>> for Result<T, CallError<E>> {
    fn into_answer(self) -> Result<Result<T, E>, Failure> {
        match self {
            Ok(value) => Ok(Ok(value)),
            Err(CallError::Application(error)) => Ok(Err(error)),
            Err(CallError::Failed(failure)) => Err(failure),
        }
    }
}

impl<T: Send + 'static> ReplyTo<T> {
    /// Has another call answer: its result or its failure is the end of this one.
    ///
    /// The other call is made by a task, so neither the turn nor the actor waits for it. It has no more time than this
    /// one has left, and belongs to this one's chain (S5), without the turn that forwards it. It is cancelled when
    /// this one's caller leaves.
    ///
    /// ```
    /// use actor_runtime::{ReplyTo, prelude::*};
    ///
    /// #[actor_service]
    /// trait Lookup {
    ///     async fn get(&self, key: String, reply: ReplyTo<u64>);
    /// }
    ///
    /// /// Knows who knows.
    /// struct Front {
    ///     shards: Vec<LookupClient>,
    /// }
    ///
    /// #[actor_service]
    /// impl Lookup for Front {
    ///     async fn get(&self, key: String, reply: ReplyTo<u64>) {
    ///         let shard = &self.shards[key.len() % self.shards.len()];
    ///         reply.forward(shard.get(key));
    ///     }
    /// }
    /// ```
    pub fn forward<O: Answer<T>>(self, call: Call<O>) {
        let Some(held) = &self.held else { return };
        let call = call.on_behalf_of(held.call.head());
        let context = ActorContext::of_actor(held.identity.clone());
        let mut reply = self;
        drop(context.spawn(async move {
            let end = match select(call, pin!(reply.closed())).await {
                Either::Left((end, _)) => Some(end.into_answer()),
                Either::Right(((), _)) => None,
            };
            match end {
                // Who left meanwhile needs no answer.
                Some(Ok(value)) => drop(reply.send(value)),
                Some(Err(failure)) => reply.fail(failure),
                None => {}
            }
        }));
    }
}
