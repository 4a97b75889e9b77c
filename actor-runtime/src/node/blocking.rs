//! A node for a program that is not async: it brings the tokio runtime that a node needs.

use std::{fmt, future::Future, ops::Deref, time::Duration};

use tokio::runtime::{Builder, Handle, Runtime};

use super::{Node, NodeBuilder, NodeError, park::refuse_in_async};

/// A [`Node`] with a background runtime of its own, for code that is not async: a plain `main`, a thread, a callback
/// of a C library. Made by [`NodeBuilder::build_blocking`].
///
/// It is used as a `&Node` is: clients are made with `FooClient::on(&node, …)`, or with `FooClient::new` while it is the
/// only node of the process, and their calls end with [`Call::wait`](crate::Call::wait). All else that is async goes
/// through [`block_on`](Self::block_on).
///
/// ```
/// use actor_runtime::{Node, prelude::*};
///
/// #[actor_service]
/// trait Greeter {
///     async fn greet(&self, name: &str) -> String;
/// }
///
/// # struct English;
/// # #[actor_service]
/// # impl Greeter for English { async fn greet(&self, name: &str) -> String { format!("Hello, {name}!") } }
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let node = Node::builder().build_blocking()?;
/// #   let server = node.block_on(ActorServer::bind_on(&node, "loopback:0"))?;
/// #   server.register("greeter", English)?;
/// #   let address = server.address();
///     let greeter = GreeterClient::on(&node, &FixedResolver::new([("greeter", address)]), "greeter");
///     assert_eq!(greeter.greet("world").wait()?, "Hello, world!");
///     Ok(())
/// }
/// ```
///
/// Dropping it ends the node: calls that are pending end with a [`Failure`](crate::Failure), and so do later ones of
/// clients that are left. That takes a second at most, unless it is dropped in async code, which must not wait: then the
/// runtime ends in the background.
pub struct BlockingNode {
    node: Node,
    /// There until this is dropped.
    runtime: Option<Runtime>,
}

impl BlockingNode {
    /// How long dropping it may take.
    const END: Duration = Duration::from_secs(1);

    /// Runs a future of this node to its end, on this thread: what has no `wait` of its own, such as
    /// [`ServiceClient::pinned`](crate::ServiceClient::pinned).
    ///
    /// # Panics
    /// In async code, whose thread it would block, as [`Call::wait`](crate::Call::wait) does.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        refuse_in_async("BlockingNode::block_on");
        self.node.runtime().block_on(self.node.scope(future))
    }
}

impl NodeBuilder {
    /// Makes a node with a background runtime of its own, for code that is not async.
    ///
    /// # Errors
    /// [`NodeError::Runtime`] if the system has no thread or no file descriptor left for it.
    pub fn build_blocking(self) -> Result<BlockingNode, NodeError> {
        let runtime = Builder::new_multi_thread()
            // Handlers that take long are not what such a process is for; more actors than one thread serves want a
            // runtime of their own.
            .worker_threads(1)
            .thread_name("actor-node")
            .enable_all()
            .build()
            .map_err(|error| NodeError::Runtime(error.kind()))?;
        let entered = runtime.enter();
        let node = self.build()?;
        drop(entered);
        Ok(BlockingNode { node, runtime: Some(runtime) })
    }
}

impl Deref for BlockingNode {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl Drop for BlockingNode {
    fn drop(&mut self) {
        // First: what waits for a reply from elsewhere is not held by a task.
        self.node.links().close("its node was dropped");
        let Some(runtime) = self.runtime.take() else { return };
        if Handle::try_current().is_ok() {
            runtime.shutdown_background();
        } else {
            runtime.shutdown_timeout(Self::END);
        }
    }
}

impl fmt::Debug for BlockingNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BlockingNode").field(&self.node).finish()
    }
}
