//! What a handler knows about its call: [`current_ctx`].
//!
//! The context is entered at every poll of its turn and left after it, so turns that overlap on one task never see
//! each other's.

mod cancelled;

use std::{
    fmt,
    future::Future,
    sync::{Arc, Weak},
    time::Duration,
};

pub use cancelled::Cancelled;

use crate::{
    Actor, Node, Registration, Task,
    actor::ActorCell,
    actor_id::ActorId,
    call::{AnyCall, Caller, Link, Metadata, Stage, StopReason},
    client::ServiceClient,
    names::{Namespace, Resolver},
    reply::Pending,
    timer::Timers,
    watch::{self, Watch},
};

tokio::task_local! {
    static CONTEXT: ActorContext;
}

/// The context of the turn that runs this code.
///
/// # Errors
/// [`NoContext`] outside a turn: in a plain function, a thread, or a task that was not spawned by
/// [`ActorContext::spawn`].
///
/// ```
/// use actor_runtime::current_ctx;
///
/// assert!(current_ctx().is_err());
/// ```
pub fn current_ctx() -> Result<ActorContext, NoContext> {
    CONTEXT.try_with(Clone::clone).map_err(|_| NoContext(()))
}

/// There is no context here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no actor context here: call `current_ctx()` inside a method of an actor, and start tasks that need it \
     with `ctx.spawn`"
)]
pub struct NoContext(());

/// What a handler knows about its call, its actor and its node. Cheap to clone.
#[derive(Clone)]
pub struct ActorContext {
    identity: Arc<Identity>,
    call: Option<Arc<dyn AnyCall>>,
}

/// Who an actor is.
pub(crate) struct Identity {
    pub(crate) id: ActorId,
    pub(crate) name: Arc<str>,
    pub(crate) node: Node,
    /// What its turns answer later.
    pub(crate) pending: Pending,
    /// The actor itself.
    pub(crate) cell: Weak<ActorCell>,
}

impl Identity {
    /// Who an actor is to be.
    pub(crate) fn new(id: ActorId, name: Arc<str>, node: Node) -> Self {
        Self { id, name, node, pending: Pending::default(), cell: Weak::new() }
    }
}

impl ActorContext {
    pub(crate) fn of_turn(identity: Arc<Identity>, call: Arc<dyn AnyCall>) -> Self {
        Self { identity, call: Some(call) }
    }

    /// The context of a task of an actor.
    pub(crate) fn of_actor(identity: Arc<Identity>) -> Self {
        Self { identity, call: None }
    }

    /// The actor and the call, inside a turn.
    pub(crate) fn turn(&self) -> Option<(Arc<Identity>, Arc<dyn AnyCall>)> {
        Some((self.identity.clone(), self.call.clone()?))
    }

    /// The actor whose turn this is.
    pub fn actor_id(&self) -> ActorId {
        self.identity.id
    }

    /// The name that the actor was registered under.
    pub fn actor_name(&self) -> &str {
        &self.identity.name
    }

    /// The actor's node.
    pub fn node(&self) -> &Node {
        &self.identity.node
    }

    /// Where the names of the actor's node live.
    pub fn namespace(&self) -> &Namespace {
        &self.identity.node.config().namespace
    }

    /// The job that the process belongs to.
    pub fn job_id(&self) -> Option<&str> {
        self.identity.node.config().job_id.as_deref()
    }

    /// Where the cluster's controller listens.
    pub fn controller_address(&self) -> Option<&str> {
        self.identity.node.config().controller_address.as_deref()
    }

    /// The node's resolver, to make clients of other actors with.
    pub fn resolver(&self) -> Arc<dyn Resolver> {
        self.identity.node.resolver()
    }

    /// Who made the call. `None` in a task made by [`spawn`](Self::spawn), and for a caller that did not say.
    pub fn caller(&self) -> Option<Caller> {
        self.call.as_ref().and_then(|call| call.head().caller.clone())
    }

    /// How much time the call has left; `None` if it has no deadline, as a `#[oneway]` call has none once it was accepted.
    pub fn remaining(&self) -> Option<Duration> {
        let deadline = self.deadline()?;
        Some(deadline.saturating_duration_since(self.identity.node.now()))
    }

    /// Ends when nobody waits for the call any more: its caller has left, its deadline has passed, the shutdown that
    /// its actor is in has no more time, or it has been answered. At once if that is so already.
    ///
    /// A `&self` turn, and a `&mut self` turn marked `#[cancel_safe]`, is dropped at its next await then, and need not
    /// ask. This is for a `&mut self` turn that wants to tidy up and end early, and for tasks that work for a call:
    ///
    /// ```
    /// # use actor_runtime::{NoContext, prelude::*};
    /// # async fn step(_: u64) {}
    /// #[actor_service]
    /// trait Index {
    ///     async fn rebuild(&mut self) -> u64;
    /// }
    ///
    /// # struct Books { done: u64 }
    /// #[actor_service]
    /// impl Index for Books {
    ///     async fn rebuild(&mut self) -> u64 {
    ///         let Ok(ctx) = current_ctx() else { return 0 };
    ///         while self.done < 1_000_000 && !ctx.is_cancelled() {
    ///             // Each step is done whole; between them the turn may end.
    ///             step(self.done).await;
    ///             self.done += 1;
    ///         }
    ///         self.done
    ///     }
    /// }
    /// ```
    ///
    /// When a shutdown has no more time, a `&mut self` turn is polled once more: what it does without awaiting is done,
    /// and it is dropped where it awaits next. A task made by [`spawn`](Self::spawn) has no call of its own: in it, and
    /// for a one-way call, this never ends.
    ///
    /// # Cancel safety
    /// It can be dropped and made anew at any time.
    pub fn cancelled(&self) -> Cancelled {
        Cancelled::new(self.awaited().cloned())
    }

    /// Whether nobody waits for the call any more; see [`cancelled`](Self::cancelled).
    pub fn is_cancelled(&self) -> bool {
        self.awaited().is_some_and(|call| call.stage() == Stage::Over)
    }

    /// What came with the call beside its arguments; [`Metadata::read`] gives an entry its type.
    pub fn metadata(&self) -> &Metadata {
        static NONE: Metadata = Metadata::NONE;
        self.call.as_ref().map_or(&NONE, |call| call.head().metadata())
    }

    /// What was given to the node with [`Node::extend`], by its type.
    pub fn extension<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.identity.node.extension()
    }

    /// Watches another actor, wherever it is: when it has ended, this one is told by a turn of
    /// [`Actor::on_down`], exactly once. [`Monitor`](crate::Monitor) says what an end is, and does the
    /// same for code that is no actor.
    ///
    /// The actor is watched when this has returned, which takes the time of a call if it is on another node. The watch is
    /// this actor's, not that of the call that began it. Each takes a task of the node while it waits.
    ///
    /// # Cancel safety
    /// The future can be dropped at any time; nobody is watched then.
    ///
    /// ```
    /// # use actor_runtime::{Down, NoContext, prelude::*};
    /// # #[actor_service] trait Work { async fn step(&mut self); }
    /// #[actor_service]
    /// trait Team {
    ///     async fn join(&mut self, name: String);
    /// }
    ///
    /// struct Foreman {
    ///     missing: Vec<String>,
    /// }
    ///
    /// impl Actor for Foreman {
    ///     type Services = (TeamService,);
    ///
    ///     async fn on_down(&mut self, down: Down) {
    ///         self.missing.push(down.name);
    ///     }
    /// }
    ///
    /// #[actor_service(part)]
    /// impl Team for Foreman {
    ///     async fn join(&mut self, name: String) {
    ///         if let Ok(ctx) = current_ctx() {
    ///             ctx.watch(&WorkClient::new(&ctx.resolver(), name)).await;
    ///         }
    ///     }
    /// }
    /// ```
    pub async fn watch(&self, client: &impl ServiceClient) -> Watch {
        Watch::begin(self, client).await
    }

    /// Whether it is that of a turn, and not of a task or a hook of the actor's life.
    pub(crate) fn is_turn(&self) -> bool {
        self.call.is_some()
    }

    /// Links this actor to another one, wherever that is: when that one fails, this one's run ends too, at once, as
    /// [`StopReason::LinkBroken`]. Its running turns are cut off at their next await, and its
    /// [`on_stop`](crate::Actor::on_stop) is not run, as after a kill; it has failed, so its supervisor starts it again,
    /// those that watch it are told so, and those that are linked to it end with it.
    ///
    /// All but a stop is a failure here: that the other one was killed, that its node was lost, and that it had ended
    /// before or never was. A stop that went well ends the link, and nothing else. That a supervisor starts the other one
    /// again is no end ([`Monitor`](crate::Monitor)).
    ///
    /// A link has one direction: the other actor knows nothing of it, and does not end by it. Two that link each other end
    /// together. An actor that links itself has linked nobody.
    ///
    /// It is linked when this has returned, which takes the time of a call if the other one is on another node; one that
    /// cannot be reached in that time counts as lost. If the other one has failed already, a turn or hook that calls this is
    /// cut off here. The link belongs to this run of the actor, also while its `on_stop` runs: one that is started again
    /// links anew, for example in its [`on_start`](crate::Actor::on_start). Each takes a task of the node.
    ///
    /// # Cancel safety
    /// The future can be dropped at any time; nobody is linked then.
    ///
    /// ```
    /// use std::error::Error;
    /// use actor_runtime::{Node, StopReason, prelude::*};
    ///
    /// # #[actor_service] trait Store { async fn put(&mut self, line: String); }
    /// # struct Disk;
    /// # #[actor_service] impl Store for Disk { async fn put(&mut self, _: String) { panic!("it is full") } }
    /// # #[actor_service] trait Log { async fn append(&mut self, line: String); }
    /// /// Worth nothing without its store.
    /// struct Writer {
    ///     store: StoreClient,
    /// }
    ///
    /// impl Actor for Writer {
    ///     type Services = (LogService,);
    ///
    ///     async fn on_start(&mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
    ///         current_ctx()?.link(&self.store).await;
    ///         Ok(())
    ///     }
    /// }
    /// # #[actor_service(part)] impl Log for Writer { async fn append(&mut self, _: String) {} }
    ///
    /// # #[actor_runtime::main]
    /// # async fn main() -> Result<(), Box<dyn Error>> {
    /// let node = Node::builder().build()?;
    /// let disk = node.actor("disk", Disk).start()?;
    /// let writer = node.actor("writer", Writer { store: disk.client() }).start()?;
    /// writer.started().await?;
    /// disk.kill();
    /// assert!(matches!(writer.ended().await, StopReason::LinkBroken { to, .. } if to == "disk"));
    /// # Ok(()) }
    /// ```
    pub async fn link(&self, client: &impl ServiceClient) -> watch::Link {
        watch::Link::begin(self, client).await
    }

    /// Who the actor is.
    pub(crate) fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// The actor's timers: turns of [`Actor::on_timeout`] at their time.
    ///
    /// They are the actor's, not the call's: a timer that is set here fires also when the call has long ended.
    pub fn timers(&self) -> Timers {
        Timers::new(ActorCell::timers_of(&self.identity))
    }

    /// Ends the actor: it takes no more calls, runs those that are queued, and then ends as
    /// [`StopReason::Finished`]. Returns at once; a turn that calls this runs on to its end.
    ///
    /// A permanent child of a supervisor ends after the running turns instead, and is started again, with its queue.
    pub fn stop(&self) {
        if let Some(actor) = self.identity.node.roster().find(self.identity.id.serial) {
            actor.stop_itself();
        }
    }

    /// An actor that this one starts, and that ends with it; see [`Node::actor`]. It is told to stop when this one has run
    /// its last turn, before its [`on_stop`](crate::Actor::on_stop) or its restart.
    ///
    /// ```
    /// # use actor_runtime::{Node, StopReason, prelude::*};
    /// # #[actor_service] trait Work { async fn step(&mut self); }
    /// # struct Hand;
    /// # #[actor_service] impl Work for Hand { async fn step(&mut self) {} }
    /// # #[actor_service] trait Team { async fn hire(&mut self) -> bool; }
    /// # struct Boss;
    /// #[actor_service]
    /// impl Team for Boss {
    ///     async fn hire(&mut self) -> bool {
    ///         current_ctx().is_ok_and(|ctx| ctx.unnamed_actor(Hand).start().is_ok())
    ///     }
    /// }
    /// # #[actor_runtime::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let node = Node::builder().build()?;
    /// let boss = node.actor("boss", Boss).start()?;
    /// assert!(boss.client::<TeamClient>().hire().await?);
    /// boss.stop(Duration::from_secs(1)).await;
    /// # Ok(()) }
    /// ```
    pub fn actor<A: Actor>(&self, name: impl Into<String>, actor: A) -> Registration<'_, A> {
        Registration::new(&self.identity.node, Some(name.into()), actor).child_of(self.identity.id)
    }

    /// As [`actor`](Self::actor), without a name: it is reached by its handle.
    pub fn unnamed_actor<A: Actor>(&self, actor: A) -> Registration<'_, A> {
        Registration::new(&self.identity.node, None, actor).child_of(self.identity.id)
    }

    /// Runs a task that may call [`current_ctx`]. It belongs to no call: it has no deadline and no caller, and calls
    /// made in it start a chain of their own. It outlives the turn; dropping the handle leaves it running.
    pub fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let context = Self::of_actor(self.identity.clone());
        self.identity.node.spawn(CONTEXT.scope(context, future))
    }

    /// The call, if it has somebody who waits for its end.
    fn awaited(&self) -> Option<&Arc<dyn AnyCall>> {
        self.call.as_ref().filter(|call| !call.head().method.oneway)
    }

    /// Why the actor is to end at once, if it is: it was killed.
    pub(crate) fn killed(&self) -> Option<Arc<StopReason>> {
        let cell = self.identity.cell.upgrade()?;
        if cell.mailbox.is_killed() { cell.mailbox.closed() } else { None }
    }

    /// The same actor outside of any call.
    pub(crate) fn detached(&self) -> Self {
        Self { identity: self.identity.clone(), call: None }
    }

    pub(crate) fn deadline(&self) -> Option<tokio::time::Instant> {
        self.call.as_ref().and_then(|call| call.head().turn_deadline())
    }

    /// This turn as a link of the chain of the calls made in it.
    pub(crate) fn chain(&self) -> Option<Arc<Link>> {
        let head = self.call.as_ref()?.head();
        let link = head.turn.get_or_init(|| {
            let Identity { id, name, .. } = &*self.identity;
            let method = head.method;
            Arc::new(Link::new(
                *id,
                name.clone(),
                method.to_string().into(),
                method.access,
                head.chain.clone(),
            ))
        });
        Some(link.clone())
    }
}

/// Runs a future with a context.
pub(crate) type InContext<F> = tokio::task::futures::TaskLocalFuture<ActorContext, F>;

pub(crate) fn enter<F: Future>(context: ActorContext, future: F) -> InContext<F> {
    CONTEXT.scope(context, future)
}

/// Runs code with a context.
pub(crate) fn enter_sync<T>(context: &ActorContext, code: impl FnOnce() -> T) -> T {
    CONTEXT.sync_scope(context.clone(), code)
}

/// Looks at the context of the turn that runs this code, if any.
pub(crate) fn with_current<T>(look: impl FnOnce(&ActorContext) -> T) -> Option<T> {
    CONTEXT.try_with(look).ok()
}

/// Looks at the call of the turn that runs this code, if any.
pub(crate) fn with_call<T>(look: impl FnOnce(&Arc<dyn AnyCall>) -> T) -> Option<T> {
    with_current(|context| context.call.as_ref().map(look)).flatten()
}

impl fmt::Debug for ActorContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorContext")
            .field("actor", &self.identity.name)
            .field("id", &self.identity.id)
            .field("method", &self.call.as_ref().map(|call| call.head().method.to_string()))
            .finish_non_exhaustive()
    }
}
