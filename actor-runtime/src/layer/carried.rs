//! A call as layers see it.

use std::{fmt, future::poll_fn, task::Poll, time::Duration};

use crate::{
    Node,
    call::{AnyCall, CallHead, Caller, Metadata, MetadataError, MetadataValue},
    service::Method,
};

/// The side of a call that a layer stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Where the call is made.
    Client,
    /// Where its actor is.
    Server,
}

/// What a layer sees of a call.
#[derive(Clone, Copy)]
pub struct LayerCall<'a> {
    call: &'a dyn AnyCall,
    node: &'a Node,
    side: Side,
}

impl<'a> LayerCall<'a> {
    pub(crate) fn new(call: &'a dyn AnyCall, node: &'a Node, side: Side) -> Self {
        Self { call, node, side }
    }

    /// Which side of the call this is.
    pub fn side(&self) -> Side {
        self.side
    }

    /// The method that is called.
    pub fn method(&self) -> &'static Method {
        self.head().method
    }

    /// The name of the actor that is called.
    pub fn actor_name(&self) -> &'a str {
        &self.head().name
    }

    /// The node whose layer this is: the caller's or the actor's.
    pub fn node(&self) -> &'a Node {
        self.node
    }

    /// Who calls.
    pub fn caller(&self) -> Option<Caller> {
        self.head().caller.clone()
    }

    /// What travels with the call.
    pub fn metadata(&self) -> &'a Metadata {
        self.head().metadata()
    }

    /// How much time the call has left; `None` if it has no deadline.
    pub fn remaining(&self) -> Option<Duration> {
        remaining(self.head(), self.node)
    }

    /// Waits until nobody waits for the call any more: its caller has left, or its deadline has passed. For layers that
    /// wait on the server's side, where a `&mut self` turn is not dropped then; on the client's side this never ends,
    /// since the layer itself is dropped.
    ///
    /// # Cancel safety
    /// Can be dropped at any time. At most one may be waited for at a time.
    pub async fn left(&self) {
        poll_fn(|cx| {
            if self.side == Side::Client || self.call.park_turn(cx.waker()) {
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    pub(crate) fn head(&self) -> &'a CallHead {
        self.call.head()
    }
}

impl fmt::Debug for LayerCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug("LayerCall", self.head(), f)
    }
}

/// A call that is about to be sent, as [`Layer::outgoing`](super::Layer::outgoing) sees it: what travels with it can
/// still be written.
pub struct OutgoingCall<'a> {
    head: &'a mut CallHead,
    node: &'a Node,
}

impl<'a> OutgoingCall<'a> {
    pub(super) fn new(head: &'a mut CallHead, node: &'a Node) -> Self {
        Self { head, node }
    }

    /// The method that is called.
    pub fn method(&self) -> &'static Method {
        self.head.method
    }

    /// The name of the actor that is called.
    pub fn actor_name(&self) -> &str {
        &self.head.name
    }

    /// The node that makes the call.
    pub fn node(&self) -> &'a Node {
        self.node
    }

    /// What travels with the call.
    pub fn metadata(&self) -> &Metadata {
        self.head.metadata()
    }

    /// Sets an entry of what travels with the call, in place of what it was.
    ///
    /// # Errors
    /// [`MetadataError`] if a bound would be passed; nothing is changed then. As a [`Failure`](crate::Failure) it is
    /// [`TooLarge`](crate::FailureKind::TooLarge).
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) -> Result<(), MetadataError> {
        self.head.metadata.get_or_insert_default().insert(name, value)
    }

    /// Sets a typed entry of what travels with the call.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn set<T: MetadataValue>(&mut self, value: &T) -> Result<(), MetadataError> {
        self.insert(T::NAME, value.encode())
    }

    /// Takes an entry away.
    pub fn remove(&mut self, name: &str) -> Option<String> {
        self.head.metadata.as_mut()?.remove(name)
    }

    /// How much time the call has left; `None` if it has no deadline.
    pub fn remaining(&self) -> Option<Duration> {
        remaining(self.head, self.node)
    }

    pub(crate) fn head(&self) -> &CallHead {
        self.head
    }
}

impl fmt::Debug for OutgoingCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug("OutgoingCall", self.head, f)
    }
}

fn remaining(head: &CallHead, node: &Node) -> Option<Duration> {
    head.deadline.map(|deadline| deadline.saturating_duration_since(node.now()))
}

fn debug(name: &str, head: &CallHead, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.debug_struct(name).field("method", &head.method.to_string()).field("actor", &head.name).finish()
}
