//! The order of a client handle's calls (S2), and the way they take (S12).
//!
//! While the way is known, a call passes without stopping. While it is being found, calls wait here in the order of
//! their first polls; one task finds the way and lets them through. Nobody's future drives it, so a caller that stops
//! polling holds up nobody else.
//!
//! Invariant: a call that is polled first is sent first, unless it was refused: then it takes a new place.

use std::{
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock, Weak},
};

use tokio::{sync::Notify, time::Instant};

use super::{
    again::From,
    arrived::Arrived,
    choose::{Memory, choose},
    pooled::Pooled,
    reference::Reference,
    route::{Route, Whom, gone},
};
use crate::{
    Node,
    actor_id::ActorId,
    call::{AnyCall, CallOptions, Delivery, Failure, FailureKind, Refused, Stage, Tried},
    names::{Address, Resolver, default_namespace},
    node::deadlines::Sweep,
    panics::text_of,
    proto::Order,
    service::Method,
    sync::{AtomicBool, Mutex, MutexGuard, Ordering, lock},
};

/// One handle: whom it calls, and the calls that wait to be sent.
pub(crate) struct Gate {
    target: Target,
    options: CallOptions,
    /// The way that was found first: most clients never have another.
    first: OnceLock<Arc<Route>>,
    /// Whether calls pass by the first way: it is good, and no call waits. Then they need no lock. Changed under the
    /// lock of `state`, so it cannot be set while a call waits; a call that has read it just before it was taken back
    /// is refused like any other that was on its way.
    open: AtomicBool,
    /// What keeps short calls behind a long one that was made before.
    order: Order,
    /// Whether a call has come back well.
    reached: AtomicBool,
    state: Mutex<State>,
    /// A call of a pool waits that may be the first to be sent.
    kept: Notify,
    this: Weak<Self>,
}

/// Whom a client calls.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) node: Result<Node, Failure>,
    pub(super) finder: Finder,
    pub(super) name: Arc<str>,
    pub(super) pinned: Option<ActorId>,
}

/// What says where the actor is.
#[derive(Clone)]
pub(super) enum Finder {
    Resolver(Arc<dyn Resolver>),
    /// The client came in a message.
    Message(Arc<Arrived>),
    /// A pool, which chooses a member for each call.
    Pool(Arc<dyn Pooled>),
}

pub(super) struct State {
    route: Option<Arc<Route>>,
    /// Whether the way is being found; calls wait meanwhile.
    finding: bool,
    pub(super) queue: VecDeque<Queued>,
    watched: bool,
    /// What is remembered for the next search, where there are several endpoints.
    memory: Option<Box<Memory>>,
}

pub(super) struct Queued {
    pub(super) call: Arc<dyn AnyCall>,
    /// What is known of it, if it is not here for the first time.
    pub(super) tried: Option<Box<Tried>>,
    /// The member of a pool that has just refused it.
    pub(super) avoid: Option<ActorId>,
}

impl Queued {
    /// Until when it rests.
    pub(super) fn not_before(&self) -> Option<Instant> {
        self.tried.as_ref()?.not_before()
    }
}

impl Gate {
    pub(super) fn new(target: Target, options: CallOptions, route: Option<Arc<Route>>) -> Arc<Self> {
        let (first, open) = (OnceLock::new(), AtomicBool::new(route.is_some()));
        if let Some(route) = &route {
            first.get_or_init(|| route.clone());
        }
        let state =
            Mutex::new(State { route, finding: false, queue: VecDeque::new(), watched: false, memory: None });
        let order = Order::default();
        Arc::new_cyclic(|this| Self {
            target,
            options,
            first,
            open,
            order,
            reached: AtomicBool::new(false),
            state,
            kept: Notify::new(),
            this: this.clone(),
        })
    }

    /// A handle of its own to the same actor, by the same way.
    pub(super) fn another(&self, options: CallOptions) -> Arc<Self> {
        let route = lock(&self.state).route.clone();
        Self::new(self.target.clone(), options, route)
    }

    /// A client that came in a message, at this node.
    pub(super) fn from_message(node: Result<Node, Failure>, reference: Reference) -> Arc<Self> {
        let name = reference.name.as_str().into();
        let finder = Finder::Message(Arrived::new(reference));
        let node = node.map(|node| node.quiet());
        Self::new(Target { node, finder, name, pinned: None }, CallOptions::default(), None)
    }

    /// What of it travels in a message.
    pub(super) fn reference(&self) -> Reference {
        let Target { node, finder, name, pinned } = &self.target;
        match finder {
            Finder::Message(arrived) => arrived.reference(),
            // A pool is not a value: whoever gets this asks a resolver of its own, and stays with whom it reaches.
            Finder::Pool(_) => Reference {
                namespace: node
                    .as_ref()
                    .map_or_else(|_| default_namespace(), |node| node.namespace().clone()),
                name: name.to_string(),
                actor: None,
                address: None,
            },
            Finder::Resolver(resolver) => {
                let route = lock(&self.state).route.as_ref().map(|route| route.endpoint().clone());
                Reference::of(node.as_ref().ok(), name, *pinned, &**resolver, route)
            }
        }
    }

    pub(super) fn pinned_to(&self, actor: ActorId) -> Arc<Self> {
        let target = Target { pinned: Some(actor), ..self.target.clone() };
        Self::new(target, self.options.clone(), None)
    }

    pub(super) fn options(&self) -> &CallOptions {
        &self.options
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.target.name
    }

    pub(super) fn pinned(&self) -> Option<ActorId> {
        self.target.pinned.or_else(|| self.arrived()?.actor())
    }

    /// Whether it goes on to the next registration of its name.
    pub(super) fn follows(&self) -> bool {
        self.target.pinned.is_none() && self.arrived().is_none()
    }

    fn arrived(&self) -> Option<&Arc<Arrived>> {
        match &self.target.finder {
            Finder::Message(arrived) => Some(arrived),
            Finder::Resolver(_) | Finder::Pool(_) => None,
        }
    }

    /// The pool that it calls through.
    pub(super) fn pool(&self) -> Option<&Arc<dyn Pooled>> {
        match &self.target.finder {
            Finder::Pool(pool) => Some(pool),
            Finder::Resolver(_) | Finder::Message(_) => None,
        }
    }

    pub(super) fn this(&self) -> &Weak<Self> {
        &self.this
    }

    pub(super) fn state(&self) -> &Mutex<State> {
        &self.state
    }

    pub(super) fn node(&self) -> Result<&Node, Failure> {
        self.target.node.as_ref().map_err(Clone::clone)
    }

    /// Where calls go now; empty if that is not known.
    pub(super) fn endpoint(&self) -> String {
        lock(&self.state).route.as_ref().map(|route| route.endpoint().to_string()).unwrap_or_default()
    }

    /// The registration that has the name now.
    pub(super) async fn identify(&self) -> Result<ActorId, Failure> {
        self.locate().await.map(|(actor, _)| actor)
    }

    /// The same, and where it is.
    ///
    /// A task of the node finds it: others may wait for the connection that is made for this, and a caller that stops
    /// polling would hold them up.
    pub(super) async fn locate(&self) -> Result<(ActorId, Address), Failure> {
        let (node, gate) = (self.node()?.clone(), self.this.clone());
        let found = async move {
            let gate = gate.upgrade()?;
            Some(gate.find(&node, &[]).await.map(|route| (node, route)))
        };
        let task = self.node()?.spawn_bare(async move {
            match found.await? {
                Ok((node, route)) => {
                    let address = route.endpoint().address.clone();
                    Some(route.identify(&node).await.map(|actor| (actor, address)))
                }
                Err(failure) => Some(Err(failure)),
            }
        });
        let _taken_back = task.abort_on_drop();
        task.await.ok().flatten().unwrap_or_else(|| {
            let detail = "the runtime of the caller's node ended before the name was looked up";
            Err(Failure::new(FailureKind::Stopped, Delivery::NotDelivered, detail))
        })
    }

    /// Sends a call, or keeps it until the way is known. It will be over some time, whatever happens.
    pub(super) fn pass(&self, node: &Node, now: Instant, call: Arc<dyn AnyCall>) {
        if self.open.load(Ordering::Acquire)
            && let Some(route) = self.first.get()
        {
            return self.send(node, route, now, call);
        }
        self.pass_or_wait(node, now, call);
    }

    /// The same, where it is to be looked whether the way is known.
    #[inline(never)]
    fn pass_or_wait(&self, node: &Node, now: Instant, call: Arc<dyn AnyCall>) {
        if let Finder::Pool(pool) = &self.target.finder {
            return self.pass_on(&**pool, node, now, Queued { call, tried: None, avoid: None });
        }
        let state = lock(&self.state);
        match &state.route {
            Some(route) if !state.finding => {
                let route = route.clone();
                drop(state);
                self.send(node, &route, now, call);
            }
            _ if call.head().now => {
                drop(state);
                self.refuse(node, &call, &self.unknown_way());
            }
            _ => {
                self.wait(node, state, Queued { call, tried: None, avoid: None });
            }
        }
    }

    /// Fails a call that must not wait; the way is looked for all the same, for those that come next.
    fn refuse(&self, node: &Node, call: &Arc<dyn AnyCall>, failure: &Failure) {
        call.fail(&mut |_| failure.clone());
        let state = lock(&self.state);
        if state.route.is_none() && !state.finding {
            self.wait(node, state, Queued { call: call.clone(), tried: None, avoid: None });
        }
    }

    fn unknown_way(&self) -> Failure {
        let detail = format!(
            "the way to {:?} is not known yet, and the call was made with `try_now()`; it is being looked up by {:?}, so \
             call again in a moment, or without `try_now()`, to wait for it",
            self.target.name, self.target.finder
        );
        Failure::new(FailureKind::Overloaded, Delivery::NotDelivered, detail)
    }

    #[inline]
    fn send(&self, node: &Node, route: &Arc<Route>, now: Instant, call: Arc<dyn AnyCall>) {
        let mut tried = None;
        if let Err(refused) = route.send(node, call, now, &mut tried, Some(&self.order), || self.this.clone())
        {
            self.not_sent(node, route, refused, tried);
        }
    }

    /// A call was refused on this way.
    #[cold]
    fn not_sent(&self, node: &Node, route: &Arc<Route>, refused: Refused, tried: Option<Box<Tried>>) {
        if refused.failure.kind() != FailureKind::Unreachable {
            return self.refused(refused, tried, route.endpoint().actor);
        }
        // The connection had ended before, and this handle did not know: that is no attempt.
        let mut state = lock(&self.state);
        state.route.take_if(|present| Arc::ptr_eq(present, route));
        self.open.store(false, Ordering::Release);
        if refused.call.head().now {
            drop(state);
            return self.refuse(node, &refused.call, &self.unknown_way());
        }
        self.wait(node, state, Queued { call: refused.call, tried, avoid: None });
    }

    /// Keeps a call until its pool is ready for it.
    pub(super) fn keep(&self, node: &Node, queued: Queued) {
        self.wait(node, lock(&self.state), queued);
        // It may be to be sent before those that wait already.
        self.kept.notify_one();
    }

    fn wait(&self, node: &Node, mut state: MutexGuard<'_, State>, queued: Queued) {
        let deadline = queued.call.head().deadline;
        state.queue.push_back(queued);
        let watch = !std::mem::replace(&mut state.watched, true);
        let find = !std::mem::replace(&mut state.finding, true);
        // A runtime that has ended drops the task at once, and that needs the lock.
        drop(state);
        node.expect_deadline(deadline, watch, || self.this.clone());
        if find && let Some(this) = self.this.upgrade() {
            let finding = Finding { gate: this, node: node.clone(), ended: false };
            drop(node.spawn_bare(async move { finding.let_through().await }));
        }
    }

    /// A call came back from this registration: it is sent once more, if that can help.
    pub(super) fn refused(&self, refused: Refused, tried: Option<Box<Tried>>, from: Option<ActorId>) {
        let Refused { call, failure } = refused;
        let failure = match (failure.kind(), self.pinned()) {
            (FailureKind::NotFound, Some(pinned)) => gone(pinned),
            _ => failure,
        };
        let Ok(node) = self.node() else { return call.fail(&mut |_| failure.clone()) };
        if let Some(actor) = from.filter(|_| self.has_left(&failure)) {
            lock(&self.state).memory.get_or_insert_default().refused(actor);
        }
        match self.again(node, &*call, failure, tried, From::Actor(from)) {
            Ok(tried) => {
                let mut state = lock(&self.state);
                state.route = None;
                self.open.store(false, Ordering::Release);
                if call.head().now {
                    drop(state);
                    return self.refuse(node, &call, tried.told());
                }
                self.wait(node, state, Queued { call, tried: Some(tried), avoid: None });
            }
            Err(failure) => call.fail(&mut |_| failure.clone()),
        }
    }

    /// Takes back a call that waits here, which is not sent then, and gives how the last attempt ended if there was one.
    /// `None` if the call is not here.
    pub(super) fn take_back(&self, call: &Arc<dyn AnyCall>) -> Option<Option<Failure>> {
        let mut state = lock(&self.state);
        let same = |queued: &Queued| std::ptr::addr_eq(Arc::as_ptr(&queued.call), Arc::as_ptr(call));
        let at = state.queue.iter().position(same)?;
        let queued = state.queue.remove(at)?;
        drop(state);
        Some(queued.tried.map(|tried| tried.told().clone()))
    }

    /// A call of this handle is over; a failure says where.
    pub(super) fn over(&self, call: &dyn AnyCall, failed: bool) {
        match &self.target.finder {
            Finder::Pool(_) => {
                let head = call.head();
                if failed {
                    call.locate(&head.seats.endpoint());
                }
                head.seats.over(call, Some(failed), head.made);
            }
            _ if failed => call.locate(&self.endpoint()),
            _ => self.reached(),
        }
    }

    /// Whether a call has ever come back well.
    pub(super) fn was_reached(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }

    /// A call has come back well.
    pub(super) fn reached(&self) {
        if !self.was_reached() {
            self.reached.store(true, Ordering::Relaxed);
        }
    }

    /// The service that is called: a client calls one only. `None` if nothing waits to be sent.
    fn service(&self) -> Option<&'static [&'static Method]> {
        lock(&self.state).queue.front().map(|queued| queued.call.service())
    }

    async fn find(&self, node: &Node, methods: &'static [&'static Method]) -> Result<Route, Failure> {
        let Target { finder, name, .. } = &self.target;
        let patience = node.config().default_timeout;
        let unreachable =
            |detail: String| Failure::new(FailureKind::Unreachable, Delivery::NotDelivered, detail);
        let namespace = self.arrived().map_or_else(|| node.namespace(), |arrived| arrived.namespace());
        let finding = async {
            match finder {
                Finder::Resolver(resolver) => {
                    let found = resolver.resolve(namespace, name).await;
                    found.map_err(|error| unreachable(error.to_string()))
                }
                Finder::Message(arrived) => arrived.find(node).await,
                Finder::Pool(pool) => {
                    Err(unreachable(format!("{pool:?} is a pool: its members are what is called")))
                }
            }
        };
        let found = tokio::select! {
            found = finding => found?,
            () = node.sleep_until(node.after(patience)) => {
                return Err(unreachable(format!("{finder:?} gave no answer for {name:?} within {patience:?}")));
            }
        };
        let whom =
            Whom { namespace, name, pinned: self.pinned(), follows: self.follows(), has_choice: false };
        let (memory, asked_again) = self.remembered();
        let opened = choose(node, &whom, &found, methods, &memory, asked_again).await;
        let opened = opened.map_err(|failure| match &found.stale {
            Some(stale) => failure.remark(format_args!("what was resolved is {stale}")),
            None => failure,
        })?;
        if let (Some(arrived), Some(actor)) = (self.arrived(), opened.endpoint().actor) {
            arrived.reach(actor)?;
        }
        if found.endpoints.len() > 1 {
            lock(&self.state).memory.get_or_insert_default().called(opened.endpoint());
        }
        Ok(opened)
    }

    /// What is known for a search, and who may have run the call that waits for it first.
    fn remembered(&self) -> (Memory, Option<ActorId>) {
        let state = lock(&self.state);
        let memory = state.memory.as_deref().cloned().unwrap_or_default();
        let ran = state.queue.front().and_then(|queued| queued.tried.as_ref()?.who_may_have_run());
        (memory, ran)
    }

    /// Whether the registration that refused a call so takes no more calls of this client.
    fn has_left(&self, failure: &Failure) -> bool {
        let left =
            matches!(failure.kind(), FailureKind::NotFound | FailureKind::Stale | FailureKind::Stopped);
        left && failure.delivery() == Delivery::NotDelivered && self.follows()
    }

    /// Lets calls pass without the lock from now on, if they go by the way that was found first.
    fn open(&self, state: &State) {
        let Some(route) = &state.route else { return };
        let first = Arc::ptr_eq(self.first.get_or_init(|| route.clone()), route);
        self.open.store(first, Ordering::Release);
    }

    /// Sends what waits by this way, as long as the way is good.
    fn send_queued(&self, node: &Node, route: &Arc<Route>) {
        loop {
            let mut state = lock(&self.state);
            let same = state.route.as_ref().is_some_and(|present| Arc::ptr_eq(present, route));
            let Some(Queued { call, mut tried, .. }) = (if same { state.queue.pop_front() } else { None })
            else {
                return;
            };
            drop(state);
            if call.stage() == Stage::Over {
                continue;
            }
            // Encoding runs code of the arguments; this is not the task of the caller, which its panic is meant for.
            let send = || {
                route
                    .send(node, call.clone(), node.now(), &mut tried, Some(&self.order), || self.this.clone())
            };
            match catch_unwind(AssertUnwindSafe(send)) {
                Ok(Ok(())) => {}
                Ok(Err(refused)) => self.refused(refused, tried, route.endpoint().actor),
                Err(panic) => {
                    let detail =
                        format!("the arguments panicked while they were encoded: {}", text_of(&*panic));
                    let failure = Failure::new(FailureKind::Malformed, Delivery::NotDelivered, detail);
                    fail_queued([Queued { call, tried, avoid: None }], &failure);
                }
            }
        }
    }
}

/// The task that finds the way, and sends what waits. However it ends, nothing waits for it afterwards.
struct Finding {
    gate: Arc<Gate>,
    node: Node,
    /// Whether it has given up its place: another task may have begun since.
    ended: bool,
}

impl Finding {
    async fn let_through(mut self) {
        loop {
            if let Finder::Pool(pool) = &self.gate.target.finder {
                // Attempts without pauses leave the thread to others all the same.
                tokio::task::consume_budget().await;
                self.rest_of_pool().await;
                pool.ready().await;
                self.gate.pass_on_queued(&**pool, &self.node);
                if self.is_done() {
                    self.ended = true;
                    return;
                }
                continue;
            }
            self.rest().await;
            // A way that was found for no service would be compared with none, and further calls would take it.
            if let Some(methods) = self.gate.service() {
                match self.gate.find(&self.node, methods).await {
                    Ok(route) => {
                        let route = Arc::new(route);
                        lock(&self.gate.state).route = Some(route.clone());
                        self.gate.send_queued(&self.node, &route);
                    }
                    Err(failure) => self.not_found(&failure),
                }
            }
            let mut state = lock(&self.gate.state);
            if state.queue.is_empty() {
                state.finding = false;
                self.ended = true;
                self.gate.open(&state);
                return;
            }
        }
    }
}

impl Finding {
    /// Gives up its place if nothing waits.
    fn is_done(&self) -> bool {
        let mut state = lock(&self.gate.state);
        if state.queue.is_empty() {
            state.finding = false;
            return true;
        }
        false
    }

    /// Waits until the first call in the queue is to be tried again. Those behind it wait with it: it is before them.
    async fn rest(&self) {
        let until = {
            let state = lock(&self.gate.state);
            let live = state.queue.iter().find(|queued| queued.call.stage() != Stage::Over);
            live.and_then(|queued| queued.tried.as_ref()?.not_before())
        };
        if let Some(until) = until {
            self.node.sleep_until(until).await;
        }
    }

    /// Waits until one of the calls of a pool is to be sent: they have no order, and none waits for another one's pause.
    async fn rest_of_pool(&self) {
        while let Some(until) = self.gate.next_kept().filter(|until| *until > self.node.now()) {
            tokio::select! {
                biased;
                () = self.gate.kept.notified() => {}
                () = self.node.sleep_until(until) => {}
            }
        }
    }

    /// There is no way now: each call waits for the next attempt, or gives up.
    fn not_found(&self, failure: &Failure) {
        let queue = std::mem::take(&mut lock(&self.gate.state).queue);
        let mut again = VecDeque::with_capacity(queue.len());
        for Queued { call, tried, .. } in queue {
            if call.stage() == Stage::Over {
                continue;
            }
            match self.gate.again(&self.node, &*call, failure.clone(), tried, From::Finding) {
                Ok(tried) => again.push_back(Queued { call, tried: Some(tried), avoid: None }),
                Err(failure) => call.fail(&mut |_| failure.clone()),
            }
        }
        let mut state = lock(&self.gate.state);
        // What came meanwhile is behind them.
        again.append(&mut state.queue);
        state.queue = again;
    }
}

impl Drop for Finding {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let mut state = lock(&self.gate.state);
        state.finding = false;
        let queue = std::mem::take(&mut state.queue);
        drop(state);
        let detail = "the task that would have sent the call was cut off: the runtime of the caller's node ended, or \
                      its resolver panicked";
        fail_queued(queue, &Failure::new(FailureKind::Stopped, Delivery::NotDelivered, detail));
    }
}

fn fail_queued(queue: impl IntoIterator<Item = Queued>, failure: &Failure) {
    for Queued { call, tried, .. } in queue {
        let told = match tried {
            Some(mut tried) => {
                tried.failed(failure.clone());
                tried.tell()
            }
            None => failure.clone(),
        };
        call.fail(&mut |_| told.clone());
    }
}

impl Gate {
    /// For a call whose time was over while it waited here, after an attempt that ended so.
    fn not_found_in_time(&self, told: Option<Failure>) -> Failure {
        let late = |detail| Failure::new(FailureKind::DeadlineExceeded, Delivery::NotDelivered, detail);
        // Code of a user's, and calls of others are to be ended behind this one.
        let resolver = catch_unwind(AssertUnwindSafe(|| format!("{:?}", self.target.finder)));
        let resolver = resolver.unwrap_or_else(|_| "a resolver whose `Debug` panics".to_owned());
        let detail = format!("{:?} was still being looked up by {resolver}", self.target.name);
        match told {
            // It was tried before, and that failure leaves more open.
            Some(told) if told.delivery() != Delivery::NotDelivered => told,
            Some(told) => late(format!("{detail}, after an attempt that failed: {told}")),
            None => late(detail),
        }
    }
}

impl Sweep for Gate {
    fn sweep(&self, now: Instant) -> Option<Instant> {
        let mut state = lock(&self.state);
        state.queue.retain(|queued| queued.call.stage() != Stage::Over);
        let (mut expired, mut next) = (Vec::new(), None::<Instant>);
        for Queued { call, tried, .. } in &state.queue {
            match call.head().deadline {
                Some(deadline) if deadline <= now => {
                    expired.push((call.clone(), tried.as_ref().map(|tried| tried.told().clone())));
                }
                Some(deadline) => next = Some(next.map_or(deadline, |next| next.min(deadline))),
                None => {}
            }
        }
        state.watched = next.is_some();
        drop(state);
        for (call, told) in expired {
            let failure = self.not_found_in_time(told);
            call.fail(&mut |_| failure.clone());
        }
        next
    }

    fn next(&self) -> Option<Instant> {
        lock(&self.state).queue.iter().filter_map(|queued| queued.call.head().deadline).min()
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("name", &self.target.name)
            .field("pinned", &self.pinned())
            .field("endpoint", &self.endpoint())
            .finish_non_exhaustive()
    }
}

/// For error texts.
impl fmt::Debug for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolver(resolver) => resolver.fmt(f),
            Self::Message(_) => f.write_str("what came with the client in its message"),
            Self::Pool(pool) => pool.fmt(f),
        }
    }
}
