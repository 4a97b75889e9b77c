//! The caller's side: from a generated client to where its calls go.
//!
//! ```text
//!   FooClient.method() ──► Call ──first poll──► Gate ──► Route ──┬─► direct: the actor's mailbox
//!                          (options, deadline,  (order;          └─► link: encoded, to another node
//!                           chain, layers)       resolves once,
//!                                                `choose`s one)
//! ```

mod again;
mod arrived;
mod call;
mod choose;
mod ext;
mod gate;
mod identify;
mod layered;
mod lookup;
mod pooled;
mod reference;
mod route;
mod wait;

use std::{any::Any, fmt, sync::Arc};

pub use call::Call;
pub use ext::ServiceClient;
pub(crate) use gate::Gate;
use gate::{Finder, Target};
pub(crate) use pooled::{Passed, Pooled};
#[doc(hidden)]
pub use reference::{deserialize, serialize};
pub(crate) use route::{Route, Whom};

use crate::{
    Node,
    actor_id::ActorId,
    call::{
        AnyCall, CallHead, CallOptions, Delivery, Failure, Payload, Streamed, Target as Actor, TypedCall,
    },
    codec::{self, CodecError, Encoder},
    names::{Address, FixedResolver, LocalResolver, Resolver},
    node::LocalCalls,
    service::{Method, Service},
    stream::AnyStreaming,
};

/// What is in every generated client: whom it calls, and how. A clone is a handle of its own (S2).
pub struct Client {
    gate: Arc<Gate>,
}

impl Client {
    /// A client of the node that this code belongs to.
    pub fn new<R: Resolver + Clone>(resolver: &R, name: impl Into<String>) -> Self {
        Self::with_target(Node::current(), resolver, name)
    }

    /// A client of this node.
    pub fn on<R: Resolver + Clone>(node: &Node, resolver: &R, name: impl Into<String>) -> Self {
        Self::with_target(Ok(node.clone()), resolver, name)
    }

    /// A client of this actor of the node, and of no other.
    pub(crate) fn of_target(node: &Node, name: &Arc<str>, actor: Arc<dyn Actor>) -> Self {
        let (node, pinned, directory) = (node.quiet(), actor.id(), node.directory());
        let named = directory.entry(name).is_some_and(|present| present.id() == pinned);
        let encoded = named && directory.address().is_some() && node.local_calls() == LocalCalls::Encoded;
        let route = (!encoded).then(|| Arc::new(Route::direct(&node, name, actor)));
        let finder = Finder::Resolver(Arc::new(LocalResolver(Arc::downgrade(node.directory()))));
        let target = Target { node: Ok(node), finder, name: name.clone(), pinned: Some(pinned) };
        Self { gate: Gate::new(target, CallOptions::default(), route) }
    }

    fn with_target<R: Resolver + Clone>(
        node: Result<Node, Failure>,
        resolver: &R,
        name: impl Into<String>,
    ) -> Self {
        let name: String = name.into();
        let finder = Finder::Resolver(Arc::new(resolver.clone()));
        let node = node.map(|node| node.quiet());
        let target = Target { node, finder, name: name.into(), pinned: None };
        Self { gate: Gate::new(target, CallOptions::default(), None) }
    }

    /// The same client with these options where they are set, and its own where they are not.
    #[must_use]
    pub fn with_options(&self, options: CallOptions) -> Self {
        let options = options.or(self.gate.options());
        Self { gate: self.gate.another(options) }
    }

    /// A client whose calls go through this pool. Its clones are one handle: calls of a pool have no order.
    pub(crate) fn of_pool(node: &Node, name: Arc<str>, pool: Arc<dyn Pooled>, options: CallOptions) -> Self {
        let target = Target { node: Ok(node.clone()), finder: Finder::Pool(pool), name, pinned: None };
        Self { gate: Gate::new(target, options, None) }
    }

    /// A client whose calls all fail so.
    pub(crate) fn of_no_node(failure: Failure, name: Arc<str>) -> Self {
        let finder = Finder::Resolver(Arc::new(FixedResolver::new::<String, String>([])));
        let target = Target { node: Err(failure), finder, name, pinned: None };
        Self { gate: Gate::new(target, CallOptions::default(), None) }
    }

    /// The pool that it calls through, if it is of this kind.
    pub(crate) fn pool<P: Pooled>(&self) -> Option<&P> {
        let pool: &dyn Any = &**self.gate.pool()?;
        pool.downcast_ref()
    }

    pub(crate) fn options(&self) -> &CallOptions {
        self.gate.options()
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        self.gate.name()
    }

    /// The caller's node.
    pub(crate) fn node(&self) -> Result<&Node, Failure> {
        self.gate.node()
    }

    pub(crate) fn actor_name(&self) -> &str {
        self.gate.name()
    }

    pub(crate) fn pinned_actor(&self) -> Option<ActorId> {
        self.gate.pinned()
    }

    /// The registration that is called now, and where it is if it need not be on this node.
    pub(crate) async fn locate(&self) -> Result<(ActorId, Option<Address>), Failure> {
        let own = self.gate.node()?.id();
        match self.gate.pinned() {
            Some(pinned) if pinned.node() == own => Ok((pinned, None)),
            _ => self.gate.locate().await.map(|(actor, address)| (actor, Some(address))),
        }
    }

    /// A call with its arguments as values.
    pub fn call<S: Service, O>(
        &self,
        method: &'static Method,
        request: S::Request,
        finish: fn(&dyn AnyCall) -> O,
    ) -> Call<O> {
        self.start::<S, O>(method, Payload::Value(request), finish)
    }

    /// A call whose arguments are encoded now, since some are borrowed.
    pub fn call_encoded<S: Service, O>(
        &self,
        method: &'static Method,
        encode: impl FnOnce(&mut Encoder) -> Result<(), CodecError>,
        finish: fn(&dyn AnyCall) -> O,
    ) -> Call<O> {
        let limit = self.gate.node().map_or(usize::MAX, |node| node.config().max_message_bytes);
        let mut encoder = Encoder::new(codec::buffer(), limit);
        let encoded = encode(&mut encoder);
        let call = self.start::<S, O>(method, Payload::Encoded(encoder.into_inner().freeze()), finish);
        if let Err(error) = encoded {
            call.refuse(&Failure::of_codec(&error, Delivery::NotDelivered, "the arguments"));
        }
        call
    }

    /// As [`call_encoded`](Self::call_encoded), with the one argument that is a stream.
    pub fn call_streaming<S: Service, O>(
        &self,
        method: &'static Method,
        encode: impl FnOnce(&mut Encoder) -> Result<(), CodecError>,
        mut stream: impl AnyStreaming,
        finish: fn(&dyn AnyCall) -> O,
    ) -> Call<O> {
        let limit = self.gate.node().map_or(usize::MAX, |node| node.config().max_message_bytes);
        let mut encoder = Encoder::new(codec::buffer(), limit);
        let encoded = encode(&mut encoder);
        let bytes = encoder.into_inner().freeze();
        let streamed = Streamed { bytes, stream: Some(stream.take()) };
        let call = self.start::<S, O>(method, Payload::Streaming(Box::new(streamed)), finish);
        if let Err(error) = encoded {
            call.refuse(&Failure::of_codec(&error, Delivery::NotDelivered, "the arguments"));
        }
        call
    }

    /// A call that was made elsewhere.
    pub(crate) fn begin<O>(&self, call: Arc<dyn AnyCall>, finish: fn(&dyn AnyCall) -> O) -> Call<O> {
        Call::new(self.gate.clone(), call, finish)
    }

    fn start<S: Service, O>(
        &self,
        method: &'static Method,
        payload: Payload<S>,
        finish: fn(&dyn AnyCall) -> O,
    ) -> Call<O> {
        let name = self.gate.name().clone();
        let head = CallHead::new(method, name);
        Call::new(self.gate.clone(), Arc::new(TypedCall::new(head, payload)), finish)
    }

    fn pinned_to(&self, actor: ActorId) -> Self {
        Self { gate: self.gate.pinned_to(actor) }
    }
}

impl Clone for Client {
    fn clone(&self) -> Self {
        if self.gate.pool().is_some() {
            return Self { gate: self.gate.clone() };
        }
        Self { gate: self.gate.another(self.gate.options().clone()) }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.gate.fmt(f)
    }
}
