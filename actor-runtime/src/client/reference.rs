//! What of a client travels in a message.
//!
//! ```text
//!   FooClient ──► Reference: namespace, name, actor?, address? ──► FooClient, pinned, of the node that received it
//! ```
//!
//! The service travels in the schema: it is the name of the one field around the reference, so that two services have two
//! fingerprints, and costs no byte.

use std::{fmt, marker::PhantomData};

use futures::FutureExt;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeStruct};

use super::{Client, ServiceClient, gate::Gate};
use crate::{
    Node,
    actor_id::ActorId,
    names::{Address, MAX_NAME, Namespace, ResolvedEndpoint, Resolver, default_namespace, text::text},
    node::current::receiving,
    schema::CLIENT,
    service::Service,
    transport::loopback,
};

/// Whom a client calls, as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reference {
    pub(super) namespace: Namespace,
    #[serde(deserialize_with = "text::<MAX_NAME, _>")]
    pub(super) name: String,
    /// Which registration, if the sender knew.
    pub(super) actor: Option<ActorId>,
    /// Where it is, if the sender knew. One in this process comes only with the registration: the number means another
    /// server in another process.
    pub(super) address: Option<Address>,
}

/// Writes a client, for generated code.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<C: ServiceClient, S: Serializer>(client: &C, serializer: S) -> Result<S::Ok, S::Error> {
    let mut around = serializer.serialize_struct(CLIENT, 1)?;
    around.serialize_field(C::Service::NAME, &client.as_client().gate.reference())?;
    around.end()
}

/// Reads a client, for generated code. It belongs to the node that the message came to.
///
/// # Errors
/// Those of the deserializer, and texts that are too long or none of their kind.
pub fn deserialize<'de, C: ServiceClient, D: Deserializer<'de>>(deserializer: D) -> Result<C, D::Error> {
    let reader = Reader::<C>(PhantomData);
    let reference = deserializer.deserialize_struct(CLIENT, Reader::<C>::FIELDS, reader)?;
    Ok(C::from_client(Client::arrived(reference)))
}

struct Reader<C>(PhantomData<C>);

impl<C: ServiceClient> Reader<C> {
    const FIELDS: &'static [&'static str] = &[C::Service::NAME];
}

impl<'de, C: ServiceClient> de::Visitor<'de> for Reader<C> {
    type Value = Reference;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a client of the service {}", C::Service::NAME)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut fields: A) -> Result<Reference, A::Error> {
        fields.next_element()?.ok_or_else(|| de::Error::invalid_length(0, &self))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut fields: A) -> Result<Reference, A::Error> {
        let mut found = None;
        while let Some(field) = fields.next_key::<String>()? {
            if field == C::Service::NAME {
                found = Some(fields.next_value()?);
            } else {
                fields.next_value::<de::IgnoredAny>()?;
            }
        }
        found.ok_or_else(|| de::Error::missing_field(C::Service::NAME))
    }
}

impl Client {
    /// A client of the node that receives what is being read.
    fn arrived(reference: Reference) -> Self {
        Self { gate: Gate::from_message(receiving(), reference) }
    }
}

impl Reference {
    /// What there is to say of whoever has this name, or of this registration of it, without waiting.
    ///
    /// Where the sender's resolver answers at once, its answer travels; else where calls went last; else the name alone,
    /// for the receiver's resolver. What has the name in this process is told with its registration.
    pub(super) fn of(
        node: Option<&Node>,
        name: &str,
        pinned: Option<ActorId>,
        resolver: &dyn Resolver,
        route: Option<ResolvedEndpoint>,
    ) -> Self {
        let namespace = node.map_or_else(default_namespace, |node| node.namespace().clone());
        let answer = || resolver.resolve(&namespace, name).now_or_never()?.ok();
        let endpoint = match (pinned, route) {
            (Some(_), Some(route)) => Some(route),
            (_, route) => answer().and_then(|found| of_actor(found.endpoints, pinned)).or(route),
        };
        let Some(ResolvedEndpoint { address, name, actor, .. }) = endpoint else {
            return Self { namespace, name: name.to_owned(), actor: pinned, address: None };
        };
        let actor = pinned.or_else(|| here(node, &address, &name)).or(actor);
        // Without the registration, it could mean anybody in another process.
        let address =
            Some(address).filter(|address| actor.is_some() || !matches!(address, Address::Loopback(_)));
        Self { namespace, name, actor, address }
    }
}

/// The endpoint of this registration, else the first that may be it.
pub(super) fn of_actor(
    mut endpoints: Vec<ResolvedEndpoint>,
    actor: Option<ActorId>,
) -> Option<ResolvedEndpoint> {
    let exact = endpoints.iter().position(|endpoint| actor.is_some() && endpoint.actor == actor);
    let at = exact
        .or_else(|| endpoints.iter().position(|endpoint| actor.is_none() || endpoint.actor.is_none()))?;
    Some(endpoints.swap_remove(at))
}

/// Which registration has the name at this address, if that is in this process.
fn here(node: Option<&Node>, address: &Address, name: &str) -> Option<ActorId> {
    let own = node.filter(|node| node.directory().address().as_ref() == Some(address));
    let serving = match address {
        _ if own.is_some() => own.cloned(),
        Address::Loopback(number) => loopback::server(*number),
        Address::Socket(_) | Address::Host(..) => None,
    };
    Some(serving?.directory().entry(name)?.id())
}
