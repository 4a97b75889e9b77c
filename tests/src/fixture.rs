use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use actor_runtime::{
    Actor, ActorServer, Authority, FixedResolver, LocalCalls, Node, NodeBuilder, Registration, Trust,
    inspect::{ActorHealth, InspectClient},
    testing::SimNet,
};
use tokio::runtime::{Builder, Runtime};

use crate::{ProbeClient, Puppet, Script};

/// The way that calls take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Within one node; values are moved.
    Direct,
    /// Within one node, encoded as between processes.
    Loopback,
    /// Between two nodes, by QUIC over a simulated network.
    Simulated,
    /// Between two nodes, by QUIC over sockets, each with a network thread. Time is real.
    Quic,
}

impl Path {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Direct, Self::Loopback, Self::Simulated, Self::Quic];

    /// Whether calls are encoded.
    pub fn encodes(self) -> bool {
        self != Self::Direct
    }

    /// Whether caller and callee are on different nodes.
    pub fn crosses_nodes(self) -> bool {
        matches!(self, Self::Simulated | Self::Quic)
    }

    /// Whether time passes only when everybody waits.
    pub fn is_paused(self) -> bool {
        self != Self::Quic
    }
}

/// A node that calls, one that listens, and the script of its actors. Within one node both are the same.
pub struct Fixture {
    /// The node that calls.
    pub node: Node,
    /// The server that is called.
    pub server: ActorServer,
    /// Finds what [`puppet`](Self::puppet) registered.
    pub resolver: FixedResolver,
    /// What its actors do.
    pub script: Script,
    /// The path that calls take.
    pub path: Path,
    world: World,
}

/// Where its nodes live.
enum World {
    Process,
    Simulated(SimNet),
    Sockets,
}

impl Fixture {
    /// A fixture whose calls take this path.
    pub async fn new(path: Path) -> Self {
        Self::with(path, |builder| builder).await
    }

    /// A fixture whose nodes are built with settings of their own.
    pub async fn with(path: Path, configure: impl Fn(NodeBuilder) -> NodeBuilder) -> Self {
        let world = match path {
            Path::Direct | Path::Loopback => World::Process,
            Path::Simulated => World::Simulated(SimNet::new(1)),
            Path::Quic => World::Sockets,
        };
        let serving = built(configure(builder(&world, path, "server")));
        let node = if path.crosses_nodes() {
            built(configure(builder(&world, path, "client")))
        } else {
            serving.clone()
        };
        let server = ActorServer::bind_on(&serving, address(&world)).await.expect("a free address");
        let resolver = FixedResolver::new::<&str, &str>([]);
        Self { node, server, resolver, script: Script::default(), path, world }
    }

    /// Another server, on a node of its own of this name, as far from the caller as the first.
    pub async fn another_server(&self, name: &str) -> ActorServer {
        let node = built(builder(&self.world, self.path, name));
        ActorServer::bind_on(&node, address(&self.world)).await.expect("a free address")
    }

    /// A builder of another node of this name, which can reach the server.
    pub fn another_node(&self, name: &str) -> NodeBuilder {
        builder(&self.world, self.path, name)
    }

    /// Time enough for what is under way to arrive, and for what wakes by it to run.
    pub async fn settle(&self) {
        self.pass(Duration::from_millis(if self.path.is_paused() { 5 } else { 50 })).await;
    }

    /// Lets time pass: jumps over it, or waits.
    pub async fn pass(&self, time: Duration) {
        sleep(time).await;
    }

    /// Checks a time that was measured: exactly within one node; between two, what carries a call takes some itself.
    ///
    /// # Panics
    /// If it is another time.
    #[track_caller]
    pub fn check_time(&self, measured: Duration, expected: Duration) {
        let slack = match self.path {
            Path::Direct | Path::Loopback => Duration::ZERO,
            Path::Simulated => Duration::from_millis(20),
            Path::Quic => Duration::from_millis(500),
        };
        let range = expected..=expected + slack;
        assert!(
            range.contains(&measured),
            "{measured:?} where {expected:?} was expected, over {:?}",
            self.path
        );
    }

    /// Waits until so many calls wait for an actor of the server: in its mailbox, or because that is full.
    ///
    /// # Panics
    /// If it has ended, or is none, or they do not come.
    pub async fn queued(&self, name: &str, calls: u64) {
        for _ in 0..60_000 {
            if self.server.node().actors().actor(name).expect("it runs").queued == calls {
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
        panic!("they are not queued after a minute");
    }

    /// How long a datagram takes from now on, on a path that is simulated. Elsewhere nothing is done.
    pub fn latency(&self, time: Duration) {
        if let World::Simulated(net) = &self.world {
            net.latency(time..=time);
        }
    }

    /// An actor of this name, and a client of it.
    pub fn puppet(&self, name: &str) -> ProbeClient {
        self.configured(name, |registration| registration)
    }

    /// Gives any actor a name that [`resolver`](Self::resolver) finds.
    ///
    /// # Panics
    /// If the name is taken.
    pub fn register(&self, name: &str, actor: impl Actor) {
        self.server.register(name, actor).expect("a free name");
        self.resolver.set(name, [self.server.address()]);
    }

    /// How an actor of the server is: as it is once all has been taken in that was sent before the question.
    ///
    /// # Panics
    /// If it is not registered, or there is no answer.
    pub async fn health(&self, name: &str) -> ActorHealth {
        let resolver = FixedResolver::new([("$inspect", self.server.address())]);
        let health = InspectClient::on(&self.node, &resolver, "$inspect").health().await.expect("it answers");
        health.actor(name).expect("it is registered").clone()
    }

    /// An actor of this name with settings of its own, and a client of it.
    pub fn configured<'a>(
        &'a self,
        name: &str,
        configure: impl FnOnce(Registration<'a, Puppet>) -> Registration<'a, Puppet>,
    ) -> ProbeClient {
        let puppet = Puppet { script: self.script.clone(), resolver: self.resolver.clone(), total: 0 };
        configure(self.server.registration(name, puppet)).register().expect("a free name");
        self.resolver.set(name, [self.server.address()]);
        ProbeClient::on(&self.node, &self.resolver, name)
    }
}

#[expect(clippy::disallowed_methods, reason = "a test lets time pass")]
async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}

fn builder(world: &World, path: Path, name: &str) -> NodeBuilder {
    // Where the nodes are two, the actors of the server reach each other by the same transport.
    let local = if path == Path::Direct { LocalCalls::Direct } else { LocalCalls::Encoded };
    let builder = Node::builder().local_calls(local);
    match world {
        World::Simulated(net) => {
            let host = net.host(name);
            builder.simulated(net, &host).seed(u64::from(u32::from(host.ip())))
        }
        World::Process | World::Sockets => builder.trust(trust(name)),
    }
}

fn built(builder: NodeBuilder) -> Node {
    builder.build().expect("a runtime runs")
}

fn address(world: &World) -> &'static str {
    match world {
        World::Process => "loopback:0",
        // Simulated hosts listen at their own address.
        World::Simulated(_) | World::Sockets => "127.0.0.1:0",
    }
}

/// What a node of this name proves itself with, to the other nodes of these tests and to nobody else.
///
/// # Panics
/// If the system has no randomness.
pub fn trust(name: &str) -> Trust {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    static MADE: Mutex<BTreeMap<String, Trust>> = Mutex::new(BTreeMap::new());
    let authority = AUTHORITY.get_or_init(|| Authority::new("tests").expect("randomness"));
    let made = || {
        let names = [&format!("actor://tests/{name}"), "127.0.0.1"];
        let identity = authority.issue(names).expect("randomness");
        Trust::builder().identity(identity).authority(authority).build().expect("of the authority")
    };
    MADE.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_insert_with(made).clone()
}

/// Runs a test once over each path. Time is paused, except over sockets.
///
/// # Panics
/// If the test does, or does not end.
pub fn on_each_path(test: impl AsyncFn(&Fixture)) {
    for path in Path::ALL {
        on_path(path, &test);
    }
}

/// Runs a test over each path but these; the reason is for its readers.
///
/// # Panics
/// If the test does, or does not end.
pub fn on_each_path_but(without: &[Path], _reason: &str, test: impl AsyncFn(&Fixture)) {
    for path in Path::ALL.into_iter().filter(|path| !without.contains(path)) {
        on_path(path, &test);
    }
}

/// Runs a test over this path.
///
/// # Panics
/// If the test does, or does not end.
pub fn on_path(path: Path, test: impl AsyncFn(&Fixture)) {
    let _told = Told(path);
    runtime(path).block_on(within_bounds(path, async {
        let fixture = Fixture::new(path).await;
        fixture.node.scope(test(&fixture)).await;
    }));
}

/// A runtime for this path.
///
/// # Panics
/// If the system gives none.
pub fn runtime(path: Path) -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().start_paused(path.is_paused()).build();
    runtime.expect("a runtime")
}

#[expect(clippy::disallowed_methods, reason = "a test that hangs is to fail")]
async fn within_bounds(path: Path, test: impl Future<Output = ()>) {
    let limit = Duration::from_secs(if path.is_paused() { 600 } else { 60 });
    assert!(tokio::time::timeout(limit, test).await.is_ok(), "the test did not end within {limit:?}");
}

/// Says over which path a test failed.
struct Told(Path);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("… over the path {:?}", self.0);
        }
    }
}
