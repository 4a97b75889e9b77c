//! What a program holds of an actor that it has started.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use super::{ActorCell, Counts, FailedCall};
use crate::{
    actor_id::ActorId,
    call::{StopReason, Target},
    client::{Client, ServiceClient},
    names::BoxFuture,
};

/// An actor that was started with [`Registration::start`](crate::Registration::start). Clones are of the same actor, and
/// dropping them does not end it.
///
/// Orders are given when the method is called; the future that it returns waits for the end and can be dropped. Each
/// order bounds the time that the actor has left, if its handlers and hooks await; one that blocks its thread ends when
/// it lets go of it. The order that leaves the least counts. An actor in the care of a supervisor that is stopped or killed
/// by its handle is not started again.
///
/// ```
/// # use actor_runtime::{Node, StopReason, prelude::*};
/// # #[actor_service] trait Counter { async fn add(&mut self, n: u64) -> u64; }
/// # #[derive(Default)] struct Tally(u64);
/// # #[actor_service] impl Counter for Tally {
/// #     async fn add(&mut self, n: u64) -> u64 { self.0 += n; self.0 }
/// # }
/// # #[actor_runtime::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let node = Node::builder().build()?;
/// let tally = node.unnamed_actor(Tally::default()).start()?;
/// tally.started().await?;
/// assert_eq!(tally.client::<CounterClient>().add(2).await?, 2);
/// assert_eq!(tally.stop(Duration::from_secs(1)).await, StopReason::Stopped);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct ActorHandle {
    cell: Arc<ActorCell>,
}

impl ActorHandle {
    pub(crate) fn new(cell: Arc<ActorCell>) -> Self {
        Self { cell }
    }

    /// Which registration it is.
    pub fn id(&self) -> ActorId {
        self.cell.identity.id
    }

    /// The name that it was given, or what stands for it in texts if it was given none: `#` and a number.
    pub fn name(&self) -> &str {
        &self.cell.identity.name
    }

    /// A client of this actor, and of no other: pinned (S12). Its calls go to the mailbox directly; they are encoded if the
    /// node encodes all calls ([`LocalCalls::Encoded`](crate::LocalCalls::Encoded)), has a server, and the actor a name.
    ///
    /// Calls fail with [`Unimplemented`](crate::FailureKind::Unimplemented) if the actor does not serve the service.
    pub fn client<C: ServiceClient>(&self) -> C {
        C::from_client(Client::of_target(
            &self.cell.identity.node,
            &self.cell.identity.name,
            self.cell.clone(),
        ))
    }

    /// Waits until the actor has started: its first [`on_start`](crate::Actor::on_start) has ended well.
    ///
    /// # Errors
    /// Why it ended, if it ended before.
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    pub async fn started(&self) -> Result<(), StopReason> {
        self.cell.mailbox.started().await.map_err(|reason| (*reason).clone())
    }

    /// Refuses new calls and runs the queue; what is left after `grace`, hooks included, is ended as by
    /// [`kill`](Self::kill).
    pub fn stop(&self, grace: Duration) -> Ended {
        self.cell.stop_within(StopReason::Stopped, grace);
        self.ended()
    }

    /// Refuses new calls, fails those that are queued with [`Stopped`](crate::FailureKind::Stopped), not delivered, and
    /// lets running turns end, `&self` and `&mut self` ones alike. What is left after
    /// [`Config::stop_timeout`](crate::Config::stop_timeout), hooks included, is ended as by [`kill`](Self::kill).
    pub fn stop_now(&self) -> Ended {
        self.cell.stop_now(StopReason::Stopped);
        self.ended()
    }

    /// Ends the actor at its next await: turns are dropped, queued calls fail, and so do streams of the actor.
    /// [`on_stop`](crate::Actor::on_stop) is not run. The actors that it had started are killed with it.
    pub fn kill(&self) -> Ended {
        self.cell.kill(StopReason::Killed);
        self.ended()
    }

    /// How many turns it has had since it was registered, and how they ended; over all its runs, and also when it has ended.
    ///
    /// A turn is counted when its actor goes on, which may be shortly after its caller has the reply. What is queued and
    /// running now [`Node::actors`](crate::Node::actors) shows.
    pub fn counts(&self) -> Counts {
        self.cell.counts(&self.cell.mailbox.look(self.cell.identity.node.now()))
    }

    /// The last [`FailedCall::KEPT`] calls whose panics ended runs of this actor, the oldest first; over all its runs, and
    /// also when it has ended. When a caller learns that its call has panicked, it is among them.
    ///
    /// ```
    /// # use actor_runtime::{Node, prelude::*};
    /// # #[actor_service] trait Divider { async fn divide(&mut self, a: u32, b: u32) -> u32; }
    /// # struct Desk;
    /// # #[actor_service] impl Divider for Desk {
    /// #     async fn divide(&mut self, a: u32, b: u32) -> u32 { a / b }
    /// # }
    /// # #[actor_runtime::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let node = Node::builder().build()?;
    /// let desk = node.actor("desk", Desk).supervised(|| Desk)?;
    /// let client: DividerClient = desk.client();
    /// assert!(client.divide(1, 0).await.is_err());
    /// assert_eq!(client.divide(4, 2).await?, 2);
    /// let failed = &desk.failures()[0];
    /// assert_eq!((failed.method.as_str(), failed.run), ("Divider/divide", 0));
    /// println!("{failed}");
    /// # Ok(()) }
    /// ```
    pub fn failures(&self) -> Vec<FailedCall> {
        self.cell.failed_calls()
    }

    /// Waits until the actor has ended, and gives the reason; also long after.
    pub fn ended(&self) -> Ended {
        let cell = self.cell.clone();
        Ended::new(async move { (*cell.mailbox.ended().await).clone() })
    }
}

/// Waits until an actor or a supervisor has ended, and gives the reason. Dropping it changes nothing.
pub struct Ended(BoxFuture<'static, StopReason>);

impl Ended {
    pub(crate) fn new(ended: impl Future<Output = StopReason> + Send + 'static) -> Self {
        Self(Box::pin(ended))
    }
}

impl Future for Ended {
    type Output = StopReason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<StopReason> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ended").finish_non_exhaustive()
    }
}

impl fmt::Debug for ActorHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorHandle")
            .field("name", &self.name())
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
