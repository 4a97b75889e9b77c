//! Bad input and misuse: each has its kind and a text that says what to do, and everything else goes on.

use std::time::Duration;

use actor_runtime::{
    BindError, Config, Delivery, FailureKind, FixedResolver, LocalCalls, Namespace, Node, NodeError,
    RegisterError, prelude::*,
};
use tests::{Fixture, Path, ProbeClient, on_each_path};

#[test]
fn an_unknown_actor_is_told_with_what_exists() {
    on_each_path(async |fixture| {
        fixture.puppet("calc");
        let failure = ProbeClient::on(&fixture.node, &fixture.resolver, "clac").total().await.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::NotFound, Delivery::NotDelivered));
        assert_eq!(
            failure.to_string(),
            "Probe/total on actor \"clac\": not found: no actor is registered as \"clac\" in namespace <local>; \
             there is \"calc\" in <local> (not delivered)"
        );
    });
}

#[test]
fn a_resolver_that_is_wrong_about_a_server_is_told_what_the_server_has() {
    on_each_path(async |fixture| {
        fixture.puppet("calc");
        fixture.resolver.set("clac", [fixture.server.address()]);
        let failure = ProbeClient::on(&fixture.node, &fixture.resolver, "clac").total().await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::NotFound);
        let at = fixture.server.address();
        let expected = format!("no actor is registered as \"clac\" at {at}; there is \"calc\"");
        assert_eq!(failure.detail(), expected);
    });
}

#[actor_service]
trait Unserved {
    async fn anything(&self, n: u8) -> u8;
}

#[test]
fn a_service_that_the_actor_does_not_serve_is_unimplemented() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        let failure =
            UnservedClient::on(&fixture.node, &fixture.resolver, "p").anything(1).await.unwrap_err();
        assert_eq!(
            (failure.kind(), failure.delivery()),
            (FailureKind::Unimplemented, Delivery::NotDelivered)
        );
        assert!(failure.detail().starts_with("the actor serves Probe"), "{failure}");
        assert!(failure.detail().contains("add the service to its `type Services`"), "{failure}");
        assert_eq!(probe.add(1).await.unwrap(), 1);
    });
}

#[test]
fn namespaces_do_not_meet_by_accident() {
    on_each_path(async |fixture| {
        fixture.puppet("p");
        let elsewhere = fixture.another_node("elsewhere").namespace(Namespace::new("job-7").unwrap());
        let elsewhere = elsewhere.build().unwrap();
        let failure = ProbeClient::on(&elsewhere, &fixture.resolver, "p").total().await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::NotFound);
        let text = "no actor is registered as \"p\" in namespace job-7; there is \"p\" in <local>";
        assert_eq!(failure.detail(), text);

        // A resolver that answers for the other namespace leads to a server that does not.
        let mistaken =
            FixedResolver::new([("p", fixture.server.address())]).in_namespace(elsewhere.namespace().clone());
        let failure = ProbeClient::on(&elsewhere, &mistaken, "p").total().await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::NotFound);
        assert_eq!(
            failure.detail(),
            "the call asks for \"p\" in namespace \"job-7\", and this server serves namespace <local>; give both \
             sides the same namespace"
        );
    });
}

/// What two versions of one service disagree about.
mod versions {
    use actor_runtime::prelude::*;

    pub(super) mod old {
        use super::*;

        #[actor_service(name = "Versioned")]
        pub(crate) trait Old {
            async fn echo(&self, a: u32) -> u32;
            async fn greet(&self, a: String, b: String) -> String;
        }
    }

    pub(super) mod new {
        use super::*;

        #[actor_service(name = "Versioned")]
        pub(crate) trait New {
            async fn echo(&self, a: String) -> String;
            async fn greet(&self, a: String) -> u8;
        }

        pub(crate) struct Server;

        #[actor_service]
        impl New for Server {
            async fn echo(&self, a: String) -> String {
                a
            }

            async fn greet(&self, a: String) -> u8 {
                a.len() as u8
            }
        }
    }
}

#[test]
fn another_version_of_a_service_is_told_and_hurts_nobody() {
    on_each_path(async |fixture| {
        fixture.server.register("v", versions::new::Server).unwrap();
        let old = versions::old::OldClient::on(&fixture.node, &fixture.server.resolver(), "v");
        let echo = old.echo(200).await.unwrap_err();
        let greet = old.greet("a".into(), "b".into()).await.unwrap_err();
        assert_eq!((echo.delivery(), greet.delivery()), (Delivery::NotDelivered, Delivery::NotDelivered));
        match fixture.path {
            Path::Loopback | Path::Simulated | Path::Quic => {
                assert_eq!(
                    (echo.kind(), greet.kind()),
                    (FailureKind::SchemaMismatch, FailureKind::SchemaMismatch)
                );
                assert!(echo.detail().contains("build both from the same version of the service"), "{echo}");
            }
            Path::Direct => {
                assert_eq!((echo.kind(), greet.kind()), (FailureKind::Malformed, FailureKind::Malformed));
                assert!(echo.detail().starts_with("the arguments: `a` cannot be decoded: "), "{echo}");
                assert!(
                    echo.detail().contains("either the two sides have different versions of the service"),
                    "{echo}"
                );
                assert_eq!(
                    greet.detail(),
                    "the arguments: 2 bytes are left over after the last value; do both sides have the same version of the service?"
                );
            }
        }
        let new = versions::new::NewClient::on(&fixture.node, &fixture.server.resolver(), "v");
        assert_eq!(new.echo("still here".into()).await.unwrap(), "still here");
    });
}

#[actor_service]
trait Bulk {
    async fn take(&self, bytes: Vec<u8>) -> usize;
    async fn look(&self, bytes: &[u8]) -> usize;
    async fn give(&self, length: usize) -> Vec<u8>;
}

struct Warehouse;

#[actor_service]
impl Bulk for Warehouse {
    async fn take(&self, bytes: Vec<u8>) -> usize {
        bytes.len()
    }

    async fn look(&self, bytes: &[u8]) -> usize {
        bytes.len()
    }

    async fn give(&self, length: usize) -> Vec<u8> {
        vec![0; length]
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused_where_it_is_made() {
    let config = Config { max_message_bytes: 1000, ..Config::default() };
    let node = Node::builder().config(config).local_calls(LocalCalls::Encoded).build().unwrap();
    let server = ActorServer::bind_on(&node, "loopback:0").await.unwrap();
    server.register("bulk", Warehouse).unwrap();
    let bulk = BulkClient::on(&node, &server.resolver(), "bulk");
    let text = "the arguments: `bytes` makes the message larger than the limit of 1000 bytes; send it in parts, or \
                raise `Config::max_message_bytes`";
    for failure in [bulk.take(vec![0; 1001]).await.unwrap_err(), bulk.look(&[0; 1001]).await.unwrap_err()] {
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::TooLarge, Delivery::NotDelivered));
        assert_eq!(failure.detail(), text);
    }
    let failure = bulk.give(1001).await.unwrap_err();
    assert_eq!((failure.kind(), failure.delivery()), (FailureKind::TooLarge, Delivery::Executed));
    assert_eq!(failure.detail(), text.replace("the arguments: `bytes`", "the reply: `reply`"));
    assert_eq!(bulk.look(&[0; 900]).await.unwrap(), 900);
    assert_eq!(bulk.give(900).await.unwrap().len(), 900);
}

#[tokio::test]
async fn metadata_beyond_its_bounds_fails_the_call() {
    let fixture = Fixture::new(Path::Direct).await;
    let probe = fixture.puppet("p");
    let failure = probe.total().metadata("token", "x".repeat(9000)).await.unwrap_err();
    assert_eq!((failure.kind(), failure.delivery()), (FailureKind::TooLarge, Delivery::NotDelivered));
    assert_eq!(
        failure.detail(),
        "metadata `token` makes 1 entries of 9005 bytes; at most 32 entries of 8192 bytes together are carried"
    );
}

#[test]
fn two_nodes_and_no_scope_is_a_failure_and_not_a_guess() {
    // Nodes count by process, so this test has the process for itself: nextest runs it so, and cargo test is told to
    // by the scope that every other test here is in, or by `on`.
    on_each_path(async |fixture| {
        let other = Node::builder().build().unwrap();
        let resolver = fixture.resolver.clone();
        fixture.puppet("p");
        assert_eq!(ProbeClient::new(&resolver, "p").total().await.unwrap(), 0, "the scope says which");
        let thread = std::thread::Builder::new().spawn(move || {
            let probe = ProbeClient::new(&resolver, "p");
            futures::executor::block_on(async { probe.total().await.unwrap_err() })
        });
        let failure = thread.unwrap().join().unwrap();
        assert_eq!(
            (failure.kind(), failure.delivery()),
            (FailureKind::AmbiguousNode, Delivery::NotDelivered)
        );
        assert!(failure.detail().contains("nodes live in this process"), "{failure}");
        assert!(failure.detail().contains("`node.scope(…)`"), "{failure}");
        assert!(other.scope(async { Node::current().is_ok() }).await);
    });
}

#[test]
fn a_node_needs_a_runtime_and_says_so() {
    let error = Node::builder().build().unwrap_err();
    assert_eq!(error, NodeError::NoRuntime);
    assert!(error.to_string().contains("`#[actor_runtime::main]`"), "{error}");
}

#[test]
fn there_is_no_context_outside_a_turn() {
    let error = current_ctx().unwrap_err();
    assert!(error.to_string().contains("call `current_ctx()` inside a method of an actor"), "{error}");
}

#[test]
fn addresses_that_cannot_be_bound_say_why() {
    on_each_path(async |fixture| {
        let node = fixture.another_node("server").build().unwrap();
        let taken = fixture.server.address().to_string();
        let error = ActorServer::bind_on(&node, &taken).await.unwrap_err();
        assert!(matches!(error, BindError::Taken { .. }), "{error}");
        let error = ActorServer::bind_on(fixture.server.node(), "loopback:0").await.unwrap_err();
        assert!(matches!(error, BindError::Listening { .. }), "{error}");
        let error = ActorServer::bind_on(&node, "nonsense").await.unwrap_err();
        assert!(error.to_string().contains("write `127.0.0.1:7000`"), "{error}");
        // The node is as good as before, and so is the address once it is free.
        ActorServer::bind_on(&node, "loopback:0").await.unwrap();
    });
}

#[test]
fn names_that_cannot_stand_in_an_address_are_refused() {
    on_each_path(async |fixture| {
        for name in ["", "a/b", "a\nb", &"x".repeat(256)] {
            let error = fixture.server.register(name, Warehouse).unwrap_err();
            assert!(matches!(error, RegisterError::Name { .. }), "{name:?}: {error}");
        }
        fixture.server.shutdown(Duration::ZERO).await.unwrap();
        let error = fixture.server.register("late", Warehouse).unwrap_err();
        assert!(matches!(error, RegisterError::ShutDown { .. }), "{error}");
    });
}

#[test]
fn nothing_listens_at_an_address_any_more() {
    on_each_path(async |fixture| {
        let resolver = FixedResolver::new([("p", "loopback:4000000000"), ("q", "127.0.0.1:1")]);
        let failure = ProbeClient::on(&fixture.node, &resolver, "p").total().await.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Unreachable, Delivery::NotDelivered));
        assert!(
            failure.detail().contains("no server of this process listens at loopback:4000000000"),
            "{failure}"
        );
        if fixture.path.crosses_nodes() {
            let failure = ProbeClient::on(&fixture.node, &resolver, "q").total().await.unwrap_err();
            assert_eq!(
                (failure.kind(), failure.delivery()),
                (FailureKind::Unreachable, Delivery::NotDelivered)
            );
        }
    });
}
