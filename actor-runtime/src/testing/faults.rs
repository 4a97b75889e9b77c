//! Faults that a test puts into calls.

use std::{
    fmt,
    future::pending,
    panic::resume_unwind,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    BoxFuture, Delivery, Failure, FailureKind, Interest, Layer, LayerCall, Next, OutgoingCall, Side, Status,
    names::is_reserved,
};

/// A layer that puts faults into calls: of all clients of a node ([`NodeBuilder::client_layer`](crate::NodeBuilder::client_layer)),
/// of all its actors ([`NodeBuilder::server_layer`](crate::NodeBuilder::server_layer)), or of one actor
/// ([`Registration::layer`](crate::Registration::layer)).
///
/// Faults are looked at in the order in which they were added, and the first one that is due is put in: one a call. Clones
/// share faults and counts. What is drawn at random is drawn from the seed; calls that run side by side take their draws in the
/// order in which they come to the layer.
///
/// ```
/// use actor_runtime::{Retry, prelude::*, testing::{Fault, Faults}};
/// # #[actor_service] trait Counter { async fn add(&mut self, by: u64) -> u64; }
/// # struct Tally(u64);
/// # #[actor_service]
/// # impl Counter for Tally {
/// #     async fn add(&mut self, by: u64) -> u64 { self.0 += by; self.0 }
/// # }
///
/// # #[actor_runtime::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let faults = Faults::seeded(7);
/// faults.add(Fault::fail(FailureKind::Overloaded).of("add").nth(1));
/// faults.add(Fault::fail_after(FailureKind::ConnectionLost).of("add").nth(1));
/// # let node = Node::builder().build()?;
/// let tally = node.unnamed_actor(Tally(0)).layer(faults.clone()).start()?;
/// let counter: CounterClient = tally.client();
///
/// let refused = counter.add(1).retry(Retry::none()).await.unwrap_err(); // else it would be tried again
/// assert_eq!(refused.delivery(), Delivery::NotDelivered);
/// assert_eq!(counter.add(2).await.unwrap_err().delivery(), Delivery::Executed);
/// assert_eq!(counter.add(4).await?, 6); // without the 1, which was not delivered
/// assert_eq!(faults.counts().failed, 2);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Faults {
    state: Arc<Mutex<State>>,
}

struct State {
    random: fastrand::Rng,
    faults: Vec<(Fault, u64)>,
    counts: FaultCounts,
}

/// One kind of fault, and which calls it hits: all, unless it says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    method: Option<String>,
    when: When,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Always,
    Nth(u64),
    Share(f64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    Fail(FailureKind),
    FailAfter(FailureKind),
    Delay(Duration),
    LoseReply,
    Panic,
}

/// How many faults were put in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultCounts {
    /// Calls that have failed, before or after their handlers ran.
    pub failed: u64,
    /// Calls that were held up.
    pub delayed: u64,
    /// Replies that were lost.
    pub lost: u64,
    /// Handlers that have panicked.
    pub panicked: u64,
}

impl Fault {
    /// The call fails, and its handler does not run: [`Delivery::NotDelivered`].
    pub fn fail(kind: FailureKind) -> Self {
        Self::new(What::Fail(kind))
    }

    /// The handler runs, and then the call fails: [`Delivery::Executed`], also if it replied with an error of its own. A call that
    /// fails by itself keeps its failure.
    pub fn fail_after(kind: FailureKind) -> Self {
        Self::new(What::FailAfter(kind))
    }

    /// The call goes on after this time on the node's clock; at the server within its turn, which holds the actor if the
    /// method has `&mut self`. Its deadline does not wait.
    pub fn delay(time: Duration) -> Self {
        Self::new(What::Delay(time))
    }

    /// The handler runs, and its reply is lost: the call ends by its deadline. At the server a `&mut self` turn holds its
    /// actor until then; at the client nobody is held. A call without a deadline fails at once with
    /// [`ConnectionLost`](FailureKind::ConnectionLost), since it would never end.
    pub fn lose_reply() -> Self {
        Self::new(What::LoseReply)
    }

    /// The handler panics before its first line, as handlers do: the call fails with [`Panicked`](FailureKind::Panicked), and
    /// the actor ends or is started again by its supervisor. At a server; a client has no handler, and lets the call pass.
    pub fn panic() -> Self {
        Self::new(What::Panic)
    }

    /// Of calls of this method only: `add`, of whatever service, or `Counter/add`.
    #[must_use]
    pub fn of(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }

    /// Of the nth of these calls only, from 1, counted from when the fault is added; calls that an earlier fault has hit are
    /// not counted.
    #[must_use]
    pub fn nth(mut self, n: u64) -> Self {
        self.when = When::Nth(n);
        self
    }

    /// Of this share of these calls, between 0 and 1, drawn at random.
    #[must_use]
    pub fn share(mut self, share: f64) -> Self {
        self.when = When::Share(share);
        self
    }

    fn new(what: What) -> Self {
        Self { method: None, when: When::Always, what }
    }

    fn is_of(&self, call: &LayerCall<'_>) -> bool {
        let method = call.method();
        let is_meant = |name: &String| *name == method.name || *name == method.to_string();
        self.method.as_ref().is_none_or(is_meant)
    }
}

impl Faults {
    /// None yet; what is random is drawn from this seed.
    pub fn seeded(seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self {
            state: Arc::new(Mutex::new(State { random, faults: Vec::new(), counts: FaultCounts::default() })),
        }
    }

    /// Adds a fault, behind those that are there. It hits calls that come to the layer from now on.
    pub fn add(&self, fault: Fault) {
        self.state().faults.push((fault, 0));
    }

    /// Takes all faults away; calls that were hit stay so, and the counts stay.
    pub fn clear(&self) {
        self.state().faults.clear();
    }

    /// How many were put in.
    pub fn counts(&self) -> FaultCounts {
        self.state().counts
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to happen to a call.
    fn draw(&self, call: &LayerCall<'_>) -> Option<What> {
        let mut state = self.state();
        let State { random, faults, counts } = &mut *state;
        for (fault, seen) in faults.iter_mut() {
            let misplaced = fault.what == What::Panic && call.side() == Side::Client;
            if misplaced || !fault.is_of(call) {
                continue;
            }
            *seen += 1;
            let is_due = match fault.when {
                When::Always => true,
                When::Nth(n) => *seen == n,
                When::Share(share) => random.f64() < share,
            };
            if is_due {
                let count = match fault.what {
                    What::Fail(_) | What::FailAfter(_) => &mut counts.failed,
                    What::Delay(_) => &mut counts.delayed,
                    What::LoseReply => &mut counts.lost,
                    What::Panic => &mut counts.panicked,
                };
                *count += 1;
                return Some(fault.what);
            }
        }
        None
    }
}

impl Layer for Faults {
    fn outgoing(&self, call: &mut OutgoingCall<'_>) -> Result<Interest, Failure> {
        Ok(self.interest(call.actor_name()))
    }

    fn incoming(&self, call: &LayerCall<'_>) -> Result<Interest, Failure> {
        Ok(self.interest(call.actor_name()))
    }

    fn call<'a>(&'a self, call: LayerCall<'a>, next: Next<'a>) -> BoxFuture<'a, Result<Status, Failure>> {
        let fault = self.draw(&call);
        Box::pin(async move {
            match fault {
                None => next.run().await,
                Some(What::Fail(kind)) => Err(injected(kind, Delivery::NotDelivered)),
                Some(What::FailAfter(kind)) => {
                    next.run().await?;
                    Err(injected(kind, Delivery::Executed))
                }
                Some(What::Delay(time)) => {
                    let node = call.node();
                    node.sleep_until(node.now() + time).await;
                    next.run().await
                }
                Some(What::LoseReply) => {
                    next.run().await?;
                    if call.remaining().is_none() {
                        return Err(injected(FailureKind::ConnectionLost, Delivery::Executed));
                    }
                    match call.side() {
                        // Dropped at the deadline.
                        Side::Client => pending().await,
                        Side::Server => call.left().await,
                    }
                    Err(injected(FailureKind::DeadlineExceeded, Delivery::Executed))
                }
                Some(What::Panic) => resume_unwind(Box::new(HandlerPanic)),
            }
        })
    }
}

impl Faults {
    fn interest(&self, actor: &str) -> Interest {
        let none = is_reserved(actor) || self.state().faults.is_empty();
        if none { Interest::Pass } else { Interest::Around }
    }
}

fn injected(kind: FailureKind, delivery: Delivery) -> Failure {
    Failure::new(kind, delivery, "a fault that the test put in (`testing::Faults`)")
}

/// A panic that is to be the handler's, and not the layer's.
pub(crate) struct HandlerPanic;

impl HandlerPanic {
    /// What a handler would have said.
    pub(crate) const TEXT: &str = "a panic that the test put in (`testing::Faults`)";
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Faults").field("faults", &state.faults).field("counts", &state.counts).finish()
    }
}
