//! Telling the world where the actors of a node are.
//!
//! ```text
//!   Directory: a name came, went, ended ──► Announcement::changed ──► Registrar::announce, a task of the node's
//!   ActorServer::announced, shutdown ◄── announced · failed ◄──────────────┘
//! ```

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::watch;

use super::{BoxFuture, Directory, Namespace, ResolvedEndpoint};
use crate::actor_id::NodeId;

/// Tells the world where the actors of a node are, so that resolvers elsewhere find them: the other half of a
/// [`Resolver`](super::Resolver). Given to a node with [`Node::set_registrar`](crate::Node::set_registrar).
///
/// ```
/// use actor_runtime::{Announcement, BoxFuture, FixedResolver, Registrar, prelude::*};
///
/// /// Announces on a board that all nodes of the process see.
/// #[derive(Debug)]
/// struct Board(FixedResolver);
///
/// impl Registrar for Board {
///     fn announce(&self, mut announcement: Announcement) -> BoxFuture<'static, ()> {
///         let board = self.0.clone();
///         Box::pin(async move {
///             let mut there: Vec<String> = Vec::new();
///             loop {
///                 let wanted = announcement.changed().await;
///                 for name in there.drain(..) {
///                     board.remove(&name);
///                 }
///                 for endpoint in wanted.endpoints() {
///                     board.insert(&endpoint.name, &endpoint.address);
///                     there.push(endpoint.name.clone());
///                 }
///                 announcement.announced(&wanted);
///                 if wanted.is_last() {
///                     return;
///                 }
///             }
///         })
///     }
/// }
///
/// # #[actor_service] trait Model { async fn predict(&self, x: f64) -> f64; }
/// # struct Linear;
/// # #[actor_service] impl Model for Linear { async fn predict(&self, x: f64) -> f64 { 2.0 * x } }
/// # #[actor_runtime::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let board = FixedResolver::new::<String, String>([]);
/// let server = ActorServer::bind("loopback:0").await?;
/// server.node().set_registrar(Board(board.clone()));
/// server.register("model", Linear)?;
/// server.announced().await?;
/// let model = ModelClient::new(&board, "model");
/// assert_eq!(model.predict(2.0).await?, 4.0);
/// # Ok(()) }
/// ```
pub trait Registrar: fmt::Debug + Send + Sync + 'static {
    /// Keeps the wanted endpoints announced, and no others of this node, until [`Wanted::is_last`]; then withdraws what is
    /// left and ends. It runs on a task of the node's own.
    ///
    /// What fails is told with [`Announcement::failed`] and tried again here, after a pause: nobody else does. A future that
    /// ends before that, or panics, is an error; after five seconds `announce` is called again. One that goes on for ten
    /// seconds after the last set is dropped.
    ///
    /// A registrar should announce under a lease, so that what a process has announced ends with it.
    fn announce(&self, announcement: Announcement) -> BoxFuture<'static, ()>;
}

/// What one node wants announced.
pub struct Announcement {
    node: NodeId,
    namespace: Namespace,
    directory: Weak<Directory>,
    changes: watch::Receiver<u64>,
    shared: Arc<Announced>,
}

/// How far the announcing is, for those who wait for it.
#[derive(Default)]
pub(super) struct Announced {
    status: watch::Sender<Status>,
    /// Whether another registrar has come in place of this one.
    replaced: AtomicBool,
}

#[derive(Clone, Default)]
pub(super) struct Status {
    /// The change of the directory up to which everything is announced.
    pub(super) version: u64,
    /// Why what came later is not.
    pub(super) failure: Option<String>,
    /// Whether nothing will be announced any more.
    pub(super) is_over: bool,
}

impl Announcement {
    pub(super) fn new(node: NodeId, directory: &Arc<Directory>, shared: Arc<Announced>) -> Self {
        let mut changes = directory.changes();
        changes.mark_changed();
        let namespace = directory.namespace().clone();
        Self { node, namespace, directory: Arc::downgrade(directory), changes, shared }
    }

    /// Whose endpoints these are.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Where their names live.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// What is to be announced: at once for the first time, then when it may have become another set. A node that has no
    /// server, or whose server is being shut down, wants nothing announced; the set is empty then, and can be filled again.
    ///
    /// # Cancel safety
    /// The future can be dropped; nothing is missed.
    pub async fn changed(&mut self) -> Wanted {
        // The directory is gone if this fails.
        let gone = self.changes.changed().await.is_err();
        let version = *self.changes.borrow_and_update();
        let directory = self.directory.upgrade().filter(|_| !self.shared.is_replaced());
        let (endpoints, is_closed) =
            directory.map_or((Vec::new(), true), |directory| directory.announceable());
        Wanted { endpoints, version, is_last: gone || is_closed }
    }

    /// Waits until nothing is wanted any more.
    pub(super) async fn over(&mut self) {
        while !self.is_over() && self.changes.changed().await.is_ok() {}
    }

    /// Whether nothing is wanted any more.
    pub(super) fn is_over(&self) -> bool {
        let directory = self.directory.upgrade().filter(|_| !self.shared.is_replaced());
        directory.is_none_or(|directory| directory.is_closed())
    }

    /// Says that this set is announced, and nothing else of this node.
    pub fn announced(&self, wanted: &Wanted) {
        let mut failed = None;
        self.shared.status.send_modify(|status| {
            status.version = status.version.max(wanted.version);
            failed = status.failure.take();
        });
        if failed.is_some() {
            let actors = wanted.endpoints.len();
            tracing::info!(node = %self.node, namespace = %self.namespace, actors, "actors are announced again");
        }
    }

    /// Says that what is wanted could not be announced, or that what was announced may be so no more; whoever waits for it is
    /// told when his time is over. It is logged once until it works again.
    pub fn failed(&self, reason: impl fmt::Display) {
        let reason = reason.to_string();
        let first = self.shared.status.borrow().failure.is_none();
        if first {
            tracing::warn!(node = %self.node, namespace = %self.namespace, %reason, "actors are not announced");
        }
        self.shared.status.send_modify(|status| status.failure = Some(reason));
    }
}

impl fmt::Debug for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announcement").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Announced {
    pub(super) fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    pub(super) fn replace(&self) {
        self.replaced.store(true, Ordering::Release);
        self.over();
    }

    /// Tells whoever waits that nothing will be announced any more.
    pub(super) fn over(&self) {
        self.status.send_modify(|status| status.is_over = true);
    }

    pub(super) fn is_replaced(&self) -> bool {
        self.replaced.load(Ordering::Acquire)
    }
}

/// The endpoints that a node wants announced.
#[derive(Clone, Debug)]
pub struct Wanted {
    endpoints: Vec<ResolvedEndpoint>,
    version: u64,
    is_last: bool,
}

impl Wanted {
    /// The actors that run and have a name, in the order of their names, each with its id and metadata, at the address that
    /// their server advertises.
    pub fn endpoints(&self) -> &[ResolvedEndpoint] {
        &self.endpoints
    }

    /// Whether nothing will be wanted any more: the node is gone, or has another registrar. The set is empty then.
    pub fn is_last(&self) -> bool {
        self.is_last
    }
}

/// Some actors could not be announced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnnounceError {
    /// The node has no registrar.
    #[error("the node announces nothing: give it a registrar with `Node::set_registrar`")]
    NoRegistrar,
    /// The registrar has not announced them yet; it goes on trying.
    #[error(
        "the actors are not announced after {waited:?}: {}; it is tried again",
        reason.as_deref().unwrap_or("the registrar has not answered")
    )]
    Late {
        /// How long that was waited for.
        waited: std::time::Duration,
        /// What the registrar said.
        reason: Option<String>,
    },
    /// The node got another registrar, or was dropped.
    #[error("the node got another registrar, or was dropped, while its actors were being announced")]
    Replaced,
}
