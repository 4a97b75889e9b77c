use std::time::Duration;

use super::Call;
use crate::{
    call::{Delivery, Failure, FailureKind},
    node::park,
};

/// How long a call that waits on a thread leaves it to the node to end it in time. The node knows more of it.
const PATIENCE: Duration = Duration::from_millis(250);

impl<O> Call<O> {
    /// Blocks this thread until the call has ended: for code that is not async. The work is done by the tokio runtime of
    /// the client's node, for which a program that is not async has a [`BlockingNode`](crate::BlockingNode).
    ///
    /// Everything else is as when the call is awaited: it takes its place now (S2), waits for a full mailbox, and ends
    /// by its deadline; without one ([`no_timeout`](Self::no_timeout)), it waits as long as the node keeps the call. It
    /// ends with [`DeadlineExceeded`](FailureKind::DeadlineExceeded) a quarter of a second after its deadline also if
    /// nobody runs the node's runtime.
    ///
    /// # Panics
    /// On a thread that drives async code, such as in an `async fn` or a handler: there it would block everything else
    /// that the thread has to do, and often what it waits for. Write `.await` there. It may be called in
    /// `tokio::task::spawn_blocking`, and in `tokio::task::block_in_place`.
    #[track_caller]
    pub fn wait(mut self) -> O {
        park::refuse_in_async("Call::wait");
        let limit = |call: &Self| call.deadline().and_then(|deadline| deadline.checked_add(PATIENCE));
        if let Some(end) = park::wait(&mut self, limit) {
            return end;
        }
        let detail = "its deadline has passed, and the client's node has not ended it: does its tokio runtime run? A \
                      current-thread runtime runs inside of `block_on` only; `Node::builder().build_blocking()` makes a \
                      node with a runtime of its own";
        self.cut_off(Failure::new(FailureKind::DeadlineExceeded, Delivery::Unknown, detail))
    }
}
