//! Nodes that meet over QUIC: where they listen, whom they reach, what they are told if they do not.
#![expect(clippy::disallowed_methods, reason = "the bounds are bounds of time")]
#![allow(clippy::unwrap_used, reason = "what a test needs may panic as the test may")]

use std::{
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use actor_runtime::{
    ActorServer, Authority, BindError, Delivery, FailureKind, FixedResolver, Node, ServiceClient, Trust,
    TrustError,
};
use futures::future::join_all;
use tests::{PostClient, Window, cluster, faults::BOUND, member, node};

async fn server(authority: &Authority, name: &str) -> ActorServer {
    let server = ActorServer::bind_on(&node(authority, name), "127.0.0.1:0").await.unwrap();
    server.register("post", Window::default()).unwrap();
    server
}

fn client(node: &Node, address: impl ToString) -> PostClient {
    PostClient::on(node, &FixedResolver::new([("post", address.to_string())]), "post")
}

#[tokio::test]
async fn a_port_that_is_taken_fails_at_once_and_is_free_after_a_shutdown() {
    let authority = cluster();
    let first = server(&authority, "first").await;
    let taken = first.address().to_string();
    let begun = Instant::now();
    let second = node(&authority, "second");
    let error = ActorServer::bind_on(&second, &taken).await.unwrap_err();
    assert!(matches!(&error, BindError::Taken { address } if address.to_string() == taken), "{error}");
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    first.shutdown(Duration::from_secs(1)).await.unwrap();
    // The node is as good as before.
    ActorServer::bind_on(&second, &taken).await.unwrap();
}

#[tokio::test]
async fn a_server_at_every_address_says_which_one_is_to_be_called() {
    let authority = cluster();
    let error = ActorServer::bind_on(&node(&authority, "a"), "0.0.0.0:0").await.unwrap_err();
    assert!(matches!(error, BindError::Advertise { .. }), "{error}");
    assert!(error.to_string().contains("advertise("), "{error}");
    let bind = |advertise: &str| {
        ActorServer::builder("0.0.0.0:0").node(&node(&authority, "b")).advertise(advertise).bind()
    };
    assert!(matches!(bind("0.0.0.0").await.unwrap_err(), BindError::Advertise { .. }));
    assert!(matches!(bind("no host").await.unwrap_err(), BindError::Address(_)));
    for advertise in ["127.0.0.1", "localhost"] {
        let server = bind(advertise).await.unwrap();
        server.register("post", Window::default()).unwrap();
        assert!(server.address().to_string().starts_with(advertise), "{}", server.address());
        assert_eq!(client(&node(&authority, "c"), server.address()).echo(1).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn nobody_listens() {
    let authority = cluster();
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let begun = Instant::now();
    let failure = client(&node(&authority, "client"), free).echo(1).await.unwrap_err();
    assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Unreachable, Delivery::NotDelivered));
    assert!(failure.detail().contains(&free.to_string()), "{failure}");
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_host_that_has_no_address() {
    let authority = cluster();
    let node = node(&authority, "client");
    let failure = client(&node, "no-such-host.invalid:7000").echo(1).await.unwrap_err();
    assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Unreachable, Delivery::NotDelivered));
    assert!(failure.detail().contains("no-such-host.invalid"), "{failure}");
    let error = ActorServer::bind_on(&node, "no-such-host.invalid:7000").await.unwrap_err();
    assert!(matches!(error, BindError::Io { .. }), "{error}");
    assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_call_each_other_at_once_know_who_the_other_is() {
    let authority = cluster();
    for _ in 0..3 {
        let (a, b) = (server(&authority, "a").await, server(&authority, "b").await);
        let to_b = client(a.node(), b.address());
        let to_a = client(b.node(), a.address());
        let (at_b, at_a) = tokio::join!(to_b.caller(), to_a.caller());
        assert_eq!(at_b.unwrap().as_deref(), Some("actor://test/a"));
        assert_eq!(at_a.unwrap().as_deref(), Some("actor://test/b"));
        let calls = (0..100).map(|n| {
            let (to_a, to_b) = (to_a.clone(), to_b.clone());
            async move { tokio::try_join!(to_a.echo(n), to_b.echo(n)) }
        });
        assert!(join_all(calls).await.into_iter().all(|end| end.is_ok()));
        // One ends, and the other can still be called.
        a.shutdown(Duration::from_secs(1)).await.unwrap();
        assert_eq!(client(&node(&authority, "c"), b.address()).echo(1).await.unwrap(), 1);
        assert_eq!(to_a.echo(1).await.unwrap_err().delivery(), Delivery::NotDelivered);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_is_replaced_while_it_is_called() {
    let authority = cluster();
    let server = server(&authority, "server").await;
    let node = node(&authority, "client");
    let ended = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (client, ended) = (client(&node, server.address()), ended.clone());
            node.spawn(async move {
                let mut served = 0;
                while !ended.load(Ordering::Relaxed) {
                    match client.add(1).await {
                        Ok(_) => served += 1,
                        // Between two actors of the name; what had begun was finished.
                        Err(failure) => {
                            assert!(
                                matches!(failure.kind(), FailureKind::NotFound | FailureKind::Stopped),
                                "{failure}"
                            );
                            assert_eq!(failure.delivery(), Delivery::NotDelivered, "{failure}");
                        }
                    }
                }
                served
            })
        })
        .collect();
    let pinned = client(&node, server.address()).pinned().await.unwrap();
    for _ in 0..50 {
        assert!(server.unregister("post").await);
        server.register("post", Window::default()).unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    ended.store(true, Ordering::Relaxed);
    let served: u64 = join_all(callers).await.into_iter().map(|end| end.unwrap()).sum();
    assert!(served > 50, "{served}");
    assert_eq!(pinned.echo(1).await.unwrap_err().kind(), FailureKind::Stale);
    assert_eq!(client(&node, server.address()).echo(2).await.unwrap(), 2);
}

/// Set for what runs in a process of its own, with the environment that the test wants: the development trust domain asks
/// it. In the test's own process that does nothing.
const CHILD: &str = "ACTOR_TEST_CHILD";

#[test]
fn the_development_trust_domain_serves_this_machine_only_and_needs_a_home() {
    let state = std::env::temp_dir().join(format!("actor-quic-test-{}", std::process::id()));
    std::fs::create_dir_all(&state).unwrap();
    let run = |test: &str, state: Option<&Path>| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", &format!("quic::{test}")]).env_clear().env(CHILD, "1");
        if let Some(state) = state {
            command.env("ACTOR_STATE_DIR", state);
        }
        let out = command.output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success() && said.contains("1 passed"), "{said}");
    };
    run("development_domain", Some(&state));
    run("no_home", None);
    std::fs::remove_dir_all(&state).unwrap();
}

#[tokio::test]
async fn development_domain() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let error = ActorServer::builder("0.0.0.0:0").advertise("127.0.0.1").bind().await.unwrap_err();
    assert!(matches!(&error, BindError::Trust(TrustError::NotLoopback { .. })), "{error}");
    let text = error.to_string();
    assert!(text.contains("0.0.0.0") && text.contains("give the node a `Trust`"), "{text}");
    let node = Node::builder().build().unwrap();
    let failure = client(&node, "192.0.2.1:7000").echo(1).await.unwrap_err();
    let what = (failure.kind(), failure.delivery());
    assert_eq!(what, (FailureKind::Unauthenticated, Delivery::NotDelivered), "{failure}");
    assert!(failure.detail().contains("192.0.2.1 is not a loopback address"), "{failure}");
    let server = ActorServer::bind_on(&node, "127.0.0.1:0").await.unwrap();
    server.register("post", Window::default()).unwrap();
    let other = Node::builder().trust(Trust::development().unwrap()).build().unwrap();
    assert_eq!(client(&other, server.address()).echo(1).await.unwrap(), 1);
    // A cluster has another authority.
    let stranger = Node::builder().trust(member(&cluster(), "stranger")).build().unwrap();
    let failure = client(&stranger, server.address()).echo(1).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Unauthenticated, "{failure}");
}

#[tokio::test]
async fn no_home() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let error = ActorServer::bind("127.0.0.1:0").await.unwrap_err();
    assert!(matches!(&error, BindError::Trust(TrustError::NoStateDirectory { .. })), "{error}");
    assert!(
        error.to_string().contains("set HOME") || error.to_string().contains("ACTOR_STATE_DIR"),
        "{error}"
    );
    let node = Node::builder().build().unwrap();
    let failure = client(&node, "127.0.0.1:7000").echo(1).await.unwrap_err();
    assert_eq!(failure.delivery(), Delivery::NotDelivered, "{failure}");
    assert!(failure.detail().contains(&error.to_string()), "{failure}");
}

/// In processes that do nothing else.
#[test]
fn an_idle_connection_is_cheap() {
    let out = Command::new(env!("CARGO_BIN_EXE_faults")).args(["--idle", "200"]).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    print!("{text}");
    let kib: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(kib.len(), 2, "{text}");
    assert!(kib.iter().all(|kib| *kib <= 64.0), "{text}");
}
