//! S12: a client can be sent in a message. It belongs to the node that receives it, calls the registration that was meant,
//! and never follows.

#![expect(clippy::disallowed_methods, reason = "code outside of every scope is what is tested")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "an actor of a test may panic as the test may")]

use std::task::{Context, Waker};

use actor_runtime::{ActorId, LocalCalls, prelude::*, service::MethodDescription};
use tests::{Fixture, Path, ProbeClient, on_each_path, on_path};

/// Clients in all places where they can stand.
#[actor_service]
trait Exchange {
    async fn keep(&mut self, probe: ProbeClient);
    async fn keep_borrowed(&mut self, probe: &ProbeClient);
    async fn keep_all(&mut self, found: Found);
    async fn keep_stream(&mut self, probes: Streaming<ProbeClient>) -> u64;
    /// Calls what was kept; gives the sum, or how the first call failed.
    async fn add(&self, n: u64) -> Result<u64, String>;
    /// Which registrations were kept, as far as that is known.
    async fn kept(&self) -> Vec<Option<ActorId>>;
    async fn give(&self) -> Option<ProbeClient>;
    async fn give_later(&self, reply: ReplyTo<Vec<ProbeClient>>);
    fn give_stream(&self) -> impl Stream<Item = ProbeClient>;
    async fn this(&self) -> ExchangeClient;
    #[oneway]
    async fn note(&self);
    /// Whether a one-way call to the other one ends at its first poll.
    async fn tell(&self, other: ExchangeClient) -> bool;
}

#[message]
#[derive(Clone)]
struct Found {
    best: Option<ProbeClient>,
    others: Vec<(String, ProbeClient)>,
    at: u8,
}

#[derive(Default)]
struct Desk {
    probes: Vec<ProbeClient>,
}

#[actor_service]
impl Exchange for Desk {
    async fn keep(&mut self, probe: ProbeClient) {
        self.probes = vec![probe];
    }

    async fn keep_borrowed(&mut self, probe: &ProbeClient) {
        self.probes = vec![probe.clone()];
    }

    async fn keep_all(&mut self, found: Found) {
        self.probes =
            found.best.into_iter().chain(found.others.into_iter().map(|(_, probe)| probe)).collect();
    }

    async fn keep_stream(&mut self, probes: Streaming<ProbeClient>) -> u64 {
        self.probes = probes.try_collect().await.expect("they come");
        self.probes.len() as u64
    }

    async fn add(&self, n: u64) -> Result<u64, String> {
        let mut sum = 0;
        for probe in &self.probes {
            sum += probe.add(n).await.map_err(|failure| format!("{:?}: {failure}", failure.kind()))?;
        }
        Ok(sum)
    }

    async fn kept(&self) -> Vec<Option<ActorId>> {
        self.probes.iter().map(ServiceClient::pinned_actor).collect()
    }

    async fn give(&self) -> Option<ProbeClient> {
        self.probes.first().cloned()
    }

    async fn give_later(&self, reply: ReplyTo<Vec<ProbeClient>>) {
        drop(reply.send(self.probes.clone()));
    }

    fn give_stream(&self) -> impl Stream<Item = ProbeClient> {
        stream::iter(self.probes.clone())
    }

    async fn this(&self) -> ExchangeClient {
        current_ctx().expect("a turn").this()
    }

    async fn note(&self) {}

    async fn tell(&self, other: ExchangeClient) -> bool {
        other.kept().await.expect("it is there");
        let told = std::pin::pin!(other.note());
        told.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }
}

/// A desk, and a client of it.
fn desk(fixture: &Fixture) -> ExchangeClient {
    fixture.register("desk", Desk::default());
    ExchangeClient::on(&fixture.node, &fixture.resolver, "desk")
}

/// Another actor under the name of one that is there.
async fn anew(fixture: &Fixture, name: &str) -> ProbeClient {
    assert!(fixture.server.unregister(name).await);
    fixture.puppet(name)
}

#[track_caller]
fn is_stale(told: Result<u64, CallError<String>>) {
    let Err(CallError::Application(told)) = told else { panic!("{told:?}") };
    assert!(told.starts_with("Stale") || told.starts_with("Stopped"), "{told}");
}

#[test]
fn an_argument_is_a_client_of_the_registration_that_had_the_name() {
    on_each_path(async |fixture| {
        let (probe, desk) = (fixture.puppet("p"), desk(fixture));
        desk.keep(probe.clone()).await.unwrap();
        assert_eq!(desk.add(1).await.unwrap(), 1);
        let id = probe.pinned().await.unwrap().pinned_actor();
        assert_eq!(desk.kept().await.unwrap(), [id]);
        let probe = anew(fixture, "p").await;
        is_stale(desk.add(1).await);
        assert_eq!(probe.total().await.unwrap(), 0);
    });
}

/// Borrowed, in a struct, in an option, in a tuple, and as an item.
#[test]
fn clients_stand_wherever_values_do() {
    on_each_path(async |fixture| {
        let (a, b, desk) = (fixture.puppet("a"), fixture.puppet("b"), desk(fixture));
        desk.keep_borrowed(&a).await.unwrap();
        assert_eq!(desk.add(1).await.unwrap(), 1);
        let found = Found {
            best: None,
            others: vec![("b".to_owned(), b.clone()), (String::new(), a.clone())],
            at: 3,
        };
        desk.keep_all(found.clone()).await.unwrap();
        assert_eq!(desk.add(1).await.unwrap(), 1 + 2);
        desk.keep_all(Found { best: Some(b.clone()), others: Vec::new(), at: 4 }).await.unwrap();
        assert_eq!(desk.add(1).await.unwrap(), 2);
        assert_eq!(desk.keep_stream(stream::iter([a.clone(), b.clone()])).await.unwrap(), 2);
        assert_eq!(desk.add(1).await.unwrap(), 3 + 3);
        anew(fixture, "a").await;
        is_stale(desk.add(1).await);
    });
}

#[test]
fn a_reply_is_a_client_of_the_node_that_asked() {
    on_each_path(async |fixture| {
        let (probe, desk) = (fixture.puppet("p"), desk(fixture));
        desk.keep(probe.clone()).await.unwrap();
        // Outside of every scope.
        let others = tokio::spawn(async move {
            let mut others = desk.give_later().await.unwrap();
            others.extend(desk.give().await.unwrap());
            others.extend(desk.give_stream().await.unwrap().try_collect::<Vec<_>>().await.unwrap());
            others
        });
        let others = others.await.unwrap();
        assert_eq!(others.len(), 3);
        for (n, client) in others.iter().enumerate() {
            assert_eq!(client.add(1).await.unwrap(), n as u64 + 1);
        }
        let probe = anew(fixture, "p").await;
        for client in &others {
            let failure = client.add(1).await.unwrap_err();
            assert!(matches!(failure.kind(), FailureKind::Stale | FailureKind::Stopped), "{failure}");
        }
        assert_eq!(probe.total().await.unwrap(), 0);
    });
}

/// A client that never made a call is as good: what its resolver knows at once travels, else its name.
#[test]
fn a_client_that_was_never_used_is_pinned_by_who_receives_it() {
    on_each_path(async |fixture| {
        let (_, desk) = (fixture.puppet("p"), desk(fixture));
        let unused = ProbeClient::on(&fixture.node, &fixture.resolver, "p");
        desk.keep(unused).await.unwrap();
        assert_eq!(desk.add(1).await.unwrap(), 1);
        assert!(desk.kept().await.unwrap()[0].is_some());
        anew(fixture, "p").await;
        is_stale(desk.add(1).await);
    });
}

#[test]
fn an_actor_hands_out_a_client_of_itself() {
    on_each_path(async |fixture| {
        let desk = desk(fixture);
        let this = desk.this().await.unwrap();
        assert_eq!(this.pinned_actor(), desk.pinned().await.unwrap().pinned_actor());
        assert!(this.kept().await.unwrap().is_empty());
        assert!(fixture.server.unregister("desk").await);
        fixture.register("desk", Desk::default());
        let failure = this.kept().await.unwrap_err();
        assert!(matches!(failure.kind(), FailureKind::Stale | FailureKind::Stopped), "{failure}");
        assert!(desk.kept().await.unwrap().is_empty());
    });
}

#[test]
fn an_actor_without_a_name_can_be_called_by_those_of_its_node_that_it_was_sent_to() {
    on_each_path(async |fixture| {
        fixture.register("desk", Desk::default());
        let node = fixture.server.node();
        let desk = ExchangeClient::on(node, &fixture.resolver, "desk");
        let unnamed = node.unnamed_actor(Desk::default()).start().unwrap();
        let other = unnamed.client::<ExchangeClient>().this().await.unwrap();
        assert_eq!(other.pinned_actor(), Some(unnamed.id()));
        // It is called directly: there is nothing that a connection could name.
        assert!(desk.tell(other.clone()).await.unwrap());
        assert!(other.kept().await.unwrap().is_empty());
    });
}

/// Two services have two fingerprints, and neither needs a node.
#[test]
fn the_schema_of_a_client_tells_its_service() {
    let schema = actor_runtime::schema::of::<ProbeClient>();
    assert!(schema.is_checked(), "{schema}");
    assert_eq!(
        schema.to_string(),
        "actor::Client { Probe: Reference { namespace: String, name: String, actor: Option<ActorId { node: NodeId(u64), \
         serial: u64 }>, address: Option<String> } }"
    );
    let other = actor_runtime::schema::of::<ExchangeClient>();
    assert_ne!(schema.fingerprint(), other.fingerprint());
    let exchange = <ExchangeService as actor_runtime::service::Service>::description();
    assert!(exchange.methods.iter().all(MethodDescription::is_checked));
}

/// Whatever way it came. A one-way call to an actor of the same node ends at its first poll if it is direct.
#[test]
fn a_client_of_an_actor_of_the_receiving_node_takes_the_direct_path() {
    on_path(Path::Simulated, async |fixture| {
        for (name, local, direct) in [("b", LocalCalls::Direct, true), ("c", LocalCalls::Encoded, false)] {
            let node = fixture.another_node(name).local_calls(local).build().unwrap();
            let server = ActorServer::bind_on(&node, "127.0.0.1:0").await.unwrap();
            let client = async |name: &str| {
                server.register(name, Desk::default()).unwrap();
                fixture.resolver.set(name, [server.address()]);
                ExchangeClient::on(&fixture.node, &fixture.resolver, name)
            };
            let (desk, other) = (client("desk").await, client("other").await);
            assert_eq!(desk.tell(other.clone()).await.unwrap(), direct);
            assert_eq!(desk.tell(other.this().await.unwrap()).await.unwrap(), direct);
        }
    });
}

/// Its values are moved, and a client among them is all the same no longer of the node that it was made on.
#[test]
fn on_the_direct_path_a_client_of_another_node_is_bound_to_the_receiving_one() {
    on_path(Path::Direct, async |fixture| {
        let other = fixture.another_node("other").build().unwrap();
        fixture.register("other", Desk::default());
        let of_another = ExchangeClient::on(&other, &fixture.resolver, "other");
        of_another.kept().await.unwrap();
        assert!(desk(fixture).tell(of_another).await.unwrap());
    });
}

/// In another format a client is its name, registration and address; read in the scope of a node, it is of that node.
#[test]
fn a_client_can_be_written_in_any_format() {
    on_each_path(async |fixture| {
        let pinned = fixture.puppet("p").pinned().await.unwrap();
        let text = serde_json::to_string(&pinned).unwrap();
        let (address, actor) = (fixture.server.address(), pinned.pinned_actor().unwrap());
        let client =
            format!(r#"{{"namespace":"<local>","name":"p","actor":"{actor}","address":"{address}"}}"#);
        assert_eq!(text, format!(r#"{{"Probe":{client}}}"#));
        let read: ProbeClient = serde_json::from_str(&text).unwrap();
        assert_eq!(read.pinned_actor(), pinned.pinned_actor());
        assert_eq!(read.add(1).await.unwrap(), 1);
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        for bad in ["{}", "{\"Post\":{}}", "7", &text.replace("<local>", "a/b")] {
            assert!(serde_json::from_str::<ProbeClient>(bad).is_err(), "{bad}");
        }
    });
}

/// Nothing says which node it is of: its calls say so.
#[test]
fn a_client_that_is_read_where_no_node_is_meant_fails_at_its_first_call() {
    on_each_path(async |fixture| {
        let other = fixture.another_node("other").build().unwrap();
        let text = serde_json::to_string(&fixture.puppet("p")).unwrap();
        let read =
            tokio::spawn(async move { serde_json::from_str::<ProbeClient>(&text).unwrap() }).await.unwrap();
        let failure = read.add(1).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::AmbiguousNode, "{failure}");
        assert_eq!(failure.delivery(), Delivery::NotDelivered);
        // It can be sent on to somebody who is of a node.
        let desk = desk(fixture);
        desk.keep(read).await.unwrap();
        assert_eq!(desk.add(1).await.unwrap(), 1);
        drop(other);
    });
}
