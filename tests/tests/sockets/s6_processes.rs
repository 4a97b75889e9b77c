//! S6 between processes: whatever becomes of a server's process, every call ends, and within the bound.
#![expect(
    clippy::disallowed_methods,
    reason = "the bounds are bounds of time, and handlers that block are the matter"
)]
#![allow(clippy::unwrap_used, reason = "what a test needs may panic as the test may")]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use actor_runtime::{
    ActorServer, DownReason, Monitor, Node, Retry, StopReason,
    inspect::{self, InspectClient},
    prelude::*,
};
use futures::future::join_all;
use tests::{
    PostClient, Window, cluster,
    faults::{BOUND, Fault, IN_FLIGHT, strike},
    member, node,
    process::{Server, identity},
};
use tokio::time::sleep;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_faults"))
}

/// One server, and a node and a client that have called it.
async fn called() -> (Server, Node, PostClient) {
    let authority = cluster();
    let mut server = Server::start(program(), &authority, &identity(&authority), "127.0.0.1:0");
    let node = node(&authority, "client");
    let client = server.client(&node);
    client.echo(0).await.unwrap();
    (server, node, client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_ends_in_time_when_its_server_is_killed() {
    let figures = strike(program(), Fault::Killed, 5, 5).await;
    println!("{figures:?}");
    assert_eq!(figures.calls, 5 * IN_FLIGHT);
    assert!(figures.longest <= BOUND, "{figures:?}");
    assert!(figures.ended.keys().all(|end| end == "connection lost, delivery unknown"), "{figures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_ends_in_time_when_its_server_freezes_and_the_client_comes_back_to_it() {
    let figures = strike(program(), Fault::Frozen, 3, 3).await;
    println!("{figures:?}");
    assert_eq!(figures.calls, 3 * IN_FLIGHT);
    assert!(figures.longest <= BOUND, "{figures:?}");
    assert!(figures.longest_return < Duration::from_secs(6), "{figures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_freezes_for_a_second_loses_nothing() {
    let (server, node, client) = called().await;
    let calls: Vec<_> = (0..64)
        .map(|n| {
            node.spawn({
                let client = client.clone();
                async move { client.hold(n, 300).await }
            })
        })
        .collect();
    sleep(Duration::from_millis(50)).await;
    server.stop();
    let late: Vec<_> = (0..64)
        .map(|n| {
            node.spawn({
                let client = client.clone();
                async move { client.echo(n).await }
            })
        })
        .collect();
    sleep(Duration::from_secs(1)).await;
    server.go_on();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap(), n as u64);
    }
    for (n, call) in late.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap(), n as u64);
    }
}

/// At the same time, since each takes ten seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_seconds() {
    tokio::join!(
        a_server_that_freezes_for_ten_seconds_is_called_again_once_it_goes_on(),
        handlers_that_block_every_thread_of_the_server_for_ten_seconds_lose_no_connection(),
    );
}

async fn a_server_that_freezes_for_ten_seconds_is_called_again_once_it_goes_on() {
    let (server, _node, client) = called().await;
    server.stop();
    let stopped = Instant::now();
    let calls = (0..64).map(|n| client.clone().hold(n, 100).no_timeout());
    for end in join_all(calls).await {
        let failure = end.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::ConnectionLost, Delivery::Unknown));
        assert!(failure.detail().contains("nothing was heard from 127.0.0.1:"), "{failure}");
    }
    assert!(stopped.elapsed() < BOUND, "{:?}", stopped.elapsed());
    // Calls while it is frozen: each ends, and says what could not be reached.
    while stopped.elapsed() < Duration::from_secs(10) {
        let made = Instant::now();
        let failure = client.echo(1).no_timeout().retry(Retry::default().attempts(2)).await.unwrap_err();
        assert_eq!(
            (failure.kind(), failure.delivery()),
            (FailureKind::Unreachable, Delivery::NotDelivered),
            "{failure}"
        );
        assert!(failure.detail().contains("nothing answered at 127.0.0.1:"), "{failure}");
        // A pause after the attempts before, and the attempt.
        assert!(made.elapsed() < Duration::from_secs(5), "{:?}", made.elapsed());
    }
    server.go_on();
    let back = Instant::now();
    while client.echo(1).no_timeout().await.is_err() {}
    println!("answered again after {:?}", back.elapsed());
    assert!(back.elapsed() < Duration::from_secs(6), "{:?}", back.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_asked_to_end_finishes_what_it_has_begun() {
    let authority = cluster();
    let shows = identity(&authority);
    let mut leaves = Server::start(program(), &authority, &shows, "127.0.0.1:0");
    let mut stays = Server::start(program(), &authority, &shows, "127.0.0.1:0");
    let resolver = FixedResolver::new([("post", leaves.address())]);
    let node = node(&authority, "client");
    let client = PostClient::on(&node, &resolver, "post");
    let calls: Vec<_> = (0..64)
        .map(|n| {
            node.spawn({
                let client = client.clone();
                async move { client.hold(n, 700).await }
            })
        })
        .collect();
    // Until all of them are under way there.
    resolver.set(inspect::NAME, [leaves.address()]);
    let health = InspectClient::on(&node, &resolver, inspect::NAME);
    while health.health().await.unwrap().actor("post").unwrap().running < 64 {
        tokio::task::yield_now().await;
    }
    leaves.terminate();
    let asked = Instant::now();
    // Until the word has come, calls are still taken there.
    let refused = loop {
        if let Err(failure) = client.echo(1).await {
            break failure;
        }
        assert!(asked.elapsed() < Duration::from_secs(1), "it still takes calls");
    };
    assert_eq!(
        (refused.kind(), refused.delivery()),
        (FailureKind::Stopped, Delivery::NotDelivered),
        "{refused}"
    );
    resolver.set("post", [stays.address()]);
    client.echo(2).await.unwrap();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap(), n as u64);
    }
    while asked.elapsed() < Duration::from_secs(5) {
        if let Some(status) = leaves.ended() {
            println!("ended {:?} after it was asked to", asked.elapsed());
            assert!(status.success(), "{status}");
            client.echo(3).await.unwrap();
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not end");
}

async fn handlers_that_block_every_thread_of_the_server_for_ten_seconds_lose_no_connection() {
    let authority = cluster();
    let far = runtime(2);
    let trust = member(&authority, "server");
    let serving = far.spawn(async move {
        let far_node = Node::builder().trust(trust).build().unwrap();
        let server = ActorServer::bind_on(&far_node, "127.0.0.1:0").await.unwrap();
        for n in 0..4 {
            server.register(format!("blocked-{n}"), Window::default()).unwrap();
        }
        server
    });
    let server = serving.await.unwrap();
    let address = server.address();
    let node = node(&authority, "client");
    let client = |n: usize| {
        PostClient::on(
            &node,
            &FixedResolver::new([(format!("blocked-{n}"), address.clone())]),
            format!("blocked-{n}"),
        )
    };
    let clients: Vec<PostClient> = (0..4).map(client).collect();
    for client in &clients {
        client.echo(1).await.unwrap();
    }
    let begun = Instant::now();
    // Two threads are blocked for ten seconds each, and calls behind them wait.
    let blocked = join_all(clients.iter().take(2).map(|client| client.block(10_000)));
    let behind = async {
        sleep(Duration::from_millis(200)).await;
        join_all(clients.iter().map(|client| client.echo(2))).await
    };
    let (blocked, behind) = tokio::join!(blocked, behind);
    assert!(blocked.into_iter().all(|end| end.is_ok()));
    assert!(behind.into_iter().all(|end| end.is_ok()));
    assert!(begun.elapsed() >= Duration::from_secs(10));
    drop(server);
    far.shutdown_background();
}

#[test]
fn blocking_every_thread_of_the_client_for_ten_seconds_loses_no_connection() {
    let authority = cluster();
    let far = runtime(1);
    let server = far.block_on(async {
        let server = ActorServer::bind_on(&node(&authority, "server"), "127.0.0.1:0").await.unwrap();
        server.register("post", Window::default()).unwrap();
        server
    });
    let near = runtime(2);
    near.block_on(async {
        let node = node(&authority, "client");
        let client = PostClient::on(&node, &FixedResolver::new([("post", server.address())]), "post");
        assert_eq!(client.add(1).await.unwrap(), 1);
        let pending = node.spawn({
            let client = client.clone();
            async move { client.hold(7, 1000).await }
        });
        client.echo(0).await.unwrap();
        let blocked: Vec<_> =
            (0..2).map(|_| node.spawn(async { std::thread::sleep(Duration::from_secs(10)) })).collect();
        std::thread::sleep(Duration::from_secs(10));
        join_all(blocked).await;
        // Over the same connection: a lost one would have failed the call.
        assert_eq!(pending.await.unwrap().unwrap(), 7);
        assert_eq!(client.add(1).await.unwrap(), 2);
    });
}

fn runtime(threads: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_killed_and_started_again_tells_its_callers_at_once() {
    let authority = cluster();
    let shows = identity(&authority);
    let mut server = Server::start(program(), &authority, &shows, "127.0.0.1:0");
    let node = node(&authority, "client");
    let client = server.client(&node);
    client.echo(0).await.unwrap();
    let process = client.process().await.unwrap();
    let pending: Vec<_> = (0..32)
        .map(|n| {
            node.spawn({
                let client = client.clone();
                async move { client.hold(n, 60_000).no_timeout().await }
            })
        })
        .collect();
    client.echo(0).await.unwrap();
    let address = server.address().to_owned();
    server.kill();
    let mut again = Server::start(program(), &authority, &shows, &address);
    assert_eq!(again.address(), address);
    let started = Instant::now();
    for call in pending {
        let failure = call.await.unwrap().unwrap_err();
        assert_eq!(
            (failure.kind(), failure.delivery()),
            (FailureKind::ConnectionLost, Delivery::Unknown),
            "{failure}"
        );
        assert!(failure.detail().contains("started anew"), "{failure}");
    }
    let learned = started.elapsed();
    assert_ne!(client.process().await.unwrap(), process);
    println!("learned {learned:?} after it was started again, reconnected after {:?}", started.elapsed());
    // At the next keep-alive.
    assert!(learned < Duration::from_millis(1250), "{learned:?}");
    assert!(started.elapsed() < Duration::from_millis(1750), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_watches_an_actor_is_told_in_time_when_its_process_is_killed() {
    let (mut server, _node, client) = called().await;
    let monitor = Monitor::begin(&client).await;
    server.kill();
    let down = tokio::time::timeout(BOUND, monitor).await.expect("within the bound of S6");
    let DownReason::Lost(failure) = &down.reason else { panic!("{down}") };
    assert_eq!(failure.kind(), FailureKind::ConnectionLost);
}

#[actor_service]
trait Tied {
    async fn tie(&mut self);
}

struct Knot(PostClient);

#[actor_service]
impl Tied for Knot {
    async fn tie(&mut self) {
        current_ctx().expect("a turn").link(&self.0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_linked_to_an_actor_ends_in_time_when_its_process_is_killed() {
    let (mut server, node, client) = called().await;
    let knot = node.unnamed_actor(Knot(client)).start().unwrap();
    knot.client::<TiedClient>().tie().await.unwrap();
    server.kill();
    let reason = tokio::time::timeout(BOUND, knot.ended()).await.expect("within the bound of S6");
    assert!(matches!(&reason, StopReason::LinkBroken { to, .. } if to == "post"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_later_is_found_again() {
    let authority = cluster();
    let shows = identity(&authority);
    let mut server = Server::start(program(), &authority, &shows, "127.0.0.1:0");
    let node = node(&authority, "client");
    let client = server.client(&node);
    client.echo(0).await.unwrap();
    let address = server.address().to_owned();
    server.kill();
    let killed = Instant::now();
    let first = client.echo(1).no_timeout().await.unwrap_err();
    assert_eq!((first.kind(), first.delivery()), (FailureKind::ConnectionLost, Delivery::Unknown), "{first}");
    assert!(killed.elapsed() < BOUND, "{:?}", killed.elapsed());
    // Nobody listens: many clients learn it together, not one after the other.
    let clients: Vec<PostClient> =
        (0..32).map(|_| PostClient::on(&node, &FixedResolver::new([("post", &address)]), "post")).collect();
    let made = Instant::now();
    for end in join_all(clients.iter().map(|client| client.echo(1).no_timeout())).await {
        let failure = end.unwrap_err();
        assert_eq!(
            (failure.kind(), failure.delivery()),
            (FailureKind::Unreachable, Delivery::NotDelivered),
            "{failure}"
        );
        assert!(failure.detail().contains(&address), "{failure}");
    }
    println!("32 clients learned that nobody listens after {:?}", made.elapsed());
    assert!(made.elapsed() < Duration::from_secs(5), "{:?}", made.elapsed());
    let mut again = Server::start(program(), &authority, &shows, &address);
    assert_eq!(again.address(), address);
    let back = Instant::now();
    while client.echo(2).no_timeout().await.is_err() {}
    println!("answered again {:?} after the server was back", back.elapsed());
    assert!(back.elapsed() < Duration::from_secs(6), "{:?}", back.elapsed());
}
