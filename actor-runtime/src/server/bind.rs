use std::{fmt, sync::Arc};

use super::{Registration, accept::Acceptor, shutdown::Hosted};
use crate::{
    Actor, Node, NodeError,
    actor_id::ActorId,
    call::StopReason,
    names::{Address, AddressError, Resolver},
    node::{LocalCalls, current},
    server::RegisterError,
    sync::{Mutex, lock},
    transport::loopback::Port,
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
    pub(super) port: Mutex<Option<Port>>,
}

impl ActorServer {
    /// Listens at an address: `loopback:0` for a free number within this process. (Sockets are not there yet.)
    ///
    /// The node that listens is the one of the enclosing [`Node::scope`], else the one that this process made for
    /// itself before, else a new one; a new one at a loopback address encodes all its calls
    /// ([`LocalCalls::Encoded`]). Use [`bind_on`](Self::bind_on) to say which.
    ///
    /// # Errors
    /// [`BindError`].
    ///
    /// # Cancel safety
    /// The future can be dropped; nothing listens then.
    pub async fn bind(address: impl AsRef<str>) -> Result<Self, BindError> {
        let address = address.as_ref().parse()?;
        let said = current::said();
        let free = || current::only().ok().flatten().filter(|node| node.directory().address().is_none());
        let node = match said.or_else(free) {
            Some(node) => node,
            None => Node::builder().local_calls(LocalCalls::Encoded).build()?,
        };
        Self::listen(node, address)
    }

    /// Listens at an address, on this node. See [`bind`](Self::bind).
    ///
    /// # Errors
    /// [`BindError`].
    ///
    /// # Cancel safety
    /// The future can be dropped; nothing listens then.
    pub async fn bind_on(node: &Node, address: impl AsRef<str>) -> Result<Self, BindError> {
        Self::listen(node.clone(), address.as_ref().parse()?)
    }

    fn listen(node: Node, address: Address) -> Result<Self, BindError> {
        let Address::Loopback(number) = address else { return Err(BindError::NoSockets { address }) };
        let port = Port::bind(number, &node).ok_or(BindError::Taken { address })?;
        let address = port.address();
        if !node.directory().listen(address.clone()) {
            return Err(BindError::Listening { address: node.directory().address().unwrap_or(address) });
        }
        node.links().serve(Some(Arc::new(Acceptor { node: node.downgrade() })));
        Ok(Self { node, address, hosted: Mutex::default(), port: Mutex::new(Some(port)) })
    }

    /// Where it listens.
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
        Registration::new(self, name.into(), actor)
    }

    /// Takes the name from an actor: new calls fail, queued ones are still run, then the actor ends. Waits for that.
    /// False if nothing has the name.
    ///
    /// # Cancel safety
    /// The future can be dropped: the actor ends all the same.
    pub async fn unregister(&self, name: &str) -> bool {
        let Some(target) = self.node.directory().remove(name) else { return false };
        target.stop(StopReason::Unregistered);
        let task = lock(&self.hosted).take(target.id());
        if let Some(task) = task {
            // However the actor ended, it is gone.
            let _ = task.await;
        }
        true
    }

    /// What is registered here, in the order of the names.
    pub fn actors(&self) -> Vec<String> {
        self.node.directory().names()
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
    /// The address is a socket's.
    #[error("{address} is a socket address, and servers cannot listen at sockets yet; write `loopback:0`")]
    NoSockets {
        /// Which.
        address: Address,
    },
    /// Somebody else listens there.
    #[error("{address} is taken by another server of this process; write `loopback:0` for a free number")]
    Taken {
        /// Where.
        address: Address,
    },
}
