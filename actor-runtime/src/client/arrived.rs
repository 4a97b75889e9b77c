//! A client that came in a message: whom it calls, and whether the node may go there.
//!
//! ```text
//!   Reference ──► of this node? ──► its directory
//!                 an address?   ──► dial policy ──► there
//!                 a name        ──► the node's resolver
//! ```
//!
//! It calls one registration and never follows (S12). Where its sender did not know which one, it is the one that is
//! reached first, for all clones alike.

use std::sync::{Arc, OnceLock};

use super::{
    reference::{Reference, of_actor},
    route::gone,
};
use crate::{
    Node,
    actor_id::ActorId,
    call::{Delivery, Failure, FailureKind},
    names::{Address, Namespace, ResolveResult, ResolvedEndpoint, Resolver, stale},
    transport::loopback,
};

/// What a client that came in a message keeps of it.
///
/// Invariant: no address of a message leaves here before [`admit`](Self::admit) has let it.
pub(super) struct Arrived {
    reference: Reference,
    /// The registration that was reached first, if the reference has none.
    reached: OnceLock<ActorId>,
    /// Set once the address may be used: that a connection is lost takes nothing back.
    admitted: OnceLock<()>,
}

impl Arrived {
    pub(super) fn new(reference: Reference) -> Arc<Self> {
        Arc::new(Self { reference, reached: OnceLock::new(), admitted: OnceLock::new() })
    }

    pub(super) fn namespace(&self) -> &Namespace {
        &self.reference.namespace
    }

    /// The registration that is called, once it is known.
    pub(super) fn actor(&self) -> Option<ActorId> {
        self.reference.actor.or_else(|| self.reached.get().copied())
    }

    /// As it travels on.
    pub(super) fn reference(&self) -> Reference {
        Reference { actor: self.actor(), ..self.reference.clone() }
    }

    /// This registration was reached: it is the one from now on.
    pub(super) fn reach(&self, actor: ActorId) -> Result<(), Failure> {
        match self.reference.actor.unwrap_or_else(|| *self.reached.get_or_init(|| actor)) {
            wanted if wanted == actor => Ok(()),
            wanted => Err(stale(wanted, actor)),
        }
    }

    /// Where calls of this node go.
    pub(super) async fn find(&self, node: &Node) -> Result<ResolveResult, Failure> {
        let actor = self.actor();
        if let Some(actor) = actor.filter(|actor| actor.node() == node.id()) {
            return self.here(node, actor);
        }
        match &self.reference.address {
            Some(address) => {
                self.admit(node, address).await?;
                let mut endpoint = ResolvedEndpoint::new(address.clone(), self.reference.name.clone());
                endpoint.actor = actor;
                Ok(ResolveResult::new([endpoint]))
            }
            None => {
                let mut found = self.ask(node).await?;
                found.endpoints = of_actor(found.endpoints, actor).into_iter().collect();
                Ok(found)
            }
        }
    }

    /// An actor of the node itself, whatever address it goes by elsewhere.
    fn here(&self, node: &Node, actor: ActorId) -> Result<ResolveResult, Failure> {
        // Not the address that came with it: nobody has said that it is the node's own.
        let address = match node.directory().address() {
            Some(address) => address,
            None if node.roster().find(actor.serial).is_some() => Address::Loopback(0),
            None => return Err(gone(actor)),
        };
        let mut endpoint = ResolvedEndpoint::new(address, self.reference.name.clone());
        endpoint.actor = Some(actor);
        Ok(ResolveResult::new([endpoint]))
    }

    /// Whether the node may go to this address, which it has from a message.
    async fn admit(&self, node: &Node, address: &Address) -> Result<(), Failure> {
        if self.admitted.get().is_some() {
            return Ok(());
        }
        if let Address::Loopback(number) = address
            && !loopback::server(*number).is_some_and(|server| self.may_be_on(&server))
        {
            let detail = format!(
                "the client came in a message, and its actor was at {address} of another process, or of a server that \
                 is gone; have the actor's server listen at a socket"
            );
            return Err(Failure::new(FailureKind::Unreachable, Delivery::NotDelivered, detail));
        }
        let own = node.directory().address().as_ref() == Some(address);
        if own || node.dial_policy().allows(address) || node.links().knows(address).await {
            self.admitted.get_or_init(|| ());
            return Ok(());
        }
        let found = self.ask(node).await.unwrap_or_default();
        if found.endpoints.iter().any(|endpoint| endpoint.address == *address) {
            self.admitted.get_or_init(|| ());
            return Ok(());
        }
        let detail = format!(
            "the client came in a message with the address {address}, to which this node has no connection and which its \
             resolver does not give for {:?}; its dial policy allows {:?}, so it was not dialled: give the node a \
             resolver that knows the actor, or set `NodeBuilder::dial_policy`",
            self.reference.name,
            node.dial_policy()
        );
        Err(Failure::new(FailureKind::Denied, Delivery::NotDelivered, detail))
    }

    fn may_be_on(&self, server: &Node) -> bool {
        self.actor().is_some_and(|actor| actor.node() == server.id())
    }

    /// What the node's own resolver says.
    async fn ask(&self, node: &Node) -> Result<ResolveResult, Failure> {
        let Reference { namespace, name, .. } = &self.reference;
        node.resolver().resolve(namespace, name).await.map_err(|error| {
            Failure::new(FailureKind::Unreachable, Delivery::NotDelivered, error.to_string())
        })
    }
}
