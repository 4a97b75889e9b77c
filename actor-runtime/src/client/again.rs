//! Whether a call that failed is tried once more (S10, S11).

use super::gate::Gate;
use crate::{
    Node,
    actor_id::ActorId,
    call::{AnyCall, Delivery, Failure, FailureKind, Tried},
};

/// Where a failure comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum From {
    /// No way to the actor was found.
    Finding,
    /// The actor, its server or the connection to it; which registration it was, if that is known.
    Actor(Option<ActorId>),
}

impl Gate {
    /// What is known of a call that has failed once more and is to be tried again; or what its caller is told.
    pub(super) fn again(
        &self,
        node: &Node,
        call: &dyn AnyCall,
        failure: Failure,
        tried: Option<Box<Tried>>,
        from: From,
    ) -> Result<Box<Tried>, Failure> {
        let head = call.head();
        let (kind, delivery) = (failure.kind(), failure.delivery());
        // Run by another one it could be done twice, and the one that may have run it is gone.
        let is_lost = head.number != 0
            && kind == FailureKind::Stale
            && tried.as_ref().is_some_and(|tried| tried.is_unknown());
        let helps = self.may_help(&failure, head.method.idempotent || head.number != 0) && !is_lost;
        if !helps && tried.is_none() {
            return Err(failure);
        }
        let own = head.retry.as_deref().or(self.options().retry.as_deref());
        // That there are several actors, or none, is what the empty name is told then, and no passing thing.
        let ambiguous = kind == FailureKind::NotFound && self.name().is_empty();
        let temporary = (own.is_some() || self.was_reached()) && !ambiguous;
        let first = tried.is_none();
        let mut tried = match tried {
            Some(mut tried) => {
                tried.failed(failure);
                tried
            }
            None => Tried::first(failure, own.copied().unwrap_or(node.config().retry), || node.random_u64()),
        };
        if let (From::Actor(actor), true) = (from, delivery != Delivery::NotDelivered) {
            tried.may_have_run(actor);
        }
        // The name may lead elsewhere by now: that is tried at once. What is not there at all may be there later, if
        // it was there before.
        let at_once = first && matches!(from, From::Actor(_)) && delivery == Delivery::NotDelivered;
        let worth = helps && !tried.is_spent() && (at_once || temporary || tried.is_unknown());
        if !worth || !(at_once || tried.rest(node.now(), head.deadline)) {
            return Err(tried.tell());
        }
        tracing::debug!(
            method = %head.method,
            actor = %head.name,
            attempt = tried.attempts() + 1,
            after = %kind,
            %delivery,
            "a call is tried again"
        );
        Ok(tried)
    }

    /// Whether another attempt may end otherwise, and does nothing twice.
    fn may_help(&self, failure: &Failure, repeatable: bool) -> bool {
        use FailureKind::{ConnectionLost, NotFound, Stale, Stopped, Unreachable};
        let follows = self.follows();
        match (failure.delivery(), failure.kind()) {
            (Delivery::NotDelivered, Unreachable | ConnectionLost) => true,
            (Delivery::NotDelivered, NotFound | Stale | Stopped) => follows,
            (Delivery::NotDelivered, _) => false,
            (_, ConnectionLost | Unreachable) => repeatable,
            (_, Stopped) => repeatable && follows,
            (_, _) => false,
        }
    }
}
