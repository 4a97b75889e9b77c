//! Watching: being told that an actor has ended, wherever it was.
//!
//! ```text
//!   Monitor ── which registration? ──► this node:    its mailbox says when it has ended
//!                                      another one:  a stream of its `$inspect`, whose one item comes when it has ended;
//!                                                    the loss of the connection is an end of that stream too
//! ```
//!
//! An actor that watches others (`ctx.watch`) has a task for each that waits, and is told by a turn of its own
//! (`Actor::on_down`), through its mailbox.
//!
//! A link (`ctx.link`) is a monitor whose word ends the actor, unless the other one stopped well.
//!
//! There is no protocol for this: the stream is one like any other, and all that S6 promises of them holds for it.

mod down;
mod link;
mod turn;

use std::{
    fmt,
    future::{Future, ready},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

pub use down::{Down, DownReason};
pub use link::Link;
pub(crate) use link::Links;
pub use turn::Watch;
pub(crate) use turn::{DownTurn, Watches};

use futures::TryStreamExt;

use crate::{
    Node,
    actor_id::ActorId,
    call::{Failure, FailureKind},
    client::ServiceClient,
    inspect::{self, InspectClient},
    names::{Address, BoxFuture, FixedResolver},
};

/// Watches an actor, wherever it is: a future of exactly one [`Down`].
///
/// What is watched is the registration that has the client's name when the watch begins, or the one that the client is
/// pinned to. That a supervisor starts it again is no end. One that ended before, or never was, is down at once, as
/// [`DownReason::Gone`].
///
/// If the actor is on another node, the end of that node's process ends this too, within the bound of S6, and so does the
/// loss of the connection: then nobody here knows what became of the actor ([`DownReason::Lost`]).
///
/// ```
/// use actor_runtime::{DownReason, Monitor, prelude::*};
///
/// # #[actor_service] trait Work { async fn step(&mut self); }
/// # struct Hand;
/// # #[actor_service] impl Work for Hand { async fn step(&mut self) { panic!("a splinter") } }
/// # #[actor_runtime::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = ActorServer::bind("loopback:0").await?;
/// server.register("hand", Hand)?;
/// let hand = WorkClient::new(&server.resolver(), "hand");
/// // From here on it is watched.
/// let monitor = Monitor::begin(&hand).await;
/// let _ = hand.step().await;
/// let down = monitor.await;
/// assert!(matches!(&down.reason, DownReason::Failed(why) if why.contains("a splinter")));
/// # Ok(()) }
/// ```
///
/// # Cancel safety
/// It can be dropped at any time; nobody is watched then.
#[must_use = "a monitor tells nothing unless it is awaited"]
pub struct Monitor {
    name: String,
    actor: Option<ActorId>,
    end: BoxFuture<'static, DownReason>,
}

impl Monitor {
    /// Watches what this client calls, from when this has returned. It takes the time of a call; one that fails is an end
    /// that the monitor tells: [`DownReason::Gone`] or [`DownReason::Lost`].
    ///
    /// # Cancel safety
    /// The future can be dropped at any time; nobody is watched then.
    pub async fn begin(client: &impl ServiceClient) -> Self {
        let client = client.as_client();
        let (name, pinned) = (client.actor_name().to_owned(), client.pinned_actor());
        let begun = async {
            let node = client.node()?;
            let (actor, address) = client.locate().await?;
            let end = match address {
                Some(address) if actor.node() != node.id() => far(node, actor, &address).await?,
                _ => here(node, actor),
            };
            Ok((actor, end))
        };
        match begun.await {
            Ok((actor, end)) => Self { name, actor: Some(actor), end },
            Err(failure) => Self { name, actor: pinned, end: Box::pin(ready(not_seen(failure))) },
        }
    }

    /// The registration that is watched; `None` if nothing had the name, or it was not reached.
    pub fn actor(&self) -> Option<ActorId> {
        self.actor
    }
}

impl Future for Monitor {
    type Output = Down;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Down> {
        let reason = ready!(self.end.as_mut().poll(cx));
        Poll::Ready(Down { name: self.name.clone(), actor: self.actor, reason })
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor")
            .field("name", &self.name)
            .field("actor", &self.actor)
            .finish_non_exhaustive()
    }
}

/// The end of an actor of this node.
fn here(node: &Node, actor: ActorId) -> BoxFuture<'static, DownReason> {
    let running = node.roster().find(actor.serial).filter(|running| running.identity.id == actor);
    Box::pin(async move {
        match running {
            Some(running) => DownReason::of(&*running.mailbox.ended().await),
            None => DownReason::Gone,
        }
    })
}

/// How long a server is left alone that has too many questions to answer.
const PAUSE: Duration = Duration::from_millis(50);

/// The end of an actor of the node that listens there.
async fn far(
    node: &Node,
    actor: ActorId,
    address: &Address,
) -> Result<BoxFuture<'static, DownReason>, Failure> {
    let resolver = FixedResolver::new([(inspect::NAME, address.clone())]);
    let inspect = InspectClient::on(node, &resolver, inspect::NAME);
    let until = node.after(node.config().default_timeout);
    let mut end = loop {
        match inspect.end_of(actor).await {
            Ok(end) => break end,
            Err(failure) if failure.kind() == FailureKind::Overloaded && node.now() < until => {
                node.sleep_until(node.now() + PAUSE).await;
            }
            Err(failure) => return Err(failure),
        }
    };
    Ok(Box::pin(async move {
        match end.try_next().await {
            Ok(Some(Some(end))) => DownReason::from(end),
            Ok(Some(None) | None) => DownReason::Gone,
            Err(failure) => DownReason::Lost(failure),
        }
    }))
}

/// What is known of an actor that could not be watched.
fn not_seen(failure: Failure) -> DownReason {
    match failure.kind() {
        FailureKind::NotFound | FailureKind::Stale => DownReason::Gone,
        _ => DownReason::Lost(failure),
    }
}
