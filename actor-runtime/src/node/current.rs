//! Which node the running code belongs to.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use super::{Held, Node, WeakNode};
use crate::{
    actor_id::Instance,
    call::{Delivery, Failure, FailureKind},
    codec::arriving,
    context,
};

tokio::task_local! {
    static SCOPE: Node;
}

/// The nodes of this process, and the one it made for itself.
static NODES: Mutex<Nodes> = Mutex::new(Nodes { all: Vec::new(), own: None });

struct Nodes {
    all: Vec<Enlisted>,
    /// Kept alive here: nobody else may hold it between two clients.
    own: Option<Node>,
}

/// What the program has of a node, and what else there is.
struct Enlisted {
    held: Weak<Held>,
    quiet: WeakNode,
}

fn nodes() -> MutexGuard<'static, Nodes> {
    NODES.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn enlist(node: &Node) {
    let mut nodes = nodes();
    nodes.all.retain(|node| node.quiet.0.strong_count() > 0);
    nodes.all.push(Enlisted { held: Arc::downgrade(&node.inner), quiet: node.downgrade() });
}

pub(super) fn scope<F: Future>(node: Node, future: F) -> tokio::task::futures::TaskLocalFuture<Node, F> {
    SCOPE.scope(node, future)
}

/// The node that the code says it belongs to, by its turn or its scope.
pub(crate) fn said() -> Option<Node> {
    context::with_current(|context| context.node().clone()).or_else(|| SCOPE.try_with(Clone::clone).ok())
}

/// Which node the code says it belongs to: by the message that it reads, by its turn or by its scope.
pub(crate) fn said_instance() -> Option<Instance> {
    arriving()
        .or_else(|| context::with_current(|context| context.node().instance()))
        .or_else(|| SCOPE.try_with(Node::instance).ok())
}

/// The node at which what is being read has arrived. Makes none: reading is no reason to.
pub(crate) fn receiving() -> Result<Node, Failure> {
    if let Some(instance) = arriving() {
        return of(instance).ok_or_else(|| {
            let detail = "the node at which the client arrived in a message has ended";
            Failure::new(FailureKind::Stopped, Delivery::NotDelivered, detail)
        });
    }
    match said() {
        Some(node) => Ok(node),
        None => only()?.ok_or_else(|| {
            ambiguous(
                "the client was read from bytes where no node lives; read it inside `node.scope(…)`, or in a program \
                 that has one node"
                    .to_owned(),
            )
        }),
    }
}

/// The node, if it lives.
fn of(instance: Instance) -> Option<Node> {
    let alive: Vec<Node> = nodes().all.iter().filter_map(|node| node.quiet.upgrade()).collect();
    alive.into_iter().find(|node| node.instance() == instance && !node.inner.runtime_ended())
}

/// See [`Node::current`].
pub(crate) fn find() -> Result<Node, Failure> {
    if let Some(node) = said() {
        return Ok(node);
    }
    if let Some(only) = only()? {
        return Ok(only);
    }
    let made = Node::builder().build().map_err(|error| ambiguous(error.to_string()))?;
    let replaced = nodes().own.replace(made.clone());
    // Not under the lock: it ends its actors.
    drop(replaced);
    Ok(made)
}

/// The only node of this process, if there is one.
pub(crate) fn only() -> Result<Option<Node>, Failure> {
    let (alive, discarded) = {
        let mut nodes = nodes();
        // A node ends with the runtime it was made on, whoever still holds it.
        let discarded = nodes.own.take_if(|own| own.inner.runtime_ended());
        let alive = |node: &Enlisted| {
            node.held.upgrade().map(|inner| Node { inner }).or_else(|| node.quiet.upgrade())
        };
        let alive: Vec<Node> = nodes.all.iter().filter_map(alive).collect();
        (alive, discarded)
    };
    drop(discarded);
    let mut alive = alive.into_iter().filter(|node| !node.inner.runtime_ended());
    match (alive.next(), alive.count()) {
        (None, _) => Ok(None),
        (Some(node), 0) => Ok(Some(node)),
        (Some(_), others) => Err(ambiguous(format!(
            "{} nodes live in this process, and nothing says which one this client belongs to: make it with \
             `FooClient::on(&node, …)`, or a pool with `ActorPool::builder(…).node(&node)`, or run the code inside \
             `node.scope(…)`; tests that run side by side each have a scope with `#[actor_runtime::test]`",
            others + 1
        ))),
    }
}

fn ambiguous(detail: String) -> Failure {
    Failure::new(FailureKind::AmbiguousNode, Delivery::NotDelivered, detail)
}
