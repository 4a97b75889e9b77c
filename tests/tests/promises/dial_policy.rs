//! S12, across three nodes: A sends B a client of an actor on C. Whether B may connect to C is for B to say.

#![allow(clippy::unwrap_used, reason = "what a test needs may panic as the test may")]

use std::sync::{Arc, Mutex};

use actor_runtime::{Address, DialPolicy, NodeBuilder, prelude::*};
use tests::{Fixture, Path, ProbeClient, Puppet, on_each_path, on_each_path_but};

/// Calls what it is sent.
#[actor_service]
trait Middle {
    async fn keep(&mut self, probe: ProbeClient);
    async fn add(&self, n: u64) -> Result<u64, String>;
    /// Hands it on.
    async fn give(&self) -> Option<ProbeClient>;
}

#[derive(Default)]
struct Keeper(Option<ProbeClient>);

#[actor_service]
impl Middle for Keeper {
    async fn keep(&mut self, probe: ProbeClient) {
        self.0 = Some(probe);
    }

    async fn add(&self, n: u64) -> Result<u64, String> {
        let Some(probe) = &self.0 else { return Err("nothing was kept".to_owned()) };
        probe
            .add(n)
            .await
            .map_err(|failure| format!("{:?} {:?}: {failure}", failure.kind(), failure.delivery()))
    }

    async fn give(&self) -> Option<ProbeClient> {
        self.0.clone()
    }
}

/// A server on a node of this name, with a keeper called `keeper` and a puppet called `p`.
async fn server(
    fixture: &Fixture,
    name: &str,
    configure: impl FnOnce(NodeBuilder) -> NodeBuilder,
) -> ActorServer {
    let node = configure(fixture.another_node(name)).build().unwrap();
    let address = if fixture.path.crosses_nodes() { "127.0.0.1:0" } else { "loopback:0" };
    let server = ActorServer::bind_on(&node, address).await.unwrap();
    server.register("keeper", Keeper::default()).unwrap();
    server.register("p", puppet(fixture, 0)).unwrap();
    server
}

fn puppet(fixture: &Fixture, total: u64) -> Puppet {
    Puppet { script: fixture.script.clone(), resolver: fixture.resolver.clone(), total }
}

/// The client of the keeper on `middle` that `node` has, and what it has of the puppet on `far`.
fn clients(node: &Node, middle: &ActorServer, far: &ActorServer) -> (MiddleClient, ProbeClient) {
    let resolver = FixedResolver::new([("keeper", middle.address()), ("p", far.address())]);
    (MiddleClient::on(node, &resolver, "keeper"), ProbeClient::on(node, &resolver, "p"))
}

#[track_caller]
fn failed(told: Result<u64, CallError<String>>, kind: &str) -> String {
    let Err(CallError::Application(told)) = told else { panic!("{told:?} where {kind} was expected") };
    assert!(told.starts_with(kind), "{told} where {kind} was expected");
    told
}

#[test]
fn an_address_that_only_a_message_knows_is_not_dialled() {
    on_each_path(async |fixture| {
        let (b, c) = (server(fixture, "b", |b| b).await, server(fixture, "c", |c| c).await);
        let (keeper, probe) = clients(&fixture.node, &b, &c);
        keeper.keep(probe.clone()).await.unwrap();
        let told = failed(keeper.add(1).await, "Denied NotDelivered");
        assert!(
            told.contains(&c.address().to_string()) && told.contains("NodeBuilder::dial_policy"),
            "{told}"
        );
        // Nor where nobody listens: it is not tried.
        let (nowhere, told) = if fixture.path.crosses_nodes() {
            ("127.0.0.1:9", "Denied NotDelivered")
        } else {
            ("loopback:4000000000", "Unreachable NotDelivered")
        };
        let nowhere = ProbeClient::on(&fixture.node, &FixedResolver::new([("p", nowhere)]), "p");
        keeper.keep(nowhere).await.unwrap();
        failed(keeper.add(1).await, told);
    });
}

#[test]
fn one_that_was_allowed_leads_to_the_registration_that_was_meant_and_no_other() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let only = |asked: &Arc<Mutex<Vec<Address>>>| {
        let asked = asked.clone();
        DialPolicy::only(move |address| {
            asked.lock().unwrap().push(address.clone());
            true
        })
    };
    on_each_path(async |fixture| {
        for (name, policy) in [("any", DialPolicy::any()), ("only", only(&asked))] {
            let b = server(fixture, name, |b| b.dial_policy(policy)).await;
            let c = server(fixture, "c", |c| c).await;
            let (keeper, probe) = clients(&fixture.node, &b, &c);
            keeper.keep(probe.clone()).await.unwrap();
            assert_eq!(keeper.add(1).await.unwrap(), 1);
            if name == "only" {
                assert_eq!(std::mem::take(&mut *asked.lock().unwrap()), [c.address()]);
            }
            c.registration("p", puppet(fixture, 100)).replace().await.unwrap();
            failed(keeper.add(1).await, "Stale NotDelivered");
            assert_eq!(probe.add(1).await.unwrap(), 101);
            assert!(c.unregister("p").await);
            failed(keeper.add(1).await, "Stale NotDelivered");
        }
    });
}

#[test]
fn what_the_receivers_resolver_gives_is_known() {
    on_each_path(async |fixture| {
        let c = server(fixture, "c", |c| c).await;
        let resolver = FixedResolver::new([("p", c.address())]);
        let b = server(fixture, "b", |b| b.resolver(resolver)).await;
        let (keeper, probe) = clients(&fixture.node, &b, &c);
        keeper.keep(probe).await.unwrap();
        assert_eq!(keeper.add(1).await.unwrap(), 1);
    });
}

#[test]
fn what_the_receiver_is_connected_to_is_known() {
    on_each_path(async |fixture| {
        let (b, c) = (server(fixture, "b", |b| b).await, server(fixture, "c", |c| c).await);
        let (keeper, probe) = clients(&fixture.node, &b, &c);
        keeper.keep(probe).await.unwrap();
        failed(keeper.add(1).await, "Denied NotDelivered");
        let (_, own) = clients(b.node(), &b, &c);
        assert_eq!(own.add(1).await.unwrap(), 1);
        assert_eq!(keeper.add(1).await.unwrap(), 2);
    });
}

/// The first call over the connection that the sender has just made: its certificate has proved where it listens.
#[test]
fn the_sender_itself_can_be_called_back_at_once() {
    on_each_path(async |fixture| {
        let b = server(fixture, "b", |b| b).await;
        for name in ["a1", "a2", "a3"] {
            let a = server(fixture, name, |a| a).await;
            let (keeper, _) = clients(a.node(), &b, &a);
            let probe: ProbeClient = a.client("p").unwrap();
            keeper.keep(probe.pinned().await.unwrap()).await.unwrap();
            assert_eq!(keeper.add(1).await.unwrap(), 1);
            // And handed back, it is a client of its own node.
            let given = keeper.give().await.unwrap().unwrap();
            assert_eq!(given.add(1).await.unwrap(), 2);
            assert_eq!(given.pinned_actor(), probe.pinned().await.unwrap().pinned_actor());
        }
    });
}

/// Whoever listens at the address by now is not who was meant.
#[test]
fn a_server_that_was_started_anew_at_the_address_is_another_one() {
    on_each_path_but(&[Path::Direct, Path::Loopback], "they have no ports to bind again", async |fixture| {
        let b = server(fixture, "b", |b| b.dial_policy(DialPolicy::any())).await;
        let c = server(fixture, "c", |c| c).await;
        let (keeper, probe) = clients(&fixture.node, &b, &c);
        keeper.keep(probe.clone()).await.unwrap();
        assert_eq!(keeper.add(1).await.unwrap(), 1);
        c.shutdown(Duration::from_secs(1)).await.unwrap();
        let node = fixture.another_node("c").seed(77).build().unwrap();
        let c = ActorServer::bind_on(&node, c.address().to_string()).await.unwrap();
        c.register("p", puppet(fixture, 100)).unwrap();
        failed(keeper.add(1).await, "Stale NotDelivered");
        assert_eq!(probe.add(1).await.unwrap(), 101);
    });
}

/// What says it is of the receiving node is looked for there, and nowhere else, wherever it says it is.
#[test]
fn an_address_that_comes_with_the_receivers_own_identity_is_not_dialled() {
    on_each_path(async |fixture| {
        let without_server = fixture.another_node("plain").build().unwrap();
        for node in [fixture.server.node(), &without_server] {
            let id = node.id();
            let text = format!(
                r#"{{"Probe":{{"namespace":"<local>","name":"p","actor":"{id}-4000","address":"127.0.0.1:9"}}}}"#
            );
            let probe: ProbeClient = node.scope(async { serde_json::from_str(&text).unwrap() }).await;
            let failure = probe.add(1).await.unwrap_err();
            assert_eq!(
                (failure.kind(), failure.delivery()),
                (FailureKind::Stale, Delivery::NotDelivered),
                "{failure}"
            );
        }
    });
}
