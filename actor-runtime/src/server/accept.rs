//! From a frame to an actor.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    Node,
    actor_id::ActorId,
    call::{
        AnyCall, CallHead, Delivery, Failure, FailureKind, InboundCall, Refused, ReplySink, Target, WireReply,
    },
    names::{Address, stale, unknown},
    proto::{CallHeader, FrameError},
    transport::loopback::{Inbound, Replies},
};

/// Takes calls for the actors of a node.
pub(super) struct Acceptor {
    pub(super) node: Node,
}

impl Inbound for Acceptor {
    fn accept(&self, frame: Bytes, replies: Replies) -> Option<Arc<dyn AnyCall>> {
        let (header, body) = match CallHeader::decode(&frame) {
            Ok(decoded) => decoded,
            Err(error) => {
                replies.send(WireReply::Failed(malformed(error)));
                return None;
            }
        };
        let target = match self.find(&header) {
            Ok(target) => target,
            Err(failure) => {
                replies.send(WireReply::Failed(failure));
                return None;
            }
        };
        let Some(method) = target.method(header.method) else {
            replies.send(WireReply::Failed(unimplemented(header.method, &target.services())));
            return None;
        };
        let head = CallHead {
            deadline: header.remaining.and_then(|remaining| self.node.now().checked_add(remaining)),
            chain: header.chain,
            caller: header.caller,
            metadata: header.metadata,
            ..CallHead::new(method, header.name.into())
        };
        let call: Arc<dyn AnyCall> = Arc::new(InboundCall::new(head, body, Box::new(replies)));
        match target.admit(call.clone()) {
            Ok(()) => Some(call),
            Err(Refused { call, failure }) => {
                call.fail(&mut |_| failure.clone());
                None
            }
        }
    }

    fn identify(&self, name: &str) -> Result<ActorId, Failure> {
        self.find_name(name).map(|target| target.id())
    }
}

impl Acceptor {
    fn find(&self, header: &CallHeader<'_>) -> Result<Arc<dyn Target>, Failure> {
        let own = self.node.namespace();
        if header.namespace != own.as_str() {
            let detail = format!(
                "the call asks for {:?} in namespace {:?}, and this server serves namespace {own}; give both sides \
                 the same namespace",
                header.name, header.namespace
            );
            return Err(Failure::new(FailureKind::NotFound, Delivery::NotDelivered, detail));
        }
        let target = self.find_name(header.name)?;
        match header.actor {
            Some(wanted) if wanted != target.id() => Err(stale(wanted, target.id())),
            _ => Ok(target),
        }
    }

    fn find_name(&self, name: &str) -> Result<Arc<dyn Target>, Failure> {
        let directory = self.node.directory();
        directory.find(name).ok_or_else(|| {
            let place =
                directory.address().map_or_else(String::new, |address: Address| format!("at {address}"));
            let known: Vec<String> = directory.names().iter().map(|name| format!("{name:?}")).collect();
            unknown(name, &place, &known)
        })
    }
}

fn malformed(error: FrameError) -> Failure {
    let detail = format!("the call's envelope cannot be read: {error}");
    Failure::new(FailureKind::Malformed, Delivery::NotDelivered, detail)
}

fn unimplemented(id: u32, services: &str) -> Failure {
    let detail = format!(
        "the actor serves {services}, which have no method with the id {id:#010x}; add the service to its \
         `type Services`, or update the older side"
    );
    Failure::new(FailureKind::Unimplemented, Delivery::NotDelivered, detail)
}

impl ReplySink for Replies {
    fn send(&self, reply: WireReply) {
        Self::send(self, reply);
    }
}
