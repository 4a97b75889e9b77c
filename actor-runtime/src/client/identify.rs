//! Asking which registration has a name: a call that its link answers, not the actor.

use std::{
    future::poll_fn,
    sync::{Arc, Weak},
};

use super::gate::Gate;
use crate::{
    Node,
    actor_id::ActorId,
    call::{AnyCall, CallHead, Failure, Payload, Refused, TypedCall, take},
    codec::{CodecError, Decoder, Encoder},
    schema::{Schema, of},
    service::{Access, IDENTIFY, Method, Reply, Request, Response, Service, Status},
    transport::{Binding, Outgoing, Reroute},
};

/// The service that every link serves.
struct Identity;

static METHOD: Method =
    Method::new("actor", "identify", IDENTIFY, Access::Shared, &[], Reply::value("ActorId", schema));

fn schema() -> Schema {
    of::<[u8; 16]>()
}

impl Service for Identity {
    const NAME: &'static str = "actor";
    const METHODS: &'static [&'static Method] = &[&METHOD];
    const DOCS: &'static str = "";
    type Request = Ask;
    type Response = Answer;
}

struct Ask;

impl Request for Ask {
    fn method(&self) -> &'static Method {
        &METHOD
    }

    fn encode(&self, _: &mut Encoder) -> Result<(), CodecError> {
        Ok(())
    }

    fn decode(_: u32, _: impl Into<Decoder>) -> Result<Self, CodecError> {
        Ok(Self)
    }
}

struct Answer(ActorId);

impl Response for Answer {
    fn status(&self) -> Status {
        Status::Replied
    }

    fn encode(&self, out: &mut Encoder) -> Result<(), CodecError> {
        out.argument("actor", &self.0.to_bytes())
    }

    fn decode(_: u32, _: Status, body: impl Into<Decoder>) -> Result<Self, CodecError> {
        let mut decoder = body.into();
        let bytes: [u8; 16] = decoder.argument("actor")?;
        decoder.finish()?;
        Ok(Self(ActorId::from_bytes(bytes)))
    }
}

/// The registration that has the name at the other end of a link.
pub(super) async fn identify(node: &Node, binding: &Arc<Binding>, name: &str) -> Result<ActorId, Failure> {
    let mut head = CallHead::new(&METHOD, name.into());
    head.deadline = node.now().checked_add(node.config().default_timeout);
    let call: Arc<dyn AnyCall> = Arc::new(TypedCall::<Identity>::new(head, Payload::Value(Ask)));
    // Dropped on the way, the question is taken back.
    let leaving = Leaving(call.clone());
    let nobody = || -> Weak<dyn Reroute> { Weak::<Gate>::new() };
    let outgoing =
        Outgoing { call: call.clone(), now: node.now(), tried: &mut None, order: None, client: nobody() };
    if let Err(Refused { failure, .. }) = binding.send(node, outgoing) {
        return Err(failure);
    }
    poll_fn(|cx| call.poll_over(cx)).await;
    drop(leaving);
    take::<Identity>(&*call).map(|answer| answer.0)
}

struct Leaving(Arc<dyn AnyCall>);

impl Drop for Leaving {
    fn drop(&mut self) {
        if self.0.ended().is_none() {
            self.0.abandon();
        }
    }
}
