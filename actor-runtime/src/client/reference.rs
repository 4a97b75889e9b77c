//! What of a client travels in a message.
//!
//! ```text
//!   FooClient ──► Reference: namespace, name, actor?, address? ──► FooClient, pinned, of the node that received it
//! ```
//!
//! The service travels in the schema: it is the name of the one field around the reference, so that two services have two
//! fingerprints, and costs no byte.

use std::{
    fmt,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
};

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
    /// Where it is, if the sender knew. A `loopback` number means another server in another process: it is of use only
    /// together with the registration.
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
        // A resolver that panics has no answer.
        let answer = || {
            let ask = AssertUnwindSafe(|| resolver.resolve(&namespace, name).now_or_never());
            catch_unwind(ask).ok()??.ok()
        };
        let endpoint = match (pinned, route) {
            (Some(_), Some(route)) => Some(route),
            (_, route) => answer().and_then(|found| of_actor(found.endpoints, pinned)).or(route),
        };
        let Some(ResolvedEndpoint { address, name, actor, .. }) = endpoint else {
            return Self { namespace, name: name.to_owned(), actor: pinned, address: None };
        };
        let actor = pinned.or_else(|| here(node, &address, &name)).or(actor);
        Self { namespace, name, actor, address: Some(address) }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        FailureKind,
        actor_id::{Instance, NodeId},
        codec::arriving_at,
        inspect::InspectClient,
    };

    /// A reference, and so that it is decoded by the client of a service.
    fn read(reference: &impl Serialize) -> Result<InspectClient, postcard::Error> {
        postcard::from_bytes(&postcard::to_stdvec(reference).unwrap())
    }

    fn reference() -> impl Strategy<Value = Reference> {
        let actor = (any::<u64>(), any::<u64>());
        let actor = actor.prop_map(|(node, serial)| ActorId { node: NodeId(node), serial });
        let address = prop_oneof![
            any::<std::net::SocketAddr>().prop_map(Address::Socket),
            ("[a-z0-9.-]{0,252}[a-z]", any::<u16>()).prop_map(|(host, port)| Address::Host(host, port)),
            any::<u32>().prop_map(Address::Loopback),
        ];
        let (actor, address) = (proptest::option::of(actor), proptest::option::of(address));
        ("[^/\\s\\pC]{1,32}", "\\PC{0,63}", actor, address).prop_map(|(namespace, name, actor, address)| {
            let namespace = Namespace::new(namespace).unwrap();
            Reference { namespace, name, actor, address }
        })
    }

    proptest! {
        /// What arrives can be sent on, and is the same.
        #[test]
        fn a_reference_survives_the_way_through_a_client(reference in reference()) {
            // A socket address has parts that its text has not.
            let reference: Reference = postcard::from_bytes(&postcard::to_stdvec(&reference).unwrap()).unwrap();
            let client = read(&reference).unwrap();
            prop_assert_eq!(client.actor_name(), &reference.name);
            prop_assert_eq!(client.pinned_actor(), reference.actor);
            prop_assert_eq!(postcard::to_stdvec(&client).unwrap(), postcard::to_stdvec(&reference).unwrap());
            prop_assert_eq!(client.clone().as_client().gate.reference(), reference);
        }

        #[test]
        fn bytes_from_anybody_are_a_client_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(client) = postcard::from_bytes::<InspectClient>(&bytes) {
                prop_assert!(client.actor_name().len() <= MAX_NAME);
            }
        }
    }

    #[test]
    fn texts_are_no_longer_than_they_can_be() {
        let none = (None::<ActorId>, None::<Address>);
        let at = |text: String| (None::<ActorId>, Some(text));
        assert!(read(&("n".repeat(128), "a".repeat(255), none.clone())).is_ok());
        assert!(read(&("n".repeat(129), "a", none.clone())).is_err());
        assert!(read(&("n", "a".repeat(256), none.clone())).is_err());
        assert!(read(&("n/m", "a", none.clone())).is_err());
        assert!(read(&("", "a", none)).is_err());
        assert!(read(&("n", "a", at(format!("{}:1", "h".repeat(253))))).is_ok());
        assert!(read(&("n", "a", at(format!("{}:1", "h".repeat(258))))).is_err());
        assert!(read(&("n", "a", at("nonsense".to_owned()))).is_err());
    }

    #[tokio::test]
    async fn a_client_of_a_node_that_is_gone_says_so_at_its_first_call() {
        let reference = ("<local>", "a", None::<ActorId>, None::<Address>);
        let client = arriving_at(Some(Instance::next()), || read(&reference)).unwrap();
        let failure = client.health().await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Stopped, "{failure}");
    }
}
