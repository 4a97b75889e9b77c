use std::sync::{Arc, Once, OnceLock};

use tokio::runtime::Handle;

use super::{Config, Inner, Node, clock, current, deadlines::Deadlines, task};
use crate::{
    actor::Roster,
    actor_id::{Instance, NodeId},
    layer::{Layer, Layers},
    names::{DialPolicy, Directory, Namespace, Resolver},
    service::MethodTables,
    supervise::Posts,
    sync::{AtomicU64, Mutex},
    transport::{
        Links,
        quic::{Network, NetworkMode},
    },
    trust::Trust,
};

/// How a node's clients reach the actors of the same node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LocalCalls {
    /// Values are moved, not encoded. Builds with debug assertions encode and decode a sample of the calls and panic
    /// if that does not work, or changes what the value encodes to.
    #[default]
    Direct,
    /// Every call is encoded, as between processes. Slower, and shows early what would fail later.
    Encoded,
}

/// Makes a [`Node`].
#[derive(Default)]
#[must_use]
pub struct NodeBuilder {
    config: Option<Config>,
    namespace: Option<Namespace>,
    seed: Option<u64>,
    resolver: Option<Arc<dyn Resolver>>,
    local_calls: LocalCalls,
    trust: Option<Trust>,
    network: NetworkMode,
    dial_policy: DialPolicy,
    #[cfg(feature = "testing")]
    simulated: Option<(crate::testing::SimNet, crate::testing::SimHost)>,
    client_layers: Vec<Arc<dyn Layer>>,
    server_layers: Vec<Arc<dyn Layer>>,
}

impl NodeBuilder {
    /// All settings at once; [`Config::from_env`] if this is not called.
    pub fn config(mut self, config: Config) -> Self {
        self.config = Some(config);
        self
    }

    /// Where the node's names live, in place of what the settings say.
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = Some(namespace);
        self
    }

    /// Makes the node's randomness, and with it its identity, repeatable.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// What finds actors for handlers on this node; its own actors if this is not called.
    pub fn resolver(mut self, resolver: impl Resolver) -> Self {
        self.resolver = Some(Arc::new(resolver));
        self
    }

    /// How clients of the node reach its own actors; [`LocalCalls::Direct`] unless this is called.
    pub fn local_calls(mut self, local_calls: LocalCalls) -> Self {
        self.local_calls = local_calls;
        self
    }

    /// What the node proves itself with to other nodes, and whom it believes; [`Trust::development`] if this is not
    /// called, which serves addresses of this machine only.
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = Some(trust);
        self
    }

    /// Which addresses the node dials that came to it with a client in a message; [`DialPolicy::known`] unless this is
    /// called. A call that would need another one fails with [`Denied`](crate::FailureKind::Denied).
    pub fn dial_policy(mut self, policy: DialPolicy) -> Self {
        self.dial_policy = policy;
        self
    }

    /// Where the network runs; [`NetworkMode::OwnThread`] unless this is called.
    pub fn network(mut self, mode: NetworkMode) -> Self {
        self.network = mode;
        self
    }

    /// Puts the node on a host of a simulated network, in place of sockets. Its trust is the network's
    /// ([`SimNet::trust`](crate::testing::SimNet::trust)) unless [`trust`](Self::trust) is called.
    #[cfg(feature = "testing")]
    pub fn simulated(mut self, net: &crate::testing::SimNet, host: &crate::testing::SimHost) -> Self {
        self.simulated = Some((net.clone(), host.clone()));
        self
    }

    /// Puts code around the calls that clients of the node make, inside the layers added before.
    pub fn client_layer(mut self, layer: impl Layer) -> Self {
        self.client_layers.push(Arc::new(layer));
        self
    }

    /// Puts code around the calls that actors of the node answer, inside the layers added before and outside those of
    /// the actors themselves ([`Registration::layer`](crate::Registration::layer)). The server's own actor `$inspect` is
    /// one of them.
    pub fn server_layer(mut self, layer: impl Layer) -> Self {
        self.server_layers.push(Arc::new(layer));
        self
    }

    /// Makes the node, on the tokio runtime that this is called in.
    ///
    /// # Errors
    /// [`NodeError::NoRuntime`] outside a tokio runtime.
    pub fn build(self) -> Result<Node, NodeError> {
        let runtime = Handle::try_current().map_err(|_| NodeError::NoRuntime)?;
        let mut config = self.config.unwrap_or_else(Config::from_env);
        if let Some(namespace) = self.namespace {
            config.namespace = namespace;
        }
        #[cfg(not(feature = "testing"))]
        let network = Network::new(self.network, self.trust);
        #[cfg(feature = "testing")]
        let network = match self.simulated {
            Some((net, host)) => {
                let trust = self.trust.unwrap_or_else(|| net.trust(&host));
                Network::new(self.network, Some(trust)).simulated((net, host))
            }
            None => Network::new(self.network, self.trust),
        };
        let mut random = random(self.seed);
        let id = NodeId(random.u64(..));
        let deadlines = Arc::new(Deadlines::new(clock::now()));
        let sweeper = task::spawn(&runtime, deadlines.clone().run());
        let node = Node::held(Inner {
            id,
            instance: Instance::next(),
            directory: Arc::new(Directory::new(config.namespace.clone())),
            roster: Roster::default(),
            posts: Posts::default(),
            config,
            runtime,
            random: Mutex::new(random),
            serial: AtomicU64::new(1),
            numbers: AtomicU64::new(1),
            deadlines,
            sweeper,
            timers: OnceLock::new(),
            resolver: Mutex::new(self.resolver),
            announcing: Mutex::default(),
            extensions: Mutex::default(),
            local_calls: self.local_calls,
            methods: MethodTables::default(),
            links: Links::default(),
            dial_policy: self.dial_policy,
            producers: Arc::default(),
            network,
            client_layers: Layers::new(self.client_layers),
            server_layers: Layers::new(self.server_layers),
            watched: Once::new(),
            stuck: Mutex::default(),
        });
        current::enlist(&node);
        Ok(node)
    }
}

impl std::fmt::Debug for NodeBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeBuilder")
            .field("config", &self.config)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

#[expect(clippy::disallowed_methods, reason = "the node is where randomness comes from")]
fn random(seed: Option<u64>) -> fastrand::Rng {
    seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed)
}

/// Why a node could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// There is no tokio runtime to run tasks on.
    #[error(
        "a node needs a tokio runtime: write `#[actor_runtime::main]` above `async fn main`, call this inside \
         `Runtime::block_on`, or, in a program that is not async, make it with `Node::builder().build_blocking()`"
    )]
    NoRuntime,
    /// The background runtime of [`build_blocking`](NodeBuilder::build_blocking) could not be started.
    #[error(
        "the node's background runtime could not be started: {0}; the process may be at its limit of threads or files"
    )]
    Runtime(std::io::ErrorKind),
}
