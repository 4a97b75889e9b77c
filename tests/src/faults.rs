//! Servers that die or freeze while they are called: how long a call stays pending (S6).

#![allow(clippy::disallowed_methods, reason = "it measures, and belongs to no node")]
#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test's helper may panic as the test may"
)]

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use actor_runtime::{Authority, Failure, Identity, Node};
use futures::{StreamExt, future::join_all, stream};

use crate::{
    PostClient,
    post::{cluster, node},
    process::{Server, identity, resident},
};

/// The bound of S6: idle timeout, keep-alive, and what timers and scheduling may take.
pub const BOUND: Duration = Duration::from_millis(2000 + 750 + 250);

/// Calls that are under way when the server is struck: half of them wait for their reply, half are short ones, made one
/// after the other.
pub const IN_FLIGHT: u64 = 64;

/// What happens to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL.
    Killed,
    /// SIGSTOP, and SIGCONT when all calls have ended.
    Frozen,
}

/// What became of the calls.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// The servers that were struck.
    pub servers: u64,
    /// The calls that were under way then, or made before the caller learned of it.
    pub calls: u64,
    /// The longest that a call stayed pending after its server was struck.
    pub longest: Duration,
    /// How they ended: kind and delivery.
    pub ended: BTreeMap<String, u64>,
    /// The longest until a call was answered again, by a server that went on.
    pub longest_return: Duration,
}

impl Figures {
    fn add(mut self, other: Self) -> Self {
        self.servers += other.servers;
        self.calls += other.calls;
        self.longest = self.longest.max(other.longest);
        self.longest_return = self.longest_return.max(other.longest_return);
        for (end, count) in other.ended {
            *self.ended.entry(end).or_default() += count;
        }
        self
    }
}

/// Strikes so many servers, some of them at the same time.
pub async fn strike(program: &Path, fault: Fault, servers: u64, at_a_time: usize) -> Figures {
    let authority = cluster();
    let identity = identity(&authority);
    stream::iter(0..servers)
        .map(|_| one(program, fault, &authority, &identity))
        .buffer_unordered(at_a_time.max(1))
        .fold(Figures::default(), async |all, one| all.add(one))
        .await
}

async fn one(program: &Path, fault: Fault, authority: &Authority, identity: &Identity) -> Figures {
    let mut server = Server::start(program, authority, identity, "127.0.0.1:0");
    let node = node(authority, "client");
    let client = server.client(&node);
    client.echo(0).await.expect("a server");
    let waiting = (0..IN_FLIGHT / 2).map(|n| node.spawn(until_failed(client.clone(), n, true)));
    let short = (0..IN_FLIGHT / 2).map(|n| node.spawn(until_failed(client.clone(), n, false)));
    let calls: Vec<_> = waiting.chain(short).collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let struck = Instant::now();
    match fault {
        Fault::Killed => server.kill(),
        Fault::Frozen => server.stop(),
    }
    let mut figures = Figures { servers: 1, ..Figures::default() };
    for end in join_all(calls).await {
        let (made, ended, failure) = end.expect("it does not panic");
        figures.calls += 1;
        figures.longest = figures.longest.max(ended - made.max(struck));
        *figures.ended.entry(format!("{}, {}", failure.kind(), failure.delivery())).or_default() += 1;
    }
    if fault == Fault::Frozen {
        server.go_on();
        let back = Instant::now();
        while client.echo(1).timeout(Duration::from_secs(5)).await.is_err() {
            assert!(back.elapsed() < Duration::from_secs(30), "the client did not come back");
        }
        figures.longest_return = back.elapsed();
    }
    figures
}

/// Calls until a call fails: when that one was made, when it ended, and how.
async fn until_failed(client: PostClient, n: u64, wait: bool) -> (Instant, Instant, Failure) {
    loop {
        let made = Instant::now();
        let end =
            if wait { client.hold(n, 600_000).no_timeout().await } else { client.echo(n).no_timeout().await };
        if let Err(failure) = end {
            return (made, Instant::now(), failure);
        }
    }
}

/// What idle connections cost, in bytes each.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// At the client.
    pub client: u64,
    /// At the server.
    pub server: u64,
}

/// Opens so many connections to one server and measures what they cost each side.
pub async fn idle(program: &Path, connections: u32) -> Idle {
    let authority = cluster();
    let identity = identity(&authority);
    let mut server = Server::start(program, &authority, &identity, "0.0.0.0:0");
    let port = server.address().rsplit_once(':').expect("a port").1.to_owned();
    let trust = actor_runtime::Trust::builder()
        .identity(authority.issue(["actor://test/idle"]).expect("a name"))
        .authority(&authority)
        .server_name("localhost")
        .build()
        .expect("all is there");
    let node = Node::builder().trust(trust).build().expect("a runtime runs");
    // Each at another address of this machine, since a node has one connection to an address.
    let open = async |from: u32, to: u32| {
        let addresses = (from..to).map(|n| format!("127.0.{}.{}:{port}", 1 + n / 250, 1 + n % 250));
        stream::iter(addresses)
            .for_each_concurrent(16, async |address| {
                let resolver = actor_runtime::FixedResolver::new([("post", address.as_str())]);
                PostClient::on(&node, &resolver, "post").echo(1).await.expect("a server");
            })
            .await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    let warm = 50;
    open(0, warm).await;
    let before = (resident(std::process::id()), server.resident());
    open(warm, warm + connections).await;
    let after = (resident(std::process::id()), server.resident());
    let each = |before: u64, after: u64| after.saturating_sub(before) / u64::from(connections.max(1));
    Idle { client: each(before.0, after.0), server: each(before.1, after.1) }
}
