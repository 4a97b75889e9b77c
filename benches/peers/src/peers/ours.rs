//! The actor as users of this project write it, called directly.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

use actor_runtime::{ActorHandle, Node, StopReason, prelude::*};

use super::{CAPACITY, Peer};
use crate::arguments::Threads;

pub(crate) struct Ours {
    node: Node,
}

/// Adds to a number.
#[actor_service]
pub(crate) trait Sum {
    /// Alone on the actor; gives the sum.
    async fn add(&mut self, by: u64) -> u64;
    /// Adds one.
    #[oneway]
    async fn note(&mut self);
}

#[derive(Default)]
struct Counter {
    sum: u64,
}

#[actor_service]
impl Sum for Counter {
    async fn add(&mut self, by: u64) -> u64 {
        self.sum += by;
        self.sum
    }

    async fn note(&mut self) {
        self.sum += 1;
    }
}

impl Peer for Ours {
    type Handle = SumClient;
    type Actor = ActorHandle;

    async fn start(_: Threads) -> Self {
        Self { node: Node::builder().build().expect("this runs in a runtime") }
    }

    async fn spawn(&self) -> ActorHandle {
        self.node.unnamed_actor(Counter::default()).mailbox(CAPACITY).start().expect("the node runs")
    }

    fn handle(&self, actor: &ActorHandle) -> SumClient {
        actor.client()
    }

    async fn ask(client: &SumClient, by: u64) -> u64 {
        client.add(by).await.expect("the actor answers")
    }

    async fn tell(client: &SumClient) {
        client.note().await.expect("the actor runs");
    }

    async fn fan_out(clients: &[SumClient]) -> u64 {
        let mut sum = 0;
        let mut calls = Vec::with_capacity(clients.len());
        for client in clients {
            let mut call = client.add(1);
            // A call is sent at its first poll.
            match poll_fn(|cx| Poll::Ready(Pin::new(&mut call).poll(cx))).await {
                Poll::Ready(answer) => sum += answer.expect("the actor answers"),
                Poll::Pending => calls.push(call),
            }
        }
        for call in calls {
            sum += call.await.expect("the actor answers");
        }
        sum
    }

    async fn stop(&self, client: SumClient, actor: ActorHandle) {
        drop(client);
        assert_eq!(actor.stop_now().await, StopReason::Stopped);
    }
}
