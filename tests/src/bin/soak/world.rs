//! The nodes, and the ways between them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use actor_runtime::{ActorServer, Config, FixedResolver, LocalCalls, NetworkMode, Node, prelude::*};

use crate::{
    tally::Tally,
    worker::{WorkClient, Worker},
};

/// The name of an actor that is always there, on each server.
pub(crate) const ANCHOR: &str = "anchor";

/// A way that calls take: who calls, and who is called.
pub(crate) struct Way {
    pub(crate) name: &'static str,
    pub(crate) caller: Node,
    pub(crate) server: ActorServer,
}

/// All of them.
pub(crate) struct World {
    pub(crate) ways: Vec<Way>,
    serial: AtomicU64,
}

impl World {
    pub(crate) async fn new() -> Arc<Self> {
        let direct = Node::builder().config(config()).build().expect("a runtime runs");
        let encoded = Node::builder().config(config()).local_calls(LocalCalls::Encoded).build();
        let encoded = encoded.expect("a runtime runs");
        // Its connections are tasks of the program's own runtime, which are counted.
        let far = networked("server", NetworkMode::Shared);
        let near = networked("client", NetworkMode::OwnThread);
        let way = async |name, caller: &Node, callee: &Node, address: &str| {
            let server = ActorServer::bind_on(callee, address).await.expect("a free address");
            server.register(ANCHOR, Worker::default()).expect("a free name");
            Way { name, caller: caller.clone(), server }
        };
        let ways = vec![
            way("direct", &direct, &direct, "loopback:0").await,
            way("loopback", &encoded, &encoded, "loopback:0").await,
            way("quic", &near, &far, "127.0.0.1:0").await,
        ];
        Arc::new(Self { ways, serial: AtomicU64::new(0) })
    }

    /// A name that nothing had.
    pub(crate) fn fresh(&self, what: &str) -> String {
        format!("{what}-{}", self.serial.fetch_add(1, Ordering::Relaxed))
    }

    /// Ends the servers.
    pub(crate) async fn shut_down(&self, tally: &Tally) {
        for way in &self.ways {
            if let Err(error) = way.server.shutdown(Duration::from_secs(10)).await {
                tally.wrong(format!("{}: {error}", way.name));
            }
        }
    }
}

impl Way {
    /// A client of the caller's node, of an actor at the server.
    pub(crate) fn client(&self, name: &str) -> WorkClient {
        WorkClient::on(&self.caller, &FixedResolver::new([(name, self.server.address())]), name)
    }

    /// Whether calls go from node to node.
    pub(crate) fn is_far(&self) -> bool {
        self.caller.id() != self.server.node().id()
    }
}

/// A node that reaches others by QUIC.
pub(crate) fn networked(name: &str, mode: NetworkMode) -> Node {
    let builder = Node::builder().config(config()).trust(tests::trust(name)).network(mode);
    builder.build().expect("a runtime runs")
}

/// A machine that is busy with other things shall lose no connection.
fn config() -> Config {
    Config { idle_timeout: Duration::from_secs(10), keep_alive: Duration::from_secs(2), ..Config::default() }
}
