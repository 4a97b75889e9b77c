//! A bound on how many calls run at a time, or are in flight.
//!
//! Invariants:
//! 1. No more than so many calls hold a place, and a place is given back however its call ends: it is a value in the
//!    call's future.
//! 2. Places are given in the order in which calls came for them (tokio's semaphore is fair).
//! 3. A call that a holder of a place waits for needs no place, so the limit itself makes no circle (S5).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    actor_id::ActorId,
    call::{CallHead, Delivery, Failure, FailureKind},
    context,
    layer::{Interest, Layer, LayerCall, Next, OutgoingCall, Side},
    names::{BoxFuture, is_reserved},
    service::Status,
};

/// Lets at most so many calls through at a time: as a server layer those that run, of a node or of one actor; as a client
/// layer those in flight. Further ones wait in the order in which they came, each within its deadline, or fail with
/// [`Overloaded`](FailureKind::Overloaded).
///
/// A clone shares the places, so that several actors can have one limit together.
///
/// Calls of the server's own actors, such as `$inspect`, are not counted.
///
/// # Chains
/// A call that comes back to a limit inside which one of the turns that wait for it holds a place already passes: a turn
/// that calls its own actor does not wait for itself. As a client layer it knows this from the turns of its own node on the
/// call's chain and from the caller of the turn that makes the call; what it cannot see is a place held by a caller that
/// is no actor, two nodes back. Such a circle ends by its deadline.
///
/// On the server, a call waits for its place inside its turn: a `&self` call that waits counts towards
/// [`overlap`](crate::Registration::overlap), and a `&mut self` call that waits holds its actor. Where turns of *other*
/// actors inside the same limit call that actor, they would wait for each other until their deadlines: give such actors
/// limits of their own.
///
/// ```
/// use actor_runtime::{layers::ConcurrencyLimit, prelude::*};
///
/// #[actor_service]
/// trait Model {
///     async fn infer(&self, prompt: &str) -> String;
/// }
///
/// struct Echo;
///
/// #[actor_service]
/// impl Model for Echo {
///     async fn infer(&self, prompt: &str) -> String {
///         prompt.to_owned()
///     }
/// }
///
/// #[actor_runtime::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let server = ActorServer::bind("loopback:0").await?;
///     // Two prompts at a time; others wait.
///     server.registration("model", Echo).layer(ConcurrencyLimit::new(2)).register()?;
///     let model = ModelClient::new(&FixedResolver::new([("model", server.address())]), "model");
///     assert_eq!(model.infer("hello").await?, "hello");
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct ConcurrencyLimit {
    places: Arc<Places>,
    refuse: bool,
}

#[derive(Debug)]
struct Places {
    most: usize,
    free: Semaphore,
    /// The actors whose turns hold places, and how many.
    holders: Mutex<HashMap<ActorId, usize>>,
}

impl ConcurrencyLimit {
    /// At most so many calls at a time, at least 1.
    pub fn new(calls: usize) -> Self {
        let most = calls.clamp(1, Semaphore::MAX_PERMITS);
        let places = Places { most, free: Semaphore::new(most), holders: Mutex::default() };
        Self { places: Arc::new(places), refuse: false }
    }

    /// Has calls beyond the limit fail with [`Overloaded`](FailureKind::Overloaded), not delivered, in place of waiting.
    #[must_use]
    pub fn refuse(mut self) -> Self {
        self.refuse = true;
        self
    }

    async fn enter(&self, call: &LayerCall<'_>) -> Result<SemaphorePermit<'_>, Failure> {
        if let Ok(place) = self.places.free.try_acquire() {
            return Ok(place);
        }
        let most = self.places.most;
        if self.refuse {
            let detail =
                format!("a limit lets {most} calls through at a time, and there are as many; try again");
            return Err(Failure::new(FailureKind::Overloaded, Delivery::NotDelivered, detail));
        }
        tokio::select! {
            biased;
            // The semaphore is never closed.
            Ok(place) = self.places.free.acquire() => Ok(place),
            () = call.left() => {
                let detail = format!("nobody waited for the call any more when a limit of {most} had a place for it");
                Err(Failure::new(FailureKind::Cancelled, Delivery::NotDelivered, detail))
            }
        }
    }
}

impl Layer for ConcurrencyLimit {
    fn outgoing(&self, call: &mut OutgoingCall<'_>) -> Result<Interest, Failure> {
        let node = call.node().id();
        // The turn that makes the call was itself called through this node's layers.
        let called_from_here =
            context::with_current(|turn| turn.caller().is_some_and(|caller| caller.node == node));
        // So were the calls of its other turns on the chain; the innermost is the one that makes this call.
        let mut waiting = call.head().chain.iter().flat_map(|chain| chain.iter().skip(1));
        let inside = called_from_here == Some(true) || waiting.any(|turn| turn.actor.node == node);
        Ok(interest(inside || is_reserved(call.actor_name())))
    }

    fn incoming(&self, call: &LayerCall<'_>) -> Result<Interest, Failure> {
        Ok(interest(is_reserved(call.actor_name()) || self.places.holds_one_of(call.head())))
    }

    fn call<'a>(&'a self, call: LayerCall<'a>, next: Next<'a>) -> BoxFuture<'a, Result<Status, Failure>> {
        Box::pin(async move {
            let _place = self.enter(&call).await?;
            let _holder = match call.side() {
                Side::Server => context::with_current(|turn| Holder::new(&self.places, turn.actor_id())),
                Side::Client => None,
            };
            next.run().await
        })
    }
}

fn interest(passes: bool) -> Interest {
    if passes { Interest::Pass } else { Interest::Around }
}

impl Places {
    fn holders(&self) -> MutexGuard<'_, HashMap<ActorId, usize>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a turn that waits for this call holds a place.
    fn holds_one_of(&self, head: &CallHead) -> bool {
        let Some(chain) = &head.chain else { return false };
        let holders = self.holders();
        chain.iter().any(|turn| holders.contains_key(&turn.actor))
    }
}

/// A turn of this actor holds a place, as long as this lives.
struct Holder<'a> {
    places: &'a Places,
    actor: ActorId,
}

impl<'a> Holder<'a> {
    fn new(places: &'a Places, actor: ActorId) -> Self {
        *places.holders().entry(actor).or_default() += 1;
        Self { places, actor }
    }
}

impl Drop for Holder<'_> {
    fn drop(&mut self) {
        let mut holders = self.places.holders();
        if let Some(turns) = holders.get_mut(&self.actor) {
            *turns -= 1;
            if *turns == 0 {
                holders.remove(&self.actor);
            }
        }
    }
}
