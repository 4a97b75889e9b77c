//! The node: identity, clock, randomness and tasks; the one seam to them.
//!
//! Everything that is of a process and not of a call hangs on a node: its settings, its resolver, its layers, its
//! actors, what programs add to it. Many nodes can live in one process without knowing of each other.
//!
//! ```text
//!   Node ─┬─ id, clock, randomness, spawn          node/{clock,task,deadlines}
//!         ├─ Config                                node/config
//!         ├─ Directory: name → actor               names/directory
//!         ├─ Roster: the actors that run           actor/roster, and whether they make progress: node/watchdog
//!         └─ resolver, layers, extensions          what a program gave it
//! ```

pub(crate) mod affinity;
mod blocking;
mod builder;
pub(crate) mod clock;
mod config;
pub(crate) mod current;
pub(crate) mod deadlines;
pub(crate) mod linger;
pub(crate) mod park;
mod schedule;
pub(crate) mod task;
pub(crate) mod thread;
mod watchdog;
pub(crate) mod workers;
mod workplace;

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
    future::Future,
    ops::Deref,
    sync::{Arc, Once, OnceLock, Weak},
    time::{Duration, SystemTime},
};

use tokio::{runtime::Handle, time::Instant};

pub use blocking::BlockingNode;
pub use builder::{LocalCalls, NodeBuilder, NodeError};
pub use config::Config;
pub(crate) use task::AbortOnDrop;
pub use task::{Task, TaskError};

use crate::{
    actor::{Roster, StuckTurn},
    actor_id::{ActorId, Instance, NodeId},
    call::{Failure, StopReason},
    layer::Layers,
    names::{Announcing, DialPolicy, Directory, Registrar, Resolver, Waiter},
    service::MethodTables,
    stream::running::Producers,
    supervise::Posts,
    sync::{AtomicU64, Mutex, Ordering, lock},
    timer::Driver,
    transport::{Links, quic::Network},
};
use deadlines::{Deadlines, Sweep};

/// One member of a system of actors: usually a process, in tests many in one process. Clones are the same node.
///
/// A program rarely needs to make one: [`ActorServer::bind`](crate::ActorServer::bind) does, and a client finds it by
/// itself. Where several nodes live in one process, [`scope`](Self::scope) says which one the code inside belongs to.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use actor_runtime::{Node, Namespace};
///
/// let node = Node::builder().namespace(Namespace::new("training")?).build()?;
/// node.scope(async {
///     assert_eq!(Node::current().unwrap().namespace().as_str(), "training");
/// }).await;
/// # Ok(()) }
/// ```
///
/// A node ends its actors when the last of these is dropped that the program has: what [`NodeBuilder::build`] gave and
/// [`current`](Self::current) outside of actors, their clones, and servers that listen on it. Contexts, clients, handles of
/// actors and tasks do not count.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Held>,
}

/// A node that is not kept alive.
#[derive(Clone)]
pub(crate) struct WeakNode(Weak<Held>);

impl WeakNode {
    pub(crate) fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }

    pub(crate) fn upgrade(&self) -> Option<Node> {
        self.0.upgrade().map(|inner| Node { inner })
    }
}

/// What holds a node: there are two of these a node.
struct Held {
    inner: Arc<Inner>,
    /// The other one, if this is what the program has: the one that actors and tasks have, which keeps no actor alive.
    quiet: Option<Node>,
}

impl Deref for Held {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.quiet.is_some() {
            // First: whoever comes later is refused.
            let named = self.inner.directory.close();
            self.inner.roster.kill(&StopReason::Abandoned);
            drop(named);
        }
    }
}

struct Inner {
    id: NodeId,
    instance: Instance,
    config: Config,
    runtime: Handle,
    random: Mutex<fastrand::Rng>,
    serial: AtomicU64,
    /// Counts the calls that are remembered where they run.
    numbers: AtomicU64,
    directory: Arc<Directory>,
    roster: Roster,
    posts: Posts,
    deadlines: Arc<Deadlines>,
    /// Sweeps the deadlines; ended when the node's runtime has ended.
    sweeper: Task<()>,
    /// The timers of its actors, and the task that fires them; made when the first one is set.
    timers: OnceLock<(Arc<Driver>, AbortOnDrop)>,
    resolver: Mutex<Option<Arc<dyn Resolver>>>,
    /// The task that has the node's actors announced.
    announcing: Mutex<Option<Announcing>>,
    extensions: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    local_calls: LocalCalls,
    methods: MethodTables,
    links: Links,
    dial_policy: DialPolicy,
    producers: Arc<Producers>,
    network: Network,
    client_layers: Layers,
    server_layers: Layers,
    /// Whether the watchdog knows the node.
    watched: Once,
    /// What it has found.
    stuck: Mutex<Vec<StuckTurn>>,
}

impl Node {
    /// A node with settings of its own.
    pub fn builder() -> NodeBuilder {
        NodeBuilder::default()
    }

    /// The node of this code: the one of the running turn, else the one of the enclosing [`scope`](Self::scope), else
    /// the only one in this process, else one made now.
    ///
    /// # Errors
    /// [`AmbiguousNode`](crate::FailureKind::AmbiguousNode) if several nodes live in this process and none is meant, or
    /// if there is none and no tokio runtime to make one on.
    pub fn current() -> Result<Self, Failure> {
        current::find()
    }

    /// Runs `future` as code of this node. What it spawns with `tokio::spawn` is outside; use [`spawn`](Self::spawn).
    pub async fn scope<F: Future>(&self, future: F) -> F::Output {
        current::scope(self.clone(), future).await
    }

    /// The node's identity.
    pub fn id(&self) -> NodeId {
        self.inner.id
    }

    /// Which of the nodes that this process has made.
    pub(crate) fn instance(&self) -> Instance {
        self.inner.instance
    }

    /// The node's settings.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Where the node's names live.
    pub fn namespace(&self) -> &crate::names::Namespace {
        &self.inner.config.namespace
    }

    /// Runs a task as code of this node, on the tokio runtime that the node was made on.
    pub fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        task::spawn(&self.inner.runtime, current::scope(self.quiet(), future))
    }

    /// As [`spawn`](Self::spawn), on another runtime.
    pub(crate) fn spawn_on<F>(&self, runtime: &Handle, future: F) -> Task<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        task::spawn(runtime, current::scope(self.quiet(), future))
    }

    /// Runs code that blocks its thread, or computes for long, on a thread that is there for that, and gives what it
    /// returns. It cannot be ended: dropping or aborting the task leaves code that has begun running.
    ///
    /// The threads are those of tokio's `spawn_blocking`, 512 at most; what comes beyond them waits for one.
    ///
    /// ```
    /// # #[actor_runtime::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let node = actor_runtime::Node::builder().build()?;
    /// let lines = node.spawn_blocking(|| std::fs::read_to_string("Cargo.toml").map(|text| text.lines().count()));
    /// assert!(lines.await?? > 10);
    /// # Ok(()) }
    /// ```
    pub fn spawn_blocking<T: Send + 'static>(&self, code: impl FnOnce() -> T + Send + 'static) -> Task<T> {
        task::spawn_blocking(&self.inner.runtime, code)
    }

    /// A random number; from [`NodeBuilder::seed`] if the node has one.
    pub fn random_u64(&self) -> u64 {
        lock(&self.inner.random).u64(..)
    }

    /// A number that no other call of this node has.
    pub(crate) fn next_number(&self) -> u64 {
        self.inner.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// What finds actors for this node: what [`set_resolver`](Self::set_resolver) gave it, else the node's own actors.
    pub fn resolver(&self) -> Arc<dyn Resolver> {
        let set = lock(&self.inner.resolver).clone();
        set.unwrap_or_else(|| Arc::new(crate::names::LocalResolver(Arc::downgrade(&self.inner.directory))))
    }

    /// Has actors found by `resolver` from now on; clients that exist keep theirs.
    pub fn set_resolver(&self, resolver: impl Resolver) {
        let replaced = lock(&self.inner.resolver).replace(Arc::new(resolver));
        // Not under the lock: its `Drop` is the user's.
        drop(replaced);
    }

    /// Has the named actors of this node's server announced from now on, by a task of the node's; see
    /// [`ActorServer::announced`](crate::ActorServer::announced). A registrar that was set before withdraws what it has
    /// announced.
    pub fn set_registrar(&self, registrar: impl Registrar) {
        let announcing = Announcing::start(self, Arc::new(registrar));
        let replaced = lock(&self.inner.announcing).replace(announcing);
        if let Some(replaced) = replaced {
            replaced.replace(self);
        }
    }

    /// What waits for the node's announcements, if it makes any.
    pub(crate) fn announcements(&self) -> Option<Waiter> {
        lock(&self.inner.announcing).as_ref().map(Announcing::waiter)
    }

    /// Adds a value for handlers to find by its type with
    /// [`ActorContext::extension`](crate::ActorContext::extension); gives the one it replaces.
    pub fn extend<T: Send + Sync + 'static>(&self, value: T) -> Option<Arc<T>> {
        let replaced = lock(&self.inner.extensions).insert(TypeId::of::<T>(), Arc::new(value));
        replaced.and_then(|value| value.downcast().ok())
    }

    /// The value of this type that was added with [`extend`](Self::extend).
    pub fn extension<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        lock(&self.inner.extensions).get(&TypeId::of::<T>()).cloned()?.downcast().ok()
    }

    pub(crate) fn now(&self) -> Instant {
        clock::now()
    }

    /// So long from now, whatever a user says how long that is.
    pub(crate) fn after(&self, time: Duration) -> Instant {
        clock::later(clock::now(), time)
    }

    /// The time of day, in milliseconds since 1970; for people, not for deadlines.
    pub(crate) fn unix_millis(&self) -> u64 {
        clock::unix_millis()
    }

    /// The time of day, for people.
    pub(crate) fn calendar(&self) -> SystemTime {
        clock::calendar()
    }

    pub(crate) fn sleep_until(&self, at: Instant) -> tokio::time::Sleep {
        clock::sleep_until(at)
    }

    /// Spawns without the node's scope: the framework's own tasks know their node.
    pub(crate) fn spawn_bare<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        task::spawn(&self.inner.runtime, future)
    }

    /// The timers of the node's actors.
    pub(crate) fn timers(&self) -> &Arc<Driver> {
        let start = || {
            let driver = Arc::new(Driver::new(clock::now()));
            let task = self.spawn_bare(driver.clone().run());
            (driver, task.abort_on_drop())
        };
        &self.inner.timers.get_or_init(start).0
    }

    pub(crate) fn next_serial(&self) -> u64 {
        self.inner.serial.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn next_actor_id(&self) -> ActorId {
        ActorId { node: self.inner.id, serial: self.next_serial() }
    }

    pub(crate) fn directory(&self) -> &Arc<Directory> {
        &self.inner.directory
    }

    /// The actors that run here.
    pub(crate) fn roster(&self) -> &Roster {
        &self.inner.roster
    }

    /// The supervisors that live here.
    pub(crate) fn posts(&self) -> &Posts {
        &self.inner.posts
    }

    pub(crate) fn methods(&self) -> &MethodTables {
        &self.inner.methods
    }

    /// The node's connections.
    pub(crate) fn links(&self) -> &Links {
        &self.inner.links
    }

    /// Which addresses from messages the node dials.
    pub(crate) fn dial_policy(&self) -> &DialPolicy {
        &self.inner.dial_policy
    }

    /// The streams that the node's actors have returned.
    pub(crate) fn producers(&self) -> &Arc<Producers> {
        &self.inner.producers
    }

    /// The node's sockets.
    pub(crate) fn network(&self) -> &Network {
        &self.inner.network
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.inner.runtime
    }

    pub(crate) fn downgrade(&self) -> WeakNode {
        WeakNode(Arc::downgrade(&self.quiet().inner))
    }

    /// The same node, for what must not keep its actors alive.
    pub(crate) fn quiet(&self) -> Self {
        self.inner.quiet.clone().unwrap_or_else(|| self.clone())
    }

    pub(crate) fn local_calls(&self) -> LocalCalls {
        self.inner.local_calls
    }

    pub(crate) fn client_layers(&self) -> &Layers {
        &self.inner.client_layers
    }

    pub(crate) fn server_layers(&self) -> &Layers {
        &self.inner.server_layers
    }

    /// A holder of calls got one with this deadline; `watch` if nobody looks after the holder yet.
    pub(crate) fn expect_deadline(
        &self,
        deadline: Option<Instant>,
        watch: bool,
        holder: impl FnOnce() -> Weak<dyn Sweep>,
    ) {
        if watch {
            self.inner.deadlines.watch(&holder());
        }
        if let Some(deadline) = deadline {
            self.inner.deadlines.expect(deadline);
        }
    }
}

impl Node {
    fn held(inner: Inner) -> Self {
        let inner = Arc::new(inner);
        let quiet = Self { inner: Arc::new(Held { inner: inner.clone(), quiet: None }) };
        Self { inner: Arc::new(Held { inner, quiet: Some(quiet) }) }
    }
}

impl Inner {
    /// Whether the tokio runtime that the node was made on is gone.
    fn runtime_ended(&self) -> bool {
        self.sweeper.is_finished()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.links.close("its node was dropped");
        self.sweeper.abort();
        if self.watched.is_completed() {
            watchdog::released();
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.inner.id)
            .field("namespace", &self.namespace().as_str())
            .finish()
    }
}
