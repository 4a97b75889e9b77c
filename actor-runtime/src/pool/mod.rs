//! Pools: calling whoever is there of several actors that have one name.
//!
//! ```text
//!   pool.call() ── a FooClient ──► Gate ──► through ──► core: who is called now ──► a member's route
//!                                                         ▲
//!                       Resolver::watch ──► membership ───┤
//!                        how calls end ──► eject ─────────┘
//! ```
//!
//! A pool follows its resolver. Each of its members is one registration (S12): another one at the same place is another
//! member. Calls of a pool have no order (S2).

mod balance;
mod broadcast;
mod builder;
mod core;
mod eject;
mod map;
mod member;
mod membership;
mod snapshot;
mod through;

use std::{fmt, hash::Hash, sync::Arc, time::Duration};

use futures::{Stream, StreamExt, stream};
use tokio::sync::broadcast::error::RecvError;

pub use balance::{Balance, Choose};
#[doc(hidden)]
pub use broadcast::Broadcast;
pub use broadcast::{AsCompleted, BroadcastFuture, CallResult, Merged, QuorumError};
pub use builder::PoolBuilder;
pub use eject::Ejection;
pub use map::{Batch, MaybeFailure, Outcome, Progress, Report};
pub use member::Member;
pub use snapshot::{MemberSnapshot, MemberState, PoolEvent, PoolSnapshot};

use self::{
    balance::key_of,
    core::Core,
    through::{Aim, Through},
};
use crate::{
    CallOptions, Node, Resolver, ServiceClient,
    call::{Delivery, Failure, FailureKind},
    client::Client,
    names::ResolvedEndpoint,
};

/// The actors that have one name, wherever a resolver finds them. A clone is the same pool.
///
/// ```
/// use actor_runtime::prelude::*;
///
/// #[actor_service]
/// trait Model {
///     async fn predict(&self, x: f64) -> f64;
/// }
///
/// struct Linear(f64);
///
/// #[actor_service]
/// impl Model for Linear {
///     async fn predict(&self, x: f64) -> f64 {
///         self.0 * x
///     }
/// }
///
/// # #[actor_runtime::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Three servers: here of one process, else each of its own.
/// let mut servers = Vec::new();
/// for factor in [1.0, 2.0, 3.0] {
///     let server = ActorServer::bind_on(&Node::builder().build()?, "loopback:0").await?;
///     server.register("model", Linear(factor))?;
///     servers.push(server);
/// }
/// let resolver = FixedResolver::new(servers.iter().map(|server| ("model", server.address())));
///
/// // In a program with one node: `ModelClient::pool(&resolver, "model")`.
/// let caller = Node::builder().build()?;
/// let pool = ActorPool::<ModelClient>::builder(&resolver, "model").node(&caller).build();
/// pool.wait_for_size(3, Duration::from_secs(5)).await?;
/// for expected in [2.0, 4.0, 6.0, 2.0] {
///     assert_eq!(pool.call().predict(2.0).await?, expected);
/// }
/// # Ok(()) }
/// ```
///
/// # What becomes of calls
///
/// - A call that provably did not reach an actor is sent to another member at once, and after a round of all members
///   with pauses: within its deadline, and as often as its [`Retry`](crate::Retry) says.
/// - `Overloaded` costs one try elsewhere.
/// - What an actor answered, its own errors among it, is never tried again. What may have been run is sent to another
///   member if its method is `#[idempotent]`, and to the same one if it is `#[dedup]` (S10).
/// - As long as nobody knows whether there are members, calls wait. That there is none is a failure,
///   once the attempts of the call's [`Retry`](crate::Retry) are over: [`NotFound`](FailureKind::NotFound) if the resolver
///   names none, else [`Unreachable`](FailureKind::Unreachable) with the reasons.
#[derive(Clone)]
pub struct ActorPool<C> {
    part: Result<PoolPart, Failure>,
    name: Arc<str>,
    options: CallOptions,
    client: C,
}

/// What there is of a pool that has a node.
#[derive(Clone)]
pub(crate) struct PoolPart {
    node: Node,
    core: Arc<Core>,
}

impl<C: ServiceClient> ActorPool<C> {
    /// The actors that have this name, as `resolver` finds them, called by the current node. Generated clients have the same
    /// as `FooClient::pool`. Where several nodes live in the process and nothing says which one calls, its calls fail with
    /// [`AmbiguousNode`](FailureKind::AmbiguousNode): say it with [`builder`](Self::builder).
    pub fn new<R: Resolver + Clone>(resolver: &R, name: impl Into<String>) -> Self {
        Self::builder(resolver, name).build()
    }

    /// A pool with settings of its own.
    pub fn builder<R: Resolver + Clone>(resolver: &R, name: impl Into<String>) -> PoolBuilder<C> {
        PoolBuilder::new(Arc::new(resolver.clone()), name.into())
    }

    fn of(part: Result<PoolPart, Failure>, name: Arc<str>, options: CallOptions) -> Self {
        let client = client(&part, &name, Aim::Anyone, &options);
        Self { part, name, options, client }
    }

    /// A client whose calls each go to a member of the pool's choice.
    ///
    /// It can be kept: it follows the pool. Its clones and the calls made with it have no order among each other.
    pub fn call(&self) -> C {
        self.client.clone()
    }

    /// A client whose calls go to the member that has this key: the same one for all callers that see the same members,
    /// unless that has much more to do than the others. When a member leaves or joins, only the keys that it had or gets
    /// change their member.
    ///
    /// The key is hashed; the hash is the same in each process of the same build.
    pub fn call_for(&self, key: &(impl Hash + ?Sized)) -> C {
        client(&self.part, &self.name, Aim::Key(key_of(key)), &self.options)
    }

    /// Calls every member: it has the methods of the service, and each of them gives a [`BroadcastFuture`]. Methods that take
    /// a stream are left out: a stream can be read once. The time for all members together is an argument of what awaits
    /// it, not of the call.
    ///
    /// ```
    /// # use actor_runtime::prelude::*;
    /// # #[actor_service] trait Model { async fn update(&mut self, weights: Vec<f64>) -> u64; }
    /// # async fn f(pool: actor_runtime::pool::ActorPool<ModelClient>) -> Result<(), Failure> {
    /// for each in pool.broadcast().update(vec![0.5, 0.25]).wait_all(Duration::from_secs(5)).await {
    ///     match each.result {
    ///         Ok(version) => println!("{} has version {version}", each.endpoint),
    ///         Err(failure) => println!("{} has not: {failure}", each.endpoint),
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn broadcast(&self) -> C::Broadcast {
        C::broadcast(self.client.as_client())
    }

    /// How many members there are: endpoints of the resolver's last answer whose actor was reached, each actor once. That
    /// one is gone is learned by the next call or broadcast that it has; until then it is counted.
    pub fn size(&self) -> usize {
        self.part.as_ref().map_or(0, |part| part.core.view().size)
    }

    /// Where the members are that [`size`](Self::size) counts, in the resolver's order, each with its actor's id.
    pub fn endpoints(&self) -> Vec<ResolvedEndpoint> {
        let members = self.part.as_ref().map(|part| part.core.members()).unwrap_or_default();
        members.iter().map(|member| member.endpoint().clone()).collect()
    }

    /// Waits until there are so many members.
    ///
    /// # Errors
    /// [`DeadlineExceeded`](FailureKind::DeadlineExceeded) when the time is over, with what is missing and why; and what
    /// calls of the pool would fail with if it has no node.
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    pub async fn wait_for_size(&self, size: usize, timeout: Duration) -> Result<(), Failure> {
        let PoolPart { node, core } = self.part.as_ref().map_err(Clone::clone)?;
        let waited = async {
            match node.now().checked_add(timeout) {
                Some(until) => node.sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = core.wait_for(|view| view.size >= size) => Ok(()),
            () = waited => {
                let detail = format!(
                    "the pool {:?} has {} members after {timeout:?}, not {size}; {}",
                    self.name,
                    self.size(),
                    core.story()
                );
                Err(Failure::new(FailureKind::DeadlineExceeded, Delivery::NotDelivered, detail))
            }
        }
    }

    /// How the pool stands now; as text, a line for each member.
    pub fn snapshot(&self) -> PoolSnapshot {
        match &self.part {
            Ok(part) => part.core.snapshot(),
            Err(failure) => PoolSnapshot {
                name: self.name.to_string(),
                members: Vec::new(),
                rejected: Vec::new(),
                resolver_failure: Some(failure.to_string()),
            },
        }
    }

    /// What happens to the pool from now on. A reader that is more than 256 events behind gets
    /// [`PoolEvent::Missed`] in place of the oldest ones. The stream ends with the pool. An event is told a moment after it has
    /// happened: one that a [`wait_for_size`](Self::wait_for_size) has waited for may come after that.
    pub fn events(&self) -> impl Stream<Item = PoolEvent> + Send + Unpin + use<C> {
        let receiver = self.part.as_ref().ok().map(|part| part.core.subscribe());
        stream::unfold(receiver, |receiver| async {
            let mut receiver = receiver?;
            let event = match receiver.recv().await {
                Ok(event) => event,
                Err(RecvError::Lagged(missed)) => PoolEvent::Missed(missed),
                Err(RecvError::Closed) => return None,
            };
            Some((event, Some(receiver)))
        })
        .boxed()
    }
}

/// A client whose calls take this way through the pool.
fn client<C: ServiceClient>(
    part: &Result<PoolPart, Failure>,
    name: &Arc<str>,
    aim: Aim,
    options: &CallOptions,
) -> C {
    C::from_client(match part {
        Ok(PoolPart { node, core }) => {
            Client::of_pool(node, name.clone(), Through::new(core.clone(), aim), options.clone())
        }
        Err(failure) => Client::of_no_node(failure.clone(), name.clone()),
    })
}

/// Pools from a resolver.
///
/// ```
/// # use actor_runtime::prelude::*;
/// # #[actor_service] trait Model { async fn predict(&self, x: f64) -> f64; }
/// # fn f(resolver: FixedResolver) {
/// let pool = resolver.lookup::<ModelClient>("inference");
/// # }
/// ```
pub trait Lookup: Resolver + Clone {
    /// The pool of the actors that have this name, called by the current node.
    fn lookup<C: ServiceClient>(&self, name: impl Into<String>) -> ActorPool<C> {
        ActorPool::new(self, name)
    }
}

impl<R: Resolver + Clone> Lookup for R {}

impl<C> fmt::Debug for ActorPool<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.part.as_ref().map_or(0, |part| part.core.view().size);
        f.debug_struct("ActorPool").field("name", &self.name).field("size", &size).finish_non_exhaustive()
    }
}
