//! Code around calls: one point on each side where every call passes.
//!
//! ```text
//!   client:  Call ──► layer 0 ──► layer 1 ──► … ──► gate, transport
//!   server:  turn ──► layer 0 ──► layer 1 ──► … ──► handler
//! ```
//!
//! A node without layers pays nothing for them. A client's layers see a call once, however often it is sent, and with it
//! that its actor was not found. Metadata can be read here, and is set by the caller.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use crate::{
    call::{AnyCall, Caller, Failure, Metadata},
    names::BoxFuture,
    service::{Method, Status},
};

/// Code around calls, on the side where it is installed with
/// [`NodeBuilder::client_layer`](crate::NodeBuilder::client_layer) or
/// [`NodeBuilder::server_layer`](crate::NodeBuilder::server_layer).
///
/// A layer of the client's side sees a call once, however often it is sent, and also that its actor was not found. One of
/// the server's side runs inside the turn, with its context.
///
/// ```
/// use actor_runtime::{BoxFuture, Failure, Layer, LayerCall, Next, Status};
///
/// struct Log;
///
/// impl Layer for Log {
///     fn call<'a>(&'a self, call: LayerCall<'a>, next: Next<'a>) -> BoxFuture<'a, Result<Status, Failure>> {
///         Box::pin(async move {
///             let end = next.run().await;
///             println!("{} on {}: {end:?}", call.method(), call.actor_name());
///             end
///         })
///     }
/// }
/// ```
pub trait Layer: Send + Sync + 'static {
    /// Sees one call. It goes on with [`Next::run`]; a layer that does not run it ends the call with the `Failure`
    /// that it returns.
    ///
    /// # Cancel safety
    /// The future is dropped when the caller leaves or the deadline passes.
    fn call<'a>(&'a self, call: LayerCall<'a>, next: Next<'a>) -> BoxFuture<'a, Result<Status, Failure>>;
}

/// What a layer sees of a call.
#[derive(Clone, Copy)]
pub struct LayerCall<'a> {
    call: &'a dyn AnyCall,
    remaining: Option<Duration>,
}

impl<'a> LayerCall<'a> {
    /// The method that is called.
    pub fn method(&self) -> &'static Method {
        self.call.head().method
    }

    /// The name of the actor that is called.
    pub fn actor_name(&self) -> &'a str {
        &self.call.head().name
    }

    /// Who calls.
    pub fn caller(&self) -> Option<Caller> {
        self.call.head().caller.clone()
    }

    /// What travels with the call.
    pub fn metadata(&self) -> Option<&'a Metadata> {
        self.call.head().metadata.as_deref()
    }

    /// How much time the call had left when it came to the layers; `None` if it has no deadline.
    pub fn remaining(&self) -> Option<Duration> {
        self.remaining
    }
}

impl fmt::Debug for LayerCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerCall").field("method", self.method()).field("actor", &self.actor_name()).finish()
    }
}

/// The rest of a call's way, as a layer sees it.
pub struct Next<'a> {
    rest: &'a [Arc<dyn Layer>],
    call: LayerCall<'a>,
    inner: Inner<'a>,
}

type Inner<'a> = Pin<Box<dyn Future<Output = Result<Status, Failure>> + Send + 'a>>;

impl<'a> Next<'a> {
    /// Goes on, and gives the end of the call.
    pub fn run(self) -> BoxFuture<'a, Result<Status, Failure>> {
        run(self.rest, self.call, self.inner)
    }
}

impl fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next")
            .field("call", &self.call)
            .field("layers", &self.rest.len())
            .finish_non_exhaustive()
    }
}

/// Runs a call through layers.
pub(crate) fn through<'a>(
    layers: &'a [Arc<dyn Layer>],
    call: &'a dyn AnyCall,
    remaining: Option<Duration>,
    inner: impl Future<Output = Result<Status, Failure>> + Send + 'a,
) -> BoxFuture<'a, Result<Status, Failure>> {
    run(layers, LayerCall { call, remaining }, Box::pin(inner))
}

fn run<'a>(
    layers: &'a [Arc<dyn Layer>],
    call: LayerCall<'a>,
    inner: Inner<'a>,
) -> BoxFuture<'a, Result<Status, Failure>> {
    match layers.split_first() {
        Some((layer, rest)) => layer.call(call, Next { rest, call, inner }),
        None => inner,
    }
}
