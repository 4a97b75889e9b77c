//! Where calls go, once it is known: the way to one endpoint. Which endpoint, `choose` says.

use std::sync::{Arc, Weak};

use tokio::time::Instant;

use super::identify::identify;
use crate::{
    Node,
    actor_id::ActorId,
    call::{AnyCall, Delivery, Failure, FailureKind, Refused, Target, Tried},
    names::{Address, Namespace, ResolvedEndpoint, elsewhere, stale, unknown},
    node::LocalCalls,
    proto::Order,
    service::{Method, fingerprints},
    transport::{Binding, Differences, Outgoing, Reroute},
};

/// Whom a client means.
pub(crate) struct Whom<'a> {
    pub(crate) namespace: &'a Namespace,
    pub(crate) name: &'a str,
    /// The registration, if it is known and means no other.
    pub(crate) pinned: Option<ActorId>,
    /// Whether it means whoever has the name.
    pub(crate) follows: bool,
    /// Whether there are others who may be asked in place of an endpoint: then its server has to say, before any call is
    /// sent, which registration is there.
    pub(crate) has_choice: bool,
}

/// A way to one actor.
pub(crate) struct Route {
    endpoint: ResolvedEndpoint,
    way: Way,
}

enum Way {
    /// The actor is on the caller's node: calls go to its mailbox as they are.
    Direct {
        target: Arc<dyn Target>,
        /// The methods whose calls are encoded all the same, for the clients in them. Mostly none.
        with_clients: Box<[u32]>,
    },
    /// Calls are encoded.
    Link(Arc<Binding>, Differences),
}

impl Route {
    /// The way to this endpoint; connects if need be.
    pub(crate) async fn open(
        node: &Node,
        whom: &Whom<'_>,
        endpoint: &ResolvedEndpoint,
        methods: &'static [&'static Method],
    ) -> Result<Self, Failure> {
        let &Whom { namespace, pinned, .. } = whom;
        let mut endpoint = endpoint.clone();
        if let (Some(pinned), Some(present)) = (pinned, endpoint.actor)
            && pinned != present
        {
            return Err(stale(pinned, present));
        }
        endpoint.actor = pinned.or(endpoint.actor);
        let own = is_direct(node, &endpoint);
        let way = if own {
            let target = here(node, whom, &endpoint)?;
            if !whom.follows || whom.has_choice {
                endpoint.actor = Some(target.id());
            }
            Way::Direct { target, with_clients: fingerprints::with_clients(methods.iter().copied()) }
        } else {
            let link = node.links().connect(node, &endpoint.address).await?;
            let differences = link.compare(node, methods).await?;
            let bind = |actor| link.bind(namespace.as_str(), &endpoint.name, actor);
            let mut binding = bind(endpoint.actor)?;
            let known = endpoint.actor.is_some();
            let needed = || !whom.follows || methods.iter().any(|method| method.dedup);
            if whom.has_choice || !known && needed() {
                // What may have been run is asked for again where it may have been run, and nowhere else. And whoever does
                // not follow the name has to know whom it means.
                let identified = identify(node, &binding, &endpoint.name).await.map_err(not_sent)?;
                if !known {
                    endpoint.actor = Some(identified);
                    binding = bind(endpoint.actor)?;
                }
            }
            Way::Link(binding, differences)
        };
        Ok(Self { endpoint, way })
    }

    /// The way to this actor of the node.
    pub(crate) fn direct(node: &Node, name: &str, actor: Arc<dyn Target>) -> Self {
        // A node that does not listen has no address that others could use either.
        let address = node.directory().address().unwrap_or(Address::Loopback(0));
        let mut endpoint = ResolvedEndpoint::new(address, name);
        endpoint.actor = Some(actor.id());
        let methods = actor.service_methods().iter().copied().flatten().copied();
        let with_clients = fingerprints::with_clients(methods);
        Self { endpoint, way: Way::Direct { target: actor, with_clients } }
    }

    pub(crate) fn endpoint(&self) -> &ResolvedEndpoint {
        &self.endpoint
    }

    /// The registration that this leads to.
    pub(crate) async fn identify(&self, node: &Node) -> Result<ActorId, Failure> {
        match (&self.way, self.endpoint.actor) {
            (Way::Direct { target, .. }, _) => Ok(target.id()),
            (Way::Link(..), Some(actor)) => Ok(actor),
            (Way::Link(binding, _), None) => identify(node, binding, &self.endpoint.name).await,
        }
    }

    /// Sends a call on its way.
    pub(crate) fn send(
        &self,
        node: &Node,
        call: Arc<dyn AnyCall>,
        now: Instant,
        tried: &mut Option<Box<Tried>>,
        order: Option<&Order>,
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
            Way::Direct { target, with_clients } => {
                let id = call.head().method.id;
                if target.method(id).is_none() {
                    let failure = unimplemented(&*call, &target.services());
                    return Err(Refused { call, failure });
                }
                #[cfg(debug_assertions)]
                call.check_encoding();
                if with_clients.contains(&id)
                    && let Err(error) = call.encode_in_place(node.config().max_message_bytes)
                {
                    let failure = Failure::of_codec(&error, Delivery::NotDelivered, "the arguments");
                    return Err(Refused { call, failure });
                }
                target.admit(call)
            }
            Way::Link(binding, differences) => {
                if let Some(failure) = differences.refusal(call.head().method) {
                    return Err(Refused { call, failure });
                }
                binding.send(node, Outgoing { call, now, tried, order, client: client() })
            }
        }
    }
}

/// Whether calls to this endpoint go to a mailbox of the node as they are. One that nobody else could find, since it has no
/// name or the node does not listen, is reached by its id.
fn is_direct(node: &Node, endpoint: &ResolvedEndpoint) -> bool {
    let directory = node.directory();
    let actor = endpoint.actor.filter(|actor| actor.node() == node.id());
    let runs = actor.is_some_and(|actor| node.roster().find(actor.serial).is_some());
    let is_named = || directory.entry(&endpoint.name).is_some_and(|named| Some(named.id()) == actor);
    match directory.address() {
        Some(address) if !runs || is_named() => {
            address == endpoint.address && node.local_calls() == LocalCalls::Direct
        }
        _ => runs,
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

fn here(node: &Node, whom: &Whom<'_>, endpoint: &ResolvedEndpoint) -> Result<Arc<dyn Target>, Failure> {
    if whom.namespace != node.namespace() {
        return Err(elsewhere(&endpoint.name, whom.namespace.as_str(), node.namespace()));
    }
    // Also one that has no name, or has lost it.
    let pinned = whom.pinned.filter(|pinned| pinned.node() == node.id());
    if let Some(cell) = pinned.and_then(|pinned| node.roster().find(pinned.serial)) {
        return Ok(cell);
    }
    let directory = node.directory();
    let target = directory.find(&endpoint.name).ok_or_else(|| {
        if let Some(pinned) = whom.pinned {
            return gone(pinned);
        }
        let known: Vec<String> = directory.names().iter().map(|name| format!("{name:?}")).collect();
        unknown(&endpoint.name, &format!("at {}", endpoint.address), &known)
    })?;
    match endpoint.actor {
        Some(wanted) if wanted != target.id() => Err(stale(wanted, target.id())),
        _ => Ok(target),
    }
}

/// The registration that a client is pinned to has left, and nothing has its name.
pub(crate) fn gone(wanted: ActorId) -> Failure {
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
