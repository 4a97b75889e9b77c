//! S12: a client of a name that several endpoints have calls the first, in their order, that can be called.

#![allow(clippy::unwrap_used, reason = "an actor of a test may panic as the test may")]

use std::time::Duration;

use actor_runtime::{
    ActorServer, BoxFuture, BoxStream, CallOptions, Delivery, FailureKind, FixedResolver, Namespace,
    ResolveError, ResolveResult, ResolvedEndpoint, Resolver, Retry, ServiceClient, prelude::*,
};
use futures::{FutureExt, StreamExt, future::join_all};
use tests::{Fixture, Path, Script, on_each_path, on_each_path_but, on_path};

/// A desk of an office with several, each on a server of its own.
#[actor_service]
trait Desk {
    /// Which one it is.
    async fn who(&self) -> u32;
    /// Logs the number; gives which desk it is.
    async fn note(&mut self, number: u32) -> u32;
    /// Logs the number when its door has been opened.
    async fn held(&mut self, number: u32) -> u32;
    /// Ends by a panic.
    async fn end(&mut self);
}

struct Clerk(u32, Script);

#[actor_service]
impl Desk for Clerk {
    async fn who(&self) -> u32 {
        self.0
    }

    async fn note(&mut self, number: u32) -> u32 {
        self.1.log(format!("{number} at {}", self.0));
        self.0
    }

    async fn held(&mut self, number: u32) -> u32 {
        self.1.act(&number.to_string()).await;
        self.0
    }

    async fn end(&mut self) {
        panic!("as it was told to");
    }
}

const LONG: Duration = Duration::from_secs(5);

/// What the first attempt is alone for.
const DELAY: Duration = Duration::from_millis(250);

/// As many servers as numbers, each with that desk. The first is that of the fixture.
async fn desks(fixture: &Fixture, numbers: &[u32]) -> Vec<ActorServer> {
    let mut servers = Vec::new();
    for number in numbers {
        let server = fixture.another_server(&format!("desk-{number}")).await;
        server.register("desk", Clerk(*number, fixture.script.clone())).unwrap();
        servers.push(server);
    }
    fixture.resolver.set("desk", servers.iter().map(ActorServer::address));
    servers
}

/// A server that is there no more.
async fn dead(fixture: &Fixture, name: &str) -> String {
    let server = fixture.another_server(name).await;
    let address = server.address().to_string();
    server.shutdown(LONG).await.unwrap();
    address
}

fn client(fixture: &Fixture) -> DeskClient {
    DeskClient::on(&fixture.node, &fixture.resolver, "desk")
}

#[test]
fn the_next_one_is_called_where_nobody_listens_at_the_first() {
    on_each_path(async |fixture| {
        let servers = desks(fixture, &[1, 2]).await;
        let gone = dead(fixture, "dead").await;
        let addresses = [gone, servers[0].address().to_string(), servers[1].address().to_string()];
        fixture.resolver.set("desk", addresses);
        let started = now();
        assert_eq!(client(fixture).who().await.unwrap(), 1);
        // Where no datagram is answered, nobody knows that nobody listens.
        let silent = if fixture.path.crosses_nodes() { DELAY } else { Duration::ZERO };
        fixture.check_time(started.elapsed(), silent);
    });
}

#[test]
fn the_first_is_called_as_long_as_it_can_be() {
    on_each_path(async |fixture| {
        let _servers = desks(fixture, &[1, 2, 3]).await;
        for _ in 0..10 {
            assert_eq!(client(fixture).who().await.unwrap(), 1);
        }
    });
}

#[test]
fn an_actor_of_the_own_node_has_its_place_among_the_others() {
    on_each_path_but(&[Path::Simulated, Path::Quic], "the client's node has no server", async |fixture| {
        let servers = desks(fixture, &[1]).await;
        fixture.server.register("desk", Clerk(0, fixture.script.clone())).unwrap();
        let (own, other) = (fixture.server.address(), servers[0].address());
        fixture.resolver.set("desk", [dead(fixture, "dead").await, own.to_string(), other.to_string()]);
        let client = client(fixture);
        assert_eq!(client.who().await.unwrap(), 0);
        assert_eq!(client.pinned().await.unwrap().who().await.unwrap(), 0);
        assert!(fixture.server.unregister("desk").await);
        assert_eq!(client.who().await.unwrap(), 1);
    });
}

/// Its connection is good; only a call would find out, and it has been sent by then.
#[test]
fn the_next_one_is_called_where_the_first_has_no_such_name() {
    on_each_path(async |fixture| {
        let servers = desks(fixture, &[1, 2]).await;
        let once = CallOptions::new().retry(Retry::none());
        assert_eq!(client(fixture).who().await.unwrap(), 1);
        let empty = fixture.another_server("empty").await;
        fixture.resolver.set("desk", [empty.address(), servers[1].address()]);
        assert_eq!(client(fixture).with_options(once).who().await.unwrap(), 2);
    });
}

#[test]
fn the_next_one_is_called_where_the_server_of_the_first_is_stopping() {
    on_each_path(async |fixture| {
        let servers = desks(fixture, &[1, 2]).await;
        let (before, after) = (client(fixture), client(fixture));
        let held = before.held(1);
        let stops = async {
            fixture.script.seen("1 begins").await;
            let ends = async {
                fixture.settle().await;
                let once = CallOptions::new().retry(Retry::none());
                assert_eq!(after.with_options(once).who().await.unwrap(), 2);
                assert_eq!(before.clone().who().await.unwrap(), 2);
                fixture.script.open("1");
            };
            let (stopped, ()) = tokio::join!(servers[0].shutdown(LONG), ends);
            stopped.unwrap();
        };
        let (held, ()) = tokio::join!(held, stops);
        assert_eq!(held.unwrap(), 1, "what ran there is answered");
        assert_eq!(before.who().await.unwrap(), 2);
    });
}

/// It keeps its name, so that callers are told how it ended, and its server goes on.
#[test]
fn the_next_one_is_called_where_the_actor_of_the_first_has_ended() {
    on_each_path(async |fixture| {
        let servers = desks(fixture, &[1, 2, 3]).await;
        let client = client(fixture);
        for at in 1..=3 {
            assert_eq!(client.who().await.unwrap(), at);
            assert_eq!(client.end().await.unwrap_err().kind(), FailureKind::Panicked);
        }
        let failure = client.who().await.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Stopped, Delivery::NotDelivered));
        assert!(failure.detail().contains("as it was told to"), "{failure}");
        // Another one that has the name is not the one that ended.
        servers[1].register("desk", Clerk(22, fixture.script.clone())).unwrap();
        assert_eq!(client.who().await.unwrap(), 22);
    });
}

#[test]
fn the_next_one_is_called_where_the_name_of_the_first_was_given_up() {
    on_each_path(async |fixture| {
        let servers = desks(fixture, &[1, 2, 3]).await;
        let client = client(fixture);
        for (at, server) in (1..).zip(&servers) {
            assert_eq!(client.who().await.unwrap(), at);
            assert!(server.unregister("desk").await);
        }
        let failure = client.who().await.unwrap_err();
        assert!(matches!(failure.kind(), FailureKind::Stopped | FailureKind::NotFound), "{failure}");
        servers[1].register("desk", Clerk(22, fixture.script.clone())).unwrap();
        assert_eq!(client.who().await.unwrap(), 22);
    });
}

#[test]
fn calls_stay_where_they_are_when_an_earlier_one_comes_back() {
    on_each_path(async |fixture| {
        let servers = desks(fixture, &[2]).await;
        let first = fixture.another_server("first").await;
        fixture.resolver.set("desk", [first.address(), servers[0].address()]);
        let client = client(fixture);
        assert_eq!(client.who().await.unwrap(), 2);
        first.register("desk", Clerk(1, fixture.script.clone())).unwrap();
        for _ in 0..20 {
            assert_eq!(client.who().await.unwrap(), 2);
        }
        servers[0].shutdown(LONG).await.unwrap();
        assert_eq!(client.who().await.unwrap(), 1);
    });
}

/// Each is done once, wherever. Over sockets the last one may be under way when the connection is closed.
#[test]
fn a_server_that_shuts_down_under_calls_costs_none_of_them() {
    on_each_path(async |fixture| {
        let servers = desks(fixture, &[1, 2]).await;
        let client = client(fixture);
        assert_eq!(client.who().await.unwrap(), 1);
        let calls = async {
            let (mut at, mut unknown) = (Vec::new(), Vec::new());
            for number in 0..300 {
                match client.note(number).await {
                    Ok(desk) => at.push(format!("{number} at {desk}")),
                    Err(failure) if failure.delivery() == Delivery::Unknown => unknown.push(number),
                    Err(failure) => panic!("{failure}"),
                }
            }
            (at, unknown)
        };
        let stops = async {
            fixture.script.seen("100 at 1").await;
            servers[0].shutdown(LONG).await.unwrap();
        };
        let ((at, unknown), ()) = tokio::join!(calls, stops);
        assert!(unknown.len() <= usize::from(fixture.path == Path::Quic), "{unknown:?}");
        assert_eq!((at[0].as_str(), at[at.len() - 1].as_str()), ("0 at 1", "299 at 2"));
        let mut done = fixture.script.lines();
        done.retain(|line| !unknown.iter().any(|number| line.starts_with(&format!("{number} "))));
        assert_eq!(done, at);
    });
}

#[test]
fn calls_that_wait_for_the_first_way_keep_their_order() {
    on_each_path(async |fixture| {
        let servers = desks(fixture, &[1, 2]).await;
        let gone = dead(fixture, "dead").await;
        fixture
            .resolver
            .set("desk", [gone, servers[0].address().to_string(), servers[1].address().to_string()]);
        let client = client(fixture);
        let at = join_all((0..50).map(|number| client.note(number))).await;
        assert!(at.into_iter().all(|at| at.unwrap() == 1));
        let in_order: Vec<String> = (0..50).map(|number| format!("{number} at 1")).collect();
        assert_eq!(fixture.script.lines(), in_order);
    });
}

#[test]
fn a_failure_of_all_names_each_with_its_cause() {
    on_path(Path::Loopback, async |fixture| {
        let (empty, other) = (fixture.another_server("a").await, fixture.another_server("b").await);
        fixture.resolver.set("desk", [empty.address(), other.address()]);
        let failure = client(fixture).who().await.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::NotFound, Delivery::NotDelivered));
        let nobody = "no actor is registered as \"desk\" at";
        let expected = format!(
            "\"desk\" can be called at none of its 2 endpoints: actor://{0}/desk: not found: {nobody} {0}; nothing is \
             registered there; actor://{1}/desk: not found: {nobody} {1}; nothing is registered there",
            empty.address(),
            other.address(),
        );
        assert_eq!(failure.detail(), expected);

        fixture.resolver.set("desk", [empty.address().to_string(), dead(fixture, "c").await]);
        let failure = client(fixture).who().await.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Unreachable, Delivery::NotDelivered));
        assert!(
            failure.detail().contains("not found: ") && failure.detail().contains("unreachable: "),
            "{failure}"
        );

        // Of one there is nothing to compare.
        fixture.resolver.set("desk", [empty.address(), empty.address()]);
        let failure = client(fixture).who().await.unwrap_err();
        assert!(failure.detail().starts_with(nobody), "{failure}");
    });
}

#[test]
fn no_more_than_eight_are_tried_and_their_causes_are_bounded() {
    on_path(Path::Loopback, async |fixture| {
        let servers = desks(fixture, &[1]).await;
        let nobody = (0..8).map(|n| format!("loopback:{}", 4_000_000_000_u32 + n));
        let addresses: Vec<String> = nobody.chain([servers[0].address().to_string()]).collect();
        fixture.resolver.set("desk", &addresses);
        let failure = client(fixture).who().await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Unreachable);
        let said = failure.detail();
        assert!(
            said.contains("the first 8 of its 9 endpoints, and no more are tried in one search"),
            "{said}"
        );
        let named = |address: &String| said.contains(&format!("actor://{address}/desk: "));
        assert!(addresses[..8].iter().all(named) && !named(&addresses[8]), "{said}");
        assert!(said.chars().count() < 8 * 350, "{said}");
        fixture.resolver.set("desk", &addresses[1..]);
        assert_eq!(client(fixture).who().await.unwrap(), 1);
    });
}

#[test]
fn a_pinned_client_stays_with_its_registration_wherever_that_stands_among_others() {
    on_each_path(async |fixture| {
        let servers = desks(fixture, &[1, 2, 3]).await;
        fixture.resolver.set("desk", [servers[1].address()]);
        let pinned = client(fixture).pinned().await.unwrap();
        // None of them says which registration it has.
        fixture.resolver.set("desk", servers.iter().map(ActorServer::address));
        assert_eq!((pinned.who().await.unwrap(), client(fixture).who().await.unwrap()), (2, 1));
        assert_eq!(pinned.clone().who().await.unwrap(), 2);
        assert!(servers[1].unregister("desk").await);
        servers[1].register("desk", Clerk(22, fixture.script.clone())).unwrap();
        for client in [pinned.clone(), pinned] {
            let failure = client.note(1).await.unwrap_err();
            assert_eq!(failure.delivery(), Delivery::NotDelivered);
            assert!(matches!(failure.kind(), FailureKind::Stale | FailureKind::Stopped), "{failure}");
        }
        assert_eq!(fixture.script.lines(), [""; 0], "nobody else was asked");
    });
}

#[test]
fn a_pinned_client_waits_for_its_own_server_only() {
    on_each_path_but(&[Path::Direct, Path::Loopback], "one process", async |fixture| {
        let servers = desks(fixture, &[1, 2]).await;
        let [one, two] = [0, 1].map(|at| servers[at].address().to_string());
        fixture.resolver.set("desk", [&two]);
        let pinned = client(fixture).pinned().await.unwrap();
        fixture.resolver.set("desk", [one, two]);
        servers[1].shutdown(LONG).await.unwrap();
        let failure = pinned.note(1).await.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Unreachable, Delivery::NotDelivered));
        assert!(failure.detail().contains("is at none of its 2 endpoints"), "{failure}");
        assert_eq!(fixture.script.lines(), [""; 0]);
    });
}

/// Says of each endpoint which registration it is.
#[derive(Clone, Debug)]
struct Knowing(ResolveResult);

impl Knowing {
    async fn of(fixture: &Fixture, servers: &[ActorServer]) -> Self {
        let mut endpoints = Vec::new();
        for server in servers {
            let only = FixedResolver::new([("desk", server.address())]);
            let pinned = DeskClient::on(&fixture.node, &only, "desk").pinned().await.unwrap();
            let mut endpoint = ResolvedEndpoint::new(server.address(), "desk");
            endpoint.actor = pinned.pinned_actor();
            endpoints.push(endpoint);
        }
        Self(ResolveResult::new(endpoints))
    }
}

impl Resolver for Knowing {
    fn resolve<'a>(
        &'a self,
        _: &'a Namespace,
        _: &'a str,
    ) -> BoxFuture<'a, Result<ResolveResult, ResolveError>> {
        async move { Ok(self.0.clone()) }.boxed()
    }

    fn watch(&self, _: &Namespace, _: &str) -> BoxStream<'static, Result<ResolveResult, ResolveError>> {
        stream::pending().boxed()
    }
}

#[test]
fn what_a_resolver_says_of_registrations_is_believed_by_pinned_clients_and_checked_by_others() {
    on_each_path(async |fixture| {
        let servers = desks(fixture, &[1, 2, 3]).await;
        let knowing = Knowing::of(fixture, &servers).await;
        let follows = DeskClient::on(&fixture.node, &knowing, "desk");
        fixture.resolver.set("desk", [servers[1].address()]);
        let second = client(fixture).pinned().await.unwrap().pinned_actor();
        assert_eq!(knowing.0.endpoints[1].actor, second);
        // The entry of the first has become stale.
        assert!(servers[0].unregister("desk").await);
        servers[0].register("desk", Clerk(11, fixture.script.clone())).unwrap();
        assert_eq!(follows.who().await.unwrap(), 2);
        let pinned = follows.pinned().await.unwrap();
        assert_eq!((pinned.pinned_actor(), pinned.who().await.unwrap()), (second, 2));
    });
}

#[expect(clippy::disallowed_methods, reason = "a test measures")]
fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
