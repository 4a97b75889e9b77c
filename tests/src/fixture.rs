use actor_runtime::{Actor, ActorServer, FixedResolver, LocalCalls, Node, Registration};

use crate::{ProbeClient, Puppet, Script};

/// A node that listens, and the script of its actors.
pub struct Fixture {
    /// The node.
    pub node: Node,
    /// Its server.
    pub server: ActorServer,
    /// Finds what [`puppet`](Self::puppet) registered.
    pub resolver: FixedResolver,
    /// What its actors do.
    pub script: Script,
    /// The path that calls take.
    pub path: LocalCalls,
}

impl Fixture {
    /// A fixture whose calls take this path.
    pub async fn new(path: LocalCalls) -> Self {
        let node = Node::builder().local_calls(path).build().expect("a runtime runs");
        let server = ActorServer::bind_on(&node, "loopback:0").await.expect("a free number");
        let resolver = FixedResolver::new::<&str, &str>([]);
        Self { node, server, resolver, script: Script::default(), path }
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

/// Runs a test once on the direct path and once on the encoded one. Time is paused.
///
/// # Panics
/// If the test does.
pub fn on_each_path(test: impl AsyncFn(&Fixture)) {
    for path in [LocalCalls::Direct, LocalCalls::Encoded] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let fixture = Fixture::new(path).await;
            fixture.node.scope(test(&fixture)).await;
        });
    }
}
