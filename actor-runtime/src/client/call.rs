//! One call as its caller holds it: a future.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::Instant;

use super::{gate::Gate, layered::layered};
use crate::{
    Node,
    call::{
        AnyCall, CallHead, CallOptions, Caller, Delivery, Failure, FailureKind, Hop, Link, MetadataValue,
        Retry, Timeout,
    },
    context,
    layer::{Begun, Side},
    names::BoxFuture,
    service::MethodTimeout,
};

/// A call of a method: a future of its end. Nothing is sent before the first poll.
///
/// It owns its arguments, so it can be moved to another task. Options set here go before those of the client.
///
/// Code that is not async ends it with [`wait`](Self::wait).
///
/// # Cancel safety
/// Dropping it cancels the call: what is queued is not run, a running `&self` turn ends at its next await, a running
/// `&mut self` turn goes on to its end without a reader (S7). A `#[oneway]` call that was accepted cannot be cancelled.
///
/// # Panics
/// Polling it again after it ended panics, as with every future.
#[must_use = "a call does nothing unless it is awaited"]
pub struct Call<O> {
    gate: Arc<Gate>,
    call: Arc<dyn AnyCall>,
    finish: fn(&dyn AnyCall) -> O,
    options: CallOptions,
    now: bool,
    /// Whether its caller's waker was left in it before it was sent.
    parked: bool,
    progress: Progress,
}

enum Progress {
    Created,
    Waiting,
    /// Inside the node's client layers.
    Layered(BoxFuture<'static, ()>),
    Ended,
}

impl<O> Call<O> {
    pub(super) fn new(gate: Arc<Gate>, call: Arc<dyn AnyCall>, finish: fn(&dyn AnyCall) -> O) -> Self {
        let options = CallOptions::new();
        Self { gate, call, finish, options, now: false, parked: false, progress: Progress::Created }
    }

    /// Has the call fail at its first poll.
    pub(crate) fn refuse(&self, failure: &Failure) {
        self.call.fail(&mut |_| failure.clone());
    }

    /// How long the call may take, from its first poll on. See [`CallOptions::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options = mem::take(&mut self.options).timeout(timeout);
        self
    }

    /// No deadline at all. See [`CallOptions::no_timeout`].
    pub fn no_timeout(mut self) -> Self {
        self.options = mem::take(&mut self.options).no_timeout();
        self
    }

    /// How often the call is tried. See [`Retry`].
    pub fn retry(mut self, retry: Retry) -> Self {
        self.options = mem::take(&mut self.options).retry(retry);
        self
    }

    /// Adds an entry to what travels with the call. See [`CallOptions::metadata`].
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options = mem::take(&mut self.options).metadata(name, value);
        self
    }

    /// Adds a typed entry to what travels with the call. See [`CallOptions::with`].
    pub fn with<T: MetadataValue>(mut self, value: T) -> Self {
        self.options = mem::take(&mut self.options).with(value);
        self
    }

    /// Options that go before those set so far.
    pub fn with_options(mut self, options: CallOptions) -> Self {
        self.options = options.or(&self.options);
        self
    }

    /// Has the call fail rather than wait for room. Its first poll sends it, or fails with
    /// [`Overloaded`](FailureKind::Overloaded) and [`NotDelivered`](Delivery::NotDelivered) and a text that says what was
    /// full:
    ///
    /// - the way to the actor is not known yet, as with a new client (it is looked up all the same, for the next call),
    /// - between nodes, as many calls as the callee takes at a time are waiting already,
    /// - the actor's mailbox has no place for it.
    ///
    /// What it goes on to wait for is its end: of a `#[oneway]` call that it is accepted, of others their reply. So a
    /// `#[oneway]` call to an actor of the same node that is called directly ends at its first poll; to
    /// another node it takes the time of the way there and back. That an actor stopped or moved is not waited out
    /// either: such a call fails with what it was refused with.
    ///
    /// Layers of the client's side that wait for something delay this too: the call is made when they run it.
    ///
    /// ```
    /// use actor_runtime::prelude::*;
    ///
    /// #[actor_service]
    /// trait Journal {
    ///     #[oneway]
    ///     async fn note(&mut self, line: String);
    /// }
    ///
    /// /// Notes what can be noted without waiting; gives false if it cannot.
    /// async fn note(journal: &JournalClient, line: &str) -> Result<bool, Failure> {
    ///     match journal.note(line.to_owned()).try_now().await {
    ///         Ok(()) => Ok(true),
    ///         Err(failure) if failure.kind() == FailureKind::Overloaded => Ok(false),
    ///         Err(failure) => Err(failure),
    ///     }
    /// }
    /// ```
    pub fn try_now(mut self) -> Self {
        self.now = true;
        self
    }

    /// Makes the call for another one, which it is to answer: with that one's chain, and no more time than that one has.
    pub(crate) fn on_behalf_of(mut self, other: &CallHead) -> Self {
        if let Some(call) = Arc::get_mut(&mut self.call) {
            let head = call.head_mut();
            head.chain.clone_from(&other.chain);
            head.deadline = other.turn_deadline();
        }
        self
    }

    /// When it has to be over; known once it was polled.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.call.head().deadline
    }

    /// Ends it with this failure, unless it has ended meanwhile, or something else is known of it.
    pub(super) fn cut_off(mut self, failure: Failure) -> O {
        self.progress = Progress::Ended;
        let failure = match self.gate.take_back(&self.call) {
            None => failure,
            Some(Some(told)) if told.delivery() != Delivery::NotDelivered => told,
            Some(_) => Failure::new(failure.kind(), Delivery::NotDelivered, failure.detail()),
        };
        self.call.expire(&mut |_| failure.clone());
        self.gate.over(&*self.call, true);
        (self.finish)(&*self.call)
    }

    /// Sends the call.
    fn start(&mut self, waker: &Waker) {
        // First: if the arguments panic while they are sent, the call is still to be given up.
        self.progress = Progress::Waiting;
        let Self { gate, call, options, now, parked, .. } = self;
        match send(gate, call, options, *now, waker, parked) {
            Ok(None) => {}
            Ok(Some((node, begun))) => {
                let layered = layered(node, self.gate.clone(), self.call.clone(), begun);
                self.progress = Progress::Layered(Box::pin(layered));
            }
            Err(failure) => self.refuse(&failure),
        }
    }
}

/// Sends a call, unless the layers of the client's side are to do that. Its caller's waker is left in it before anybody else
/// has it, while no lock is needed for that.
fn send(
    gate: &Gate,
    shared: &mut Arc<dyn AnyCall>,
    options: &mut CallOptions,
    now_or_never: bool,
    waker: &Waker,
    parked: &mut bool,
) -> Result<Option<(Node, Begun)>, Failure> {
    let node = gate.node()?;
    let call = mine(shared)?;
    let head = call.head_mut();
    let now = prepare(gate, node, head, options, now_or_never)?;
    // A oneway call mostly is over before its caller waits for it, and would be woken by what it does itself.
    *parked = !head.method.oneway;
    if !node.client_layers().are_off(Side::Client) {
        return shown(gate, node, now, shared, waker, *parked);
    }
    let Some(pool) = gate.pool() else {
        if *parked {
            call.park_first(waker);
        }
        gate.pass(node, now, shared.clone());
        return Ok(None);
    };
    let way = pool.seat(head);
    if *parked {
        call.park_first(waker);
    }
    gate.begin(&**pool, way, node, now, shared.clone());
    Ok(None)
}

/// Says for the call who makes it, from which turn, and until when; gives the time.
fn prepare(
    gate: &Gate,
    node: &Node,
    head: &mut CallHead,
    options: &mut CallOptions,
    now_or_never: bool,
) -> Result<Instant, Failure> {
    let wider = gate.options();
    if options.is_beyond_timeout() || wider.is_beyond_timeout() {
        *options = mem::take(options).or(wider);
    }
    if let Some(error) = &options.refused {
        return Err(Failure::new(FailureKind::TooLarge, Delivery::NotDelivered, error.to_string()));
    }
    let own = match (options.timeout.or(wider.timeout), head.method.timeout) {
        (Some(Timeout::After(timeout)), _) => Some(timeout),
        (Some(Timeout::Never), _) => None,
        (None, MethodTimeout::After(timeout)) => Some(timeout),
        (None, MethodTimeout::Never) => None,
        (None, MethodTimeout::Default) => Some(node.config().default_timeout),
    };
    let now = node.now();
    head.home = Some(node.instance());
    head.now = now_or_never;
    head.made = Some(now);
    head.deadline = earlier(own.and_then(|timeout| now.checked_add(timeout)), head.deadline);
    if options.metadata.is_some() {
        head.metadata = options.metadata.take();
    }
    if options.retry.is_some() {
        head.retry = options.retry.take();
    }
    if head.method.dedup {
        head.number = node.next_number();
    }
    let in_turn = context::with_current(|context| {
        head.caller = Some(Caller::here(context.node().id(), Some(context.actor_id())));
        // Nobody waits for the turn of a oneway call.
        head.chain = if head.method.oneway { None } else { context.chain().or_else(|| head.chain.take()) };
        head.deadline = earlier(head.deadline, context.deadline());
    });
    if in_turn.is_none() {
        head.caller = Some(Caller::here(node.id(), None));
    }
    if head.deadline.is_some_and(|deadline| deadline <= now) {
        let detail = "it had no time left when it was made";
        return Err(Failure::new(FailureKind::DeadlineExceeded, Delivery::NotDelivered, detail)
            .with_hops(head.chain.as_ref().map(|link| link.hops()).unwrap_or_default()));
    }
    match &head.chain {
        Some(chain) if chain.length > Link::MAX => return Err(too_deep(chain)),
        Some(chain) => chain.wait_for(Hop { actor: head.name.to_string(), method: head.method.to_string() }),
        None => {}
    }
    Ok(now)
}

/// Shows the call to the node's layers; sends it if it goes on as if there were none.
fn shown(
    gate: &Gate,
    node: &Node,
    now: Instant,
    shared: &mut Arc<dyn AnyCall>,
    waker: &Waker,
    park: bool,
) -> Result<Option<(Node, Begun)>, Failure> {
    let call = mine(shared)?;
    if park {
        call.park_first(waker);
    }
    let head = call.head_mut();
    if gate.pool().is_some() {
        // It is sent when others have it.
        head.seats.open();
    }
    match node.client_layers().outgoing(head, node) {
        None => {
            gate.pass(node, now, shared.clone());
            Ok(None)
        }
        Some(Begun { around, refused: Some(failure) }) if around.is_empty() => Err(failure),
        Some(begun) => Ok(Some((node.clone(), begun))),
    }
}

/// The call, which nobody else has yet.
fn mine(call: &mut Arc<dyn AnyCall>) -> Result<&mut dyn AnyCall, Failure> {
    Arc::get_mut(call).ok_or_else(|| {
        let detail = "somebody else had the call before it was sent; please report this";
        Failure::new(FailureKind::Internal, Delivery::NotDelivered, detail)
    })
}

fn earlier(own: Option<Instant>, inherited: Option<Instant>) -> Option<Instant> {
    match (own, inherited) {
        (Some(own), Some(inherited)) => Some(own.min(inherited)),
        (own, inherited) => own.or(inherited),
    }
}

fn too_deep(chain: &Link) -> Failure {
    let detail = format!("the chain of calls has more than {} turns that wait for each other", Link::MAX);
    Failure::new(FailureKind::TooLarge, Delivery::NotDelivered, detail).with_hops(chain.hops())
}

impl<O> Future for Call<O> {
    type Output = O;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<O> {
        let this = &mut *self;
        let first = matches!(this.progress, Progress::Created);
        if first {
            this.start(cx.waker());
        }
        let over = match &mut this.progress {
            Progress::Layered(layered) => {
                layered.as_mut().poll(cx).map(|()| this.call.ended() != Some(false))
            }
            // The waker is in the call already.
            Progress::Waiting if first && this.parked => this.call.ended().map_or(Poll::Pending, Poll::Ready),
            Progress::Waiting => this.call.poll_over(cx),
            Progress::Created | Progress::Ended => panic!("a call was polled after it had ended"),
        };
        over.map(|failed| {
            this.progress = Progress::Ended;
            if let Some(chain) = &this.call.head().chain {
                chain.go_on();
            }
            this.gate.over(&*this.call, failed);
            (this.finish)(&*this.call)
        })
    }
}

impl<O> Drop for Call<O> {
    fn drop(&mut self) {
        if let Progress::Waiting | Progress::Layered(_) = self.progress {
            if let Some(chain) = &self.call.head().chain {
                chain.go_on();
            }
            self.call.abandon();
            if self.gate.pool().is_some() {
                let head = self.call.head();
                head.seats.over(&*self.call, None, head.made);
            }
        }
    }
}

impl<O> fmt::Debug for Call<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.call.head().method.to_string())
            .field("actor", &self.call.head().name)
            .finish_non_exhaustive()
    }
}
