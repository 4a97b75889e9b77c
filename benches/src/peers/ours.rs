//! The actor as users of the runtime write it.

use std::{
    future::Future,
    sync::atomic::{AtomicU64, Ordering},
};

use actor_runtime::{LocalCalls, Node, prelude::*};

use super::Peer;

/// Adds to a number.
#[actor_service]
pub(crate) trait Sum {
    /// Alone on the actor.
    async fn add(&mut self, by: u64) -> u64;
    /// Beside others of its kind.
    async fn add_shared(&self, by: u64) -> u64;
}

#[derive(Default)]
struct Counter {
    sum: AtomicU64,
}

#[actor_service]
impl Sum for Counter {
    async fn add(&mut self, by: u64) -> u64 {
        let sum = self.sum.get_mut();
        *sum += by;
        *sum
    }

    async fn add_shared(&self, by: u64) -> u64 {
        self.sum.fetch_add(by, Ordering::Relaxed) + by
    }
}

/// This runtime: calls direct or encoded, turns exclusive or shared.
pub(crate) struct Ours<const ENCODED: bool, const SHARED: bool> {
    node: Node,
    server: ActorServer,
}

impl<const ENCODED: bool, const SHARED: bool> Peer for Ours<ENCODED, SHARED> {
    type Handle = SumClient;
    type Actor = ();

    async fn start() -> Self {
        let local_calls = if ENCODED { LocalCalls::Encoded } else { LocalCalls::Direct };
        let node = Node::builder().local_calls(local_calls).build().expect("this runs in a runtime");
        let server = ActorServer::bind_on(&node, "loopback:0").await.expect("a free number");
        Self { node, server }
    }

    fn spawn(&self, name: &str) {
        self.server.register(name, Counter::default()).expect("a new name");
    }

    fn handle(&self, name: &str, (): &()) -> SumClient {
        SumClient::on(&self.node, &self.server.resolver(), name)
    }

    fn ask(client: &SumClient, by: u64) -> impl Future<Output = u64> + Send {
        let call = if SHARED { client.add_shared(by) } else { client.add(by) };
        async { call.await.expect("the actor answers") }
    }
}
