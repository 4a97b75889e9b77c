//! Where calls go, once it is known.

use std::sync::{Arc, Weak};

use tokio::time::Instant;

use super::identify::identify;
use crate::{
    Node,
    actor_id::ActorId,
    call::{AnyCall, Delivery, Failure, FailureKind, Refused, Target, Tried},
    names::{Address, ResolveResult, ResolvedEndpoint, stale, unknown},
    node::LocalCalls,
    proto::Order,
    service::Method,
    transport::{Binding, Differences, Outgoing, Reroute},
};

/// A way to one actor.
pub(super) struct Route {
    endpoint: ResolvedEndpoint,
    way: Way,
}

enum Way {
    /// The actor is on the caller's node: calls go to its mailbox as they are.
    Direct(Arc<dyn Target>),
    /// Calls are encoded.
    Link(Arc<Binding>, Differences),
}

impl Route {
    /// Chooses among what was resolved, and connects.
    pub(super) async fn open(
        node: &Node,
        name: &str,
        found: &ResolveResult,
        pinned: Option<ActorId>,
        methods: &'static [&'static Method],
    ) -> Result<Self, Failure> {
        let Some(endpoint) = found.first() else {
            return Err(pinned.map_or_else(|| nothing_found(node, name, found), gone));
        };
        let mut endpoint = endpoint.clone();
        if let (Some(pinned), Some(present)) = (pinned, endpoint.actor)
            && pinned != present
        {
            return Err(stale(pinned, present));
        }
        endpoint.actor = pinned.or(endpoint.actor);
        let own = node.directory().address().as_ref() == Some(&endpoint.address);
        let way = if own && node.local_calls() == LocalCalls::Direct {
            Way::Direct(here(node, &endpoint)?)
        } else {
            let link = node.links().connect(node, &endpoint.address).await?;
            let differences = link.compare(node, methods).await?;
            let bind = |actor| link.bind(node.namespace().as_str(), &endpoint.name, actor);
            let mut binding = bind(endpoint.actor)?;
            if endpoint.actor.is_none() && methods.iter().any(|method| method.dedup) {
                // What may have been run is asked for again where it may have been run, and nowhere else.
                let identified = identify(node, &binding, &endpoint.name).await;
                endpoint.actor = Some(identified.map_err(not_sent)?);
                binding = bind(endpoint.actor)?;
            }
            Way::Link(binding, differences)
        };
        Ok(Self { endpoint, way })
    }

    /// The way to this actor of the node.
    pub(super) fn direct(node: &Node, name: &str, actor: Arc<dyn Target>) -> Self {
        // A node that does not listen has no address that others could use either.
        let address = node.directory().address().unwrap_or(Address::Loopback(0));
        let mut endpoint = ResolvedEndpoint::new(address, name);
        endpoint.actor = Some(actor.id());
        Self { endpoint, way: Way::Direct(actor) }
    }

    pub(super) fn endpoint(&self) -> &ResolvedEndpoint {
        &self.endpoint
    }

    /// The registration that this leads to.
    pub(super) async fn identify(&self, node: &Node) -> Result<ActorId, Failure> {
        match (&self.way, self.endpoint.actor) {
            (Way::Direct(target), _) => Ok(target.id()),
            (Way::Link(..), Some(actor)) => Ok(actor),
            (Way::Link(binding, _), None) => identify(node, binding, &self.endpoint.name).await,
        }
    }

    /// Sends a call on its way.
    pub(super) fn send(
        &self,
        node: &Node,
        call: Arc<dyn AnyCall>,
        now: Instant,
        tried: &mut Option<Box<Tried>>,
        order: &Order,
        client: impl FnOnce() -> Weak<dyn Reroute>,
    ) -> Result<(), Refused> {
        if let Some(tried) = tried
            && call.head().number != 0
            && !tried.may_ask(self.endpoint.actor)
        {
            let detail =
                "another registration has the name by now, which does not know what the first one did";
            let failure = Failure::new(FailureKind::Stale, Delivery::NotDelivered, detail);
            return Err(Refused { call, failure });
        }
        match &self.way {
            Way::Direct(target) => {
                let id = call.head().method.id;
                if target.method(id).is_none() {
                    let failure = unimplemented(&*call, &target.services());
                    return Err(Refused { call, failure });
                }
                #[cfg(debug_assertions)]
                call.check_encoding();
                target.admit(call)
            }
            Way::Link(binding, differences) => {
                if let Some(failure) = differences.refusal(call.head().method) {
                    return Err(Refused { call, failure });
                }
                binding.send(node, Outgoing { call, now, tried, order: Some(order), client: client() })
            }
        }
    }
}

/// The question who has the name may have been answered or not: the calls that wait for that were not sent.
fn not_sent(failure: Failure) -> Failure {
    let kind = match failure.kind() {
        FailureKind::ConnectionLost => FailureKind::Unreachable,
        kind => kind,
    };
    Failure::new(kind, Delivery::NotDelivered, failure.detail())
}

fn here(node: &Node, endpoint: &ResolvedEndpoint) -> Result<Arc<dyn Target>, Failure> {
    let directory = node.directory();
    let target = directory.find(&endpoint.name).ok_or_else(|| {
        let known: Vec<String> = directory.names().iter().map(|name| format!("{name:?}")).collect();
        unknown(&endpoint.name, &format!("at {}", endpoint.address), &known)
    })?;
    match endpoint.actor {
        Some(wanted) if wanted != target.id() => Err(stale(wanted, target.id())),
        _ => Ok(target),
    }
}

fn nothing_found(node: &Node, name: &str, found: &ResolveResult) -> Failure {
    let place = format!("in namespace {}", node.namespace());
    if found.rejected.is_empty() {
        return unknown(name, &place, &found.known);
    }
    let detail = format!("no entry for {name:?} {place} is an address: {}", found.rejected.join("; "));
    Failure::new(FailureKind::NotFound, Delivery::NotDelivered, detail)
}

/// The registration that a client is pinned to has left, and nothing has its name.
pub(super) fn gone(wanted: ActorId) -> Failure {
    let detail = format!("the client is pinned to the registration {wanted}, which is gone");
    Failure::new(FailureKind::Stale, Delivery::NotDelivered, detail)
}

pub(crate) fn unimplemented(call: &dyn AnyCall, services: &str) -> Failure {
    let method = call.head().method;
    let detail = format!(
        "the actor serves {services}, not {method}; add the service to its `type Services`, or call another actor"
    );
    Failure::new(FailureKind::Unimplemented, Delivery::NotDelivered, detail)
}
