//! A server between processes: an actor with a few plain methods, nodes of a test cluster, and a client that watches
//! how well it is served.

#![allow(clippy::disallowed_methods, reason = "what blocks and what is measured here belongs to no node")]
#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test's helper may panic as the test may"
)]

use std::time::{Duration, Instant};

use actor_runtime::{Authority, FixedResolver, Node, Task, Trust, prelude::*};
use tokio::sync::oneshot;

/// What a post office does.
#[actor_service]
pub trait Post {
    /// Gives it back.
    async fn echo(&self, n: u64) -> u64;
    /// Gives it back after so many milliseconds.
    async fn hold(&self, n: u64, millis: u64) -> u64;
    /// Waits alone for so many milliseconds.
    async fn hold_alone(&mut self, millis: u64);
    /// Adds to the actor's state.
    async fn add(&mut self, n: u64) -> u64;
    /// Blocks its thread for so many milliseconds.
    async fn block(&self, millis: u64);
    /// How many bytes came.
    async fn take(&self, bytes: Vec<u8>) -> u64;
    /// So many bytes.
    async fn give(&self, bytes: u64) -> Vec<u8>;
    /// Who the caller has proved to be.
    async fn caller(&self) -> Option<String>;
    /// The number of the server's process.
    async fn process(&self) -> u32;
}

/// A post office.
#[derive(Debug, Default)]
pub struct Window(pub u64);

#[actor_service]
impl Post for Window {
    async fn echo(&self, n: u64) -> u64 {
        n
    }

    async fn hold(&self, n: u64, millis: u64) -> u64 {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        n
    }

    async fn hold_alone(&mut self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    async fn add(&mut self, n: u64) -> u64 {
        self.0 += n;
        self.0
    }

    async fn block(&self, millis: u64) {
        std::thread::sleep(Duration::from_millis(millis));
    }

    async fn take(&self, bytes: Vec<u8>) -> u64 {
        bytes.len() as u64
    }

    async fn give(&self, bytes: u64) -> Vec<u8> {
        vec![7; usize::try_from(bytes).unwrap_or_default()]
    }

    async fn caller(&self) -> Option<String> {
        let caller = current_ctx().ok()?.caller()?;
        caller.identity.map(|peer| peer.identity().to_owned())
    }

    async fn process(&self) -> u32 {
        std::process::id()
    }
}

/// An authority for one test.
#[must_use]
pub fn cluster() -> Authority {
    Authority::new("test").expect("a name")
}

/// The trust of a node of this cluster.
#[must_use]
pub fn member(authority: &Authority, name: &str) -> Trust {
    let uri = format!("actor://test/{name}");
    let identity = authority.issue([uri.as_str(), "127.0.0.1", "localhost"]).expect("names");
    Trust::builder().identity(identity).authority(authority).build().expect("all is there")
}

/// A node of this cluster.
#[must_use]
pub fn node(authority: &Authority, name: &str) -> Node {
    Node::builder().trust(member(authority, name)).build().expect("a runtime runs")
}

/// A well-behaved client that calls all the time.
pub struct Witness {
    stop: oneshot::Sender<()>,
    watching: Task<Served>,
}

/// How a witness was served.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// How many calls ended well.
    pub calls: u64,
    /// How the others ended.
    pub failures: Vec<String>,
    /// The longest that one took.
    pub longest: Duration,
}

impl Witness {
    /// Begins to call the actor `post` at this address, once it has answered.
    pub async fn start(authority: &Authority, address: &str) -> Self {
        let node = node(authority, "witness");
        let client = PostClient::on(&node, &FixedResolver::new([("post", address)]), "post");
        client.echo(0).await.expect("a server");
        let (stop, mut stopped) = oneshot::channel();
        let watching = node.clone().spawn(async move {
            let mut served = Served::default();
            while stopped.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
                let begun = Instant::now();
                match client.echo(served.calls).await {
                    Ok(n) if n == served.calls => served.calls += 1,
                    Ok(n) => served.failures.push(format!("{n} for {}", served.calls)),
                    Err(failure) => served.failures.push(failure.to_string()),
                }
                served.longest = served.longest.max(begun.elapsed());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            drop(node);
            served
        });
        Self { stop, watching }
    }

    /// Asserts that every call ended well and none took longer than this; gives how it was served.
    pub async fn served(self, longest: Duration) -> Served {
        let _ = self.stop.send(());
        let served = self.watching.await.expect("it does not panic");
        assert_eq!(served.failures, [""; 0]);
        assert!(served.calls > 0, "{served:?}");
        assert!(served.longest < longest, "{served:?}");
        served
    }
}
