use std::{fmt, io, net::IpAddr, sync::Arc};

use super::{Registration, accept::Acceptor, shutdown::Hosted};
use crate::{
    Actor, Node, NodeError,
    actor_id::ActorId,
    call::{StopReason, Target},
    context::{ActorContext, with_current},
    names::{Address, AddressError, AnnounceError, Resolver},
    node::{LocalCalls, current},
    server::RegisterError,
    sync::{Mutex, lock},
    transport::{
        loopback::Port,
        quic::{ListenError, Listener},
    },
    trust::TrustError,
};

/// A node that listens: it gives names to actors and takes calls for them.
///
/// Dropping it ends its actors at once; [`shutdown`](Self::shutdown) lets them finish first.
///
/// ```
/// # #[actor_runtime::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use actor_runtime::prelude::*;
///
/// #[actor_service]
/// trait Greeter {
///     async fn greet(&self, name: &str) -> String;
/// }
///
/// struct English;
///
/// #[actor_service]
/// impl Greeter for English {
///     async fn greet(&self, name: &str) -> String {
///         format!("hello, {name}")
///     }
/// }
///
/// let server = ActorServer::bind("loopback:0").await?;
/// server.register("greeter", English)?;
/// let greeter = GreeterClient::new(&server.resolver(), "greeter");
/// assert_eq!(greeter.greet("world").await?, "hello, world");
/// server.shutdown(Duration::from_secs(1)).await?;
/// # Ok(()) }
/// ```
pub struct ActorServer {
    pub(super) node: Node,
    address: Address,
    pub(super) hosted: Mutex<Hosted>,
    pub(super) listening: Mutex<Option<Listening>>,
}

/// What others connect to, until this is dropped.
pub(super) enum Listening {
    Loopback { _port: Port },
    Socket(Listener),
}

/// A server about to listen. Made by [`ActorServer::builder`].
#[derive(Debug)]
#[must_use = "call `bind`"]
pub struct ServerBuilder {
    address: String,
    node: Option<Node>,
    advertise: Option<String>,
}

impl ServerBuilder {
    /// The node that listens.
    pub fn node(mut self, node: &Node) -> Self {
        self.node = Some(node.clone());
        self
    }

    /// What others are to call this server: `host:port`, or a host alone, which gets the port that is listened at.
    /// Needed where the address says no host, such as `0.0.0.0:7000`.
    pub fn advertise(mut self, address: impl Into<String>) -> Self {
        self.advertise = Some(address.into());
        self
    }

    /// Listens.
    ///
    /// # Errors
    /// [`BindError`].
    ///
    /// # Cancel safety
    /// The future can be dropped; nothing listens then.
    pub async fn bind(self) -> Result<ActorServer, BindError> {
        let Self { address, node, advertise } = self;
        let address: Address = address.parse()?;
        let node = match node {
            Some(node) => node,
            None => node_for(&address)?,
        };
        if let Some(address) = node.directory().address() {
            return Err(BindError::Listening { address });
        }
        let (listening, bound) = listen(&node, &address).await?;
        let advertised = match advertise {
            Some(said) => advertised(&said, &bound)?,
            None if says_no_host(&bound) => return Err(BindError::Advertise { address: bound }),
            None => bound,
        };
        if !node.directory().listen(advertised.clone()) {
            return Err(BindError::Listening { address: node.directory().address().unwrap_or(advertised) });
        }
        node.links().serve(Some(Arc::new(Acceptor { node: node.downgrade() })));
        let listening = Mutex::new(Some(listening));
        let server = ActorServer { node, address: advertised, hosted: Mutex::default(), listening };
        Ok(server.with_builtin())
    }
}

fn node_for(address: &Address) -> Result<Node, BindError> {
    let free = || current::only().ok().flatten().filter(|node| node.directory().address().is_none());
    if let Some(node) = current::said().or_else(free) {
        return Ok(node);
    }
    let local_calls = match address {
        Address::Loopback(_) => LocalCalls::Encoded,
        Address::Host(..) | Address::Socket(_) => LocalCalls::Direct,
    };
    Ok(Node::builder().local_calls(local_calls).build()?)
}

async fn listen(node: &Node, address: &Address) -> Result<(Listening, Address), BindError> {
    let at = match address {
        Address::Loopback(number) => {
            let taken = || BindError::Taken { address: address.clone() };
            let port = Port::bind(*number, node).ok_or_else(taken)?;
            let bound = port.address();
            return Ok((Listening::Loopback { _port: port }, bound));
        }
        Address::Socket(at) => *at,
        Address::Host(host, port) => {
            let failed =
                |error: io::Error| BindError::Io { address: address.clone(), reason: error.to_string() };
            let mut found = tokio::net::lookup_host((host.as_str(), *port)).await.map_err(failed)?;
            found.next().ok_or_else(|| failed(io::Error::other("the host has no address")))?
        }
    };
    let listener = node.network().listen(node, at).await.map_err(|error| match error {
        ListenError::Trust(error) => BindError::Trust(error),
        ListenError::Io(error) if error.kind() == io::ErrorKind::AddrInUse => {
            BindError::Taken { address: address.clone() }
        }
        ListenError::Io(error) => BindError::Io { address: address.clone(), reason: error.to_string() },
    })?;
    let bound = Address::Socket(listener.address);
    Ok((Listening::Socket(listener), bound))
}

fn says_no_host(address: &Address) -> bool {
    matches!(address, Address::Socket(socket) if socket.ip().is_unspecified())
}

fn advertised(said: &str, bound: &Address) -> Result<Address, BindError> {
    let port = match bound {
        Address::Socket(socket) => socket.port(),
        _ => 0,
    };
    let address = match said.parse::<IpAddr>() {
        Ok(ip) => Address::Socket((ip, port).into()),
        Err(_) if said.contains(':') => said.parse()?,
        Err(_) => format!("{said}:{port}").parse()?,
    };
    match address {
        Address::Socket(socket) if socket.ip().is_unspecified() => Err(BindError::Advertise { address }),
        address => Ok(address),
    }
}

impl ActorServer {
    /// Listens at an address: a socket such as `127.0.0.1:7000` or `0.0.0.0:0` (port 0 for a free one), or `loopback:0`
    /// for a free number within this process.
    ///
    /// The node that listens is the one of the enclosing [`Node::scope`], else the only one of this process if it listens
    /// nowhere yet, else a new one; a new one at a loopback address encodes all its calls ([`LocalCalls::Encoded`]). Use
    /// [`bind_on`](Self::bind_on) to say which, and [`builder`](Self::builder) to say more. So each further server of one
    /// process has a node of its own, and clients and pools then say which one is theirs: with `FooClient::on`, and with
    /// [`PoolBuilder::node`](crate::pool::PoolBuilder::node).
    ///
    /// At a socket, other nodes must prove who they are, and so does this one: see [`Trust`](crate::Trust). A node that
    /// was given none uses the development trust domain, which serves addresses of this machine only.
    ///
    /// # Errors
    /// [`BindError`].
    ///
    /// # Cancel safety
    /// The future can be dropped; nothing listens then.
    pub async fn bind(address: impl AsRef<str>) -> Result<Self, BindError> {
        Self::builder(address).bind().await
    }

    /// Listens at an address, on this node. See [`bind`](Self::bind).
    ///
    /// # Errors
    /// [`BindError`].
    ///
    /// # Cancel safety
    /// The future can be dropped; nothing listens then.
    pub async fn bind_on(node: &Node, address: impl AsRef<str>) -> Result<Self, BindError> {
        Self::builder(address).node(node).bind().await
    }

    /// A server that is to listen at an address, with settings of its own.
    ///
    /// ```
    /// # use actor_runtime::prelude::*;
    /// # use actor_runtime::{Authority, Trust};
    /// # #[actor_runtime::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let authority = Authority::new("example")?;
    /// let identity = authority.issue(["127.0.0.1", "actor://example/node-1"])?;
    /// let trust = Trust::builder().identity(identity).authority(&authority).build()?;
    /// let node = Node::builder().trust(trust).build()?;
    /// let server = ActorServer::builder("0.0.0.0:0").node(&node).advertise("127.0.0.1").bind().await?;
    /// assert!(server.address().to_string().starts_with("127.0.0.1:"));
    /// # Ok(()) }
    /// ```
    pub fn builder(address: impl AsRef<str>) -> ServerBuilder {
        ServerBuilder { address: address.as_ref().to_owned(), node: None, advertise: None }
    }

    /// Where it can be called: where it listens, or what it advertises.
    pub fn address(&self) -> Address {
        self.address.clone()
    }

    /// The node that listens.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// A resolver of the actors that are registered here.
    pub fn resolver(&self) -> Arc<dyn Resolver> {
        Arc::new(crate::names::LocalResolver(Arc::downgrade(self.node.directory())))
    }

    /// Gives a name to an actor, with the settings of the node; see [`registration`](Self::registration) for others.
    ///
    /// # Errors
    /// [`RegisterError`]. The actor is dropped then.
    pub fn register<A: Actor>(&self, name: impl Into<String>, actor: A) -> Result<ActorId, RegisterError> {
        self.registration(name, actor).register()
    }

    /// Gives a name to an actor, with settings of its own.
    ///
    /// ```
    /// # use actor_runtime::prelude::*;
    /// # #[actor_service] trait Model { async fn predict(&self, x: f64) -> f64; }
    /// # struct Linear;
    /// # #[actor_service] impl Model for Linear { async fn predict(&self, x: f64) -> f64 { 2.0 * x } }
    /// # #[actor_runtime::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = ActorServer::bind("loopback:0").await?;
    /// server.registration("model", Linear).mailbox(16).overflow(Overflow::Fail).parallel(2).register()?;
    /// # Ok(()) }
    /// ```
    pub fn registration<A: Actor>(&self, name: impl Into<String>, actor: A) -> Registration<'_, A> {
        Registration::new(&self.node, Some(name.into()), actor).on_server(self)
    }

    /// Takes the name from an actor: new calls fail, queued ones are still run, then the actor ends. Waits for that.
    /// False if nothing has the name. An actor that does this to itself in a turn is not waited for: it ends after that turn
    /// and its queue.
    ///
    /// # Cancel safety
    /// The future can be dropped: the actor ends all the same.
    pub async fn unregister(&self, name: &str) -> bool {
        let Some(target) = self.node.directory().remove(name) else { return false };
        retire(&self.node, &*target, StopReason::Unregistered).await;
        true
    }

    /// Waits until the node's registrar has announced what is registered here now, and withdrawn what is not; for
    /// [`Config::default_timeout`](crate::Config) at the longest.
    ///
    /// # Errors
    /// [`AnnounceError`]: the registrar is late and goes on trying, there is none, or it was replaced.
    ///
    /// # Cancel safety
    /// The future can be dropped; the registrar goes on.
    pub async fn announced(&self) -> Result<(), AnnounceError> {
        let announcements = self.node.announcements().ok_or(AnnounceError::NoRegistrar)?;
        announcements.announced(&self.node, self.node.after(self.node.config().default_timeout)).await
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.hosted).is_closed()
    }

    /// What is registered here, in the order of the names; also the last thousand actors that have ended and whose names
    /// nobody has taken since.
    pub fn actors(&self) -> Vec<String> {
        self.node.directory().names()
    }
}

/// Has an actor that lost its name run its queue and end, and waits for that; not if the running turn is its own, which
/// would wait for itself.
pub(super) async fn retire(node: &Node, target: &dyn Target, reason: StopReason) {
    target.stop(reason);
    let in_turn = |context: &ActorContext| context.is_turn().then(|| context.identity().id);
    if with_current(in_turn).flatten() == Some(target.id()) {
        return;
    }
    if let Some(actor) = node.roster().find(target.id().serial) {
        actor.mailbox.ended().await;
    }
}

impl Drop for ActorServer {
    fn drop(&mut self) {
        self.leave(&StopReason::Abandoned);
    }
}

impl fmt::Debug for ActorServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorServer")
            .field("address", &self.address.to_string())
            .field("actors", &self.actors())
            .finish_non_exhaustive()
    }
}

/// Why a server could not listen.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The text is not an address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The node has a server already; a node has one at most.
    #[error("this node listens at {address} already; use another node, or the server that there is")]
    Listening {
        /// Where.
        address: Address,
    },
    /// There is no node, and several nodes or no runtime to choose from.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The address says no host that others could call.
    #[error(
        "{address} is no address that others can call; say which one is with \
         `ActorServer::builder(…).advertise(\"host:port\")`"
    )]
    Advertise {
        /// Which.
        address: Address,
    },
    /// The system does not let the server listen there.
    #[error("cannot listen at {address}: {reason}")]
    Io {
        /// Where.
        address: Address,
        /// What the system said.
        reason: String,
    },
    /// The node's identity cannot be used there.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Somebody else listens there.
    #[error("{address} is taken by another server; write port 0 for a free one")]
    Taken {
        /// Where.
        address: Address,
    },
}
