//! One call to every member of a pool: its arguments are encoded once, and each member has exactly one outcome.
//!
//! ```text
//!   pool.broadcast().method(args) ── encoded once ──► BroadcastFuture
//!                                                       │ first poll: who is there; one deadline
//!                                                       ▼ up to `concurrency` at a time
//!                                                     Call to each member ──► CallResult, as they come or in order
//! ```

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt, stream::FuturesUnordered};
use tokio::time::Instant;

use super::{
    Member, PoolPart,
    through::{Aim, Through},
};
use crate::{
    CallOptions,
    call::{AnyCall, CallHead, Delivery, Failure, FailureKind, Payload, Timeout, TypedCall},
    client::{Call, Client},
    codec::{self, CodecError, Encoder},
    names::{BoxFuture, ResolvedEndpoint},
    service::{Method, Request, Service},
    stream::Streaming,
};

/// What is in every generated client for broadcasts.
#[derive(Clone)]
pub struct Broadcast {
    part: Result<PoolPart, Failure>,
    name: Arc<str>,
    options: CallOptions,
}

impl Broadcast {
    /// To the pool that this client calls through.
    pub fn of(client: &Client) -> Self {
        let part = client.node().and_then(|node| match client.pool::<Through>() {
            Some(through) => Ok(PoolPart { node: node.clone(), core: through.core().clone() }),
            None => {
                let detail = format!("the client of {:?} calls through no pool; make a pool", client.name());
                Err(Failure::new(FailureKind::Internal, Delivery::NotDelivered, detail))
            }
        });
        Self { part, name: client.name().clone(), options: client.options().clone() }
    }

    /// A call with its arguments as values.
    pub fn call<S: Service, T, E>(
        &self,
        method: &'static Method,
        request: S::Request,
        finish: fn(&dyn AnyCall) -> Result<T, E>,
    ) -> BroadcastFuture<T, E> {
        self.call_encoded::<S, T, E>(method, |out| request.encode(out), finish)
    }

    /// A call whose arguments are encoded now: once, for all members.
    pub fn call_encoded<S: Service, T, E>(
        &self,
        method: &'static Method,
        encode: impl FnOnce(&mut Encoder) -> Result<(), CodecError>,
        finish: fn(&dyn AnyCall) -> Result<T, E>,
    ) -> BroadcastFuture<T, E> {
        let limit = self.part.as_ref().map_or(usize::MAX, |part| part.node.config().max_message_bytes);
        let mut encoder = Encoder::new(codec::buffer(), limit);
        let encoded = encode(&mut encoder);
        let arguments = encoded
            .map(|()| encoder.into_inner().freeze())
            .map_err(|error| Failure::of_codec(&error, Delivery::NotDelivered, "the arguments"));
        let plan = Plan { to: self.clone(), method, make: make::<S>, finish, arguments };
        BroadcastFuture { plan, concurrency: CONCURRENCY }
    }
}

/// How many members have the call at a time, unless the caller says otherwise.
const CONCURRENCY: usize = 1024;

fn make<S: Service>(head: CallHead, arguments: Bytes) -> Arc<dyn AnyCall> {
    Arc::new(TypedCall::<S>::new(head, Payload::Encoded(arguments)))
}

/// What is to be sent to each member.
struct Plan<T, E> {
    to: Broadcast,
    method: &'static Method,
    make: fn(CallHead, Bytes) -> Arc<dyn AnyCall>,
    finish: fn(&dyn AnyCall) -> Result<T, E>,
    arguments: Result<Bytes, Failure>,
}

impl<T, E> Plan<T, E> {
    /// What all members are called with.
    fn client(&self, part: &PoolPart) -> Client {
        let PoolPart { node, core } = part;
        // The deadline of all of them is in each call.
        let options = CallOptions { timeout: Some(Timeout::Never), ..self.to.options.clone() };
        Client::of_pool(node, self.to.name.clone(), Through::new(core.clone(), Aim::Seated), options)
    }

    /// The call to a member, or its failure.
    fn call(
        &self,
        client: &Client,
        (endpoint, way): (&ResolvedEndpoint, Result<Member, Failure>),
        until: Option<Instant>,
    ) -> Result<Call<Result<T, E>>, Result<T, E>> {
        let made = way.and_then(|member| Ok((member, self.arguments.clone()?)));
        let (member, arguments) = made.map_err(|failure| self.failed(&failure, &endpoint.to_string()))?;
        let mut head = CallHead::new(self.method, self.to.name.clone());
        head.deadline = until;
        head.seats.begin(member.enter());
        Ok(client.begin((self.make)(head, arguments), self.finish))
    }

    /// The outcome of a call that is not made.
    fn failed(&self, failure: &Failure, endpoint: &str) -> Result<T, E> {
        let call = (self.make)(CallHead::new(self.method, self.to.name.clone()), Bytes::new());
        call.fail(&mut |_| failure.clone());
        call.locate(endpoint);
        (self.finish)(&*call)
    }

    /// Until when all of it has to be over.
    fn until(&self, part: &PoolPart, within: Option<Duration>) -> Option<Instant> {
        use crate::service::MethodTimeout;
        let own = within.map(Timeout::After).or(self.to.options.timeout);
        let timeout = match (own, self.method.timeout) {
            (Some(Timeout::After(timeout)), _) | (None, MethodTimeout::After(timeout)) => timeout,
            (Some(Timeout::Never), _) | (None, MethodTimeout::Never) => return None,
            (None, MethodTimeout::Default) => part.node.config().default_timeout,
        };
        part.node.now().checked_add(timeout)
    }
}

/// A call to every member of a pool. Nothing is sent before one of its ends is awaited.
///
/// Every endpoint that the resolver named last has exactly one outcome, also one that cannot be reached, one that is
/// ejected, and one to which the arguments could not be encoded. An empty pool has an empty result. Whoever joins
/// later is not called.
///
/// Each member is tried once: what a broadcast is for, such as new weights, is for that member and no other.
///
/// Awaited itself, it is [`wait_all`](Self::wait_all) without a time of its own.
///
/// # Time
/// There is one deadline for all members. `within` counts from the first poll; `None` is the time that a call of the
/// method has without saying so: its options', its method's, or the node's default.
///
/// # Cancel safety
/// Dropping it, or one of the futures and streams that it becomes, cancels the calls that are left (S7).
#[must_use = "a broadcast does nothing unless it is awaited"]
pub struct BroadcastFuture<T, E = Failure> {
    plan: Plan<T, E>,
    concurrency: usize,
}

/// What one member made of a broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallResult<T, E = Failure> {
    /// Where it is; with its actor's id if it was reached. Shared with the pool, so that thousands of results have no
    /// copies of it.
    pub endpoint: Arc<ResolvedEndpoint>,
    /// What its method gave, or why it did not.
    pub result: Result<T, E>,
}

impl<T, E> CallResult<T, E> {
    /// Whether the call succeeded.
    pub fn is_ok(&self) -> bool {
        self.result.is_ok()
    }

    /// What the method gave, if the call succeeded.
    pub fn value(&self) -> Option<&T> {
        self.result.as_ref().ok()
    }

    /// The error, if the call did not succeed.
    pub fn error(&self) -> Option<&E> {
        self.result.as_ref().err()
    }
}

/// Fewer members succeeded than were asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", too_few(*.needed, .results))]
#[non_exhaustive]
pub struct QuorumError<T: fmt::Debug, E: fmt::Debug + fmt::Display> {
    /// How many had to succeed.
    pub needed: usize,
    /// What came in until it was clear that so many would not, in the order in which it came.
    pub results: Vec<CallResult<T, E>>,
}

/// How many succeeded, and why the others did not; of many the first ones.
fn too_few<T, E: fmt::Display>(needed: usize, results: &[CallResult<T, E>]) -> String {
    let failed: Vec<_> =
        results.iter().filter_map(|each| each.error().map(|why| (&each.endpoint, why))).collect();
    let mut text = format!("{} members succeeded, and {needed} had to", results.len() - failed.len());
    for (place, (endpoint, why)) in failed.iter().take(FAILURES_TOLD).enumerate() {
        text += &format!("{} {endpoint}: {why}", if place == 0 { ":" } else { ";" });
    }
    if let Some(more @ 1..) = failed.len().checked_sub(FAILURES_TOLD) {
        text += &format!("; and {more} more failed");
    }
    text
}

const FAILURES_TOLD: usize = 4;

impl<T: Send + 'static, E: Send + 'static> BroadcastFuture<T, E> {
    /// How many members have the call at a time; 0 counts as 1. Without this, 1024. One at a time is a rolling broadcast,
    /// in the order of the endpoints; the deadline is for all of them together.
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency.max(1);
        self
    }

    /// Waits for all members; gives their outcomes in the order of their endpoints.
    pub async fn wait_all(self, within: impl Into<Option<Duration>>) -> Vec<CallResult<T, E>> {
        let (mut run, mut all) = (self.run(within.into()), Vec::new());
        while let Some((place, result)) = run.next().await {
            if all.len() <= place {
                all.resize_with(run.members().unwrap_or_default().max(place + 1), || None);
            }
            all[place] = Some(result);
        }
        all.into_iter().flatten().collect()
    }

    /// Waits for the first member that has an outcome, whatever it is, and cancels the others. `None` if the pool is
    /// empty.
    pub async fn wait_any(self, within: impl Into<Option<Duration>>) -> Option<CallResult<T, E>> {
        self.run(within.into()).next().await.map(|(_, result)| result)
    }

    /// Waits for the first member that succeeds, and cancels the others. [`quorum(1, …)`](Self::quorum) does the same with
    /// an error that `?` takes.
    ///
    /// # Errors
    /// All outcomes, in the order in which they came, if none did; none if the pool is empty.
    pub async fn first_ok(
        self,
        within: impl Into<Option<Duration>>,
    ) -> Result<CallResult<T, E>, Vec<CallResult<T, E>>> {
        let (mut run, mut failed) = (self.run(within.into()), Vec::new());
        while let Some((_, result)) = run.next().await {
            if result.is_ok() {
                return Ok(result);
            }
            failed.push(result);
        }
        Err(failed)
    }

    /// Waits until so many members have succeeded, and cancels the others; gives these, in the order in which they came.
    ///
    /// # Errors
    /// [`QuorumError`] as soon as it is clear that so many will not.
    pub async fn quorum(
        self,
        needed: usize,
        within: impl Into<Option<Duration>>,
    ) -> Result<Vec<CallResult<T, E>>, QuorumError<T, E>>
    where
        T: fmt::Debug,
        E: fmt::Debug + fmt::Display,
    {
        let (mut run, mut results, mut well) = (self.run(within.into()), Vec::new(), 0);
        while well < needed {
            // Who has not answered may still succeed.
            if run.members().is_some_and(|members| members - results.len() + well < needed) {
                break;
            }
            let Some((_, result)) = run.next().await else { break };
            well += usize::from(result.is_ok());
            results.push(result);
        }
        if well < needed {
            return Err(QuorumError { needed, results });
        }
        results.retain(CallResult::is_ok);
        Ok(results)
    }

    /// The outcomes as they come.
    pub fn as_completed(self, within: impl Into<Option<Duration>>) -> AsCompleted<T, E> {
        AsCompleted { run: self.run(within.into()) }
    }

    fn run(self, within: Option<Duration>) -> Run<T, E> {
        Run { plan: self.plan, within, concurrency: self.concurrency, stage: Stage::New }
    }
}

impl<T: Send + 'static> BroadcastFuture<Streaming<T>> {
    /// One stream of the items of all members' streams, each with the endpoint that it is from. A member that has no
    /// stream, or whose stream fails, is one item with the failure. `within` is the time in which streams have to be
    /// there.
    ///
    /// The items of one member are in order; between members there is none. Reading slowly stops all producers.
    pub fn merged(self, within: impl Into<Option<Duration>>) -> Merged<T> {
        Merged { opening: Some(self.run(within.into())), open: Vec::new(), next: 0 }
    }
}

impl<T: Send + 'static, E: Send + 'static> IntoFuture for BroadcastFuture<T, E> {
    type Output = Vec<CallResult<T, E>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.wait_all(None))
    }
}

/// The outcomes of a broadcast as they come: see [`BroadcastFuture::as_completed`].
#[must_use = "a stream does nothing unless it is read"]
pub struct AsCompleted<T, E = Failure> {
    run: Run<T, E>,
}

impl<T: Send + 'static, E: Send + 'static> Stream for AsCompleted<T, E> {
    type Item = CallResult<T, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.run.poll_next_unpin(cx).map(|item| item.map(|(_, result)| result))
    }
}

/// The items of all members' streams: see [`BroadcastFuture::merged`].
#[must_use = "a stream does nothing unless it is read"]
pub struct Merged<T> {
    opening: Option<Run<Streaming<T>, Failure>>,
    open: Vec<(Arc<ResolvedEndpoint>, Streaming<T>)>,
    /// Whose turn it is: each is asked first once.
    next: usize,
}

impl<T: Send + 'static> Stream for Merged<T> {
    type Item = (Arc<ResolvedEndpoint>, Result<T, Failure>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        while let Some(opening) = &mut this.opening {
            match opening.poll_next_unpin(cx) {
                Poll::Ready(Some((_, CallResult { endpoint, result: Ok(stream) }))) => {
                    this.open.push((endpoint, stream));
                }
                Poll::Ready(Some((_, CallResult { endpoint, result: Err(failure) }))) => {
                    return Poll::Ready(Some((endpoint, Err(failure))));
                }
                Poll::Ready(None) => this.opening = None,
                Poll::Pending => break,
            }
        }
        let mut asked = 0;
        while asked < this.open.len() {
            let place = this.next % this.open.len();
            let (endpoint, stream) = &mut this.open[place];
            match stream.poll_next_unpin(cx) {
                Poll::Ready(Some(item)) => {
                    let endpoint = endpoint.clone();
                    if item.is_err() {
                        this.open.remove(place);
                    }
                    this.next = if item.is_err() { place } else { place + 1 };
                    return Poll::Ready(Some((endpoint, item)));
                }
                Poll::Ready(None) => {
                    this.open.remove(place);
                    // Whoever was behind it is there now: none is passed over.
                    this.next = place;
                }
                Poll::Pending => {
                    this.next = place + 1;
                    asked += 1;
                }
            }
        }
        if this.opening.is_none() && this.open.is_empty() { Poll::Ready(None) } else { Poll::Pending }
    }
}

/// A broadcast under way: outcomes with the places of their members.
struct Run<T, E> {
    plan: Plan<T, E>,
    within: Option<Duration>,
    concurrency: usize,
    stage: Stage<T, E>,
}

type Way = (Arc<ResolvedEndpoint>, Result<Member, Failure>);

enum Stage<T, E> {
    New,
    /// It is found out who is there.
    Waiting(BoxFuture<'static, ()>, Option<Instant>),
    Calling {
        client: Client,
        waiting: std::iter::Enumerate<std::vec::IntoIter<Way>>,
        members: usize,
        until: Option<Instant>,
        calls: FuturesUnordered<One<T, E>>,
    },
    Over,
}

/// One member's part.
struct One<T, E> {
    place: usize,
    endpoint: Option<Arc<ResolvedEndpoint>>,
    call: Call<Result<T, E>>,
}

impl<T, E> Future for One<T, E> {
    type Output = (usize, CallResult<T, E>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.call.poll_unpin(cx));
        let endpoint = self.endpoint.take().expect("a future is not polled after its end");
        Poll::Ready((self.place, CallResult { endpoint, result }))
    }
}

impl<T: Send + 'static, E: Send + 'static> Run<T, E> {
    /// How many members there are, once that is known.
    fn members(&self) -> Option<usize> {
        if let Stage::Calling { members, .. } = self.stage { Some(members) } else { None }
    }
}

impl<T: Send + 'static, E: Send + 'static> Stream for Run<T, E> {
    type Item = (usize, CallResult<T, E>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let part = match &this.plan.to.part {
            Ok(part) => part,
            Err(failure) => {
                if matches!(this.stage, Stage::Over) {
                    return Poll::Ready(None);
                }
                let endpoint = ResolvedEndpoint::new(crate::names::Address::Loopback(0), &*this.plan.to.name);
                let result = this.plan.failed(failure, "");
                this.stage = Stage::Over;
                return Poll::Ready(Some((0, CallResult { endpoint: Arc::new(endpoint), result })));
            }
        };
        loop {
            match &mut this.stage {
                Stage::New => {
                    let until = this.plan.until(part, this.within);
                    let (core, node) = (part.core.clone(), part.node.clone());
                    let known = Box::pin(async move {
                        let late = async {
                            match until {
                                Some(until) => node.sleep_until(until).await,
                                None => std::future::pending().await,
                            }
                        };
                        tokio::select! {
                            biased;
                            () = core.wait_for(|view| view.tried) => {}
                            () = late => {}
                        }
                    });
                    this.stage = Stage::Waiting(known, until);
                }
                Stage::Waiting(known, until) => {
                    ready!(known.poll_unpin(cx));
                    let (until, all) = (*until, part.core.all());
                    let (members, waiting) = (all.len(), all.into_iter().enumerate());
                    let (client, calls) = (this.plan.client(part), FuturesUnordered::new());
                    this.stage = Stage::Calling { client, waiting, members, until, calls };
                }
                Stage::Calling { client, waiting, until, calls, .. } => {
                    while calls.len() < this.concurrency
                        && let Some((place, (endpoint, way))) = waiting.next()
                    {
                        match this.plan.call(client, (&endpoint, way), *until) {
                            Ok(call) => calls.push(One { place, endpoint: Some(endpoint), call }),
                            Err(result) => {
                                return Poll::Ready(Some((place, CallResult { endpoint, result })));
                            }
                        }
                    }
                    let next = ready!(calls.poll_next_unpin(cx));
                    if next.is_none() {
                        this.stage = Stage::Over;
                    }
                    return Poll::Ready(next);
                }
                Stage::Over => return Poll::Ready(None),
            }
        }
    }
}

impl<T, E> fmt::Debug for BroadcastFuture<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastFuture")
            .field("method", &self.plan.method.to_string())
            .field("pool", &self.plan.to.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast").field("pool", &self.name).finish_non_exhaustive()
    }
}

impl<T, E> fmt::Debug for AsCompleted<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("pool", &self.run.plan.to.name).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Merged<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merged").field("open", &self.open.len()).finish_non_exhaustive()
    }
}
