//! Calls and replies between nodes do not wait for what is none of theirs, and a server that has ended leaves nothing
//! behind.
#![expect(clippy::disallowed_methods, reason = "the bounds are bounds of time")]
#![allow(clippy::unwrap_used, reason = "what a test needs may panic as the test may")]

use std::{
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use actor_runtime::{ActorServer, Authority, FixedResolver, Node, actor_service};
use futures::future::join_all;
use tests::{PostClient, Window, cluster, node};

async fn server(authority: &Authority, name: &str) -> ActorServer {
    let server = ActorServer::bind_on(&node(authority, name), "127.0.0.1:0").await.unwrap();
    server.register("post", Window::default()).unwrap();
    server
}

fn client(node: &Node, address: impl ToString) -> PostClient {
    PostClient::on(node, &FixedResolver::new([("post", address.to_string())]), "post")
}

/// Handlers that compute for long, one after the other in one poll of their actor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_does_not_wait_for_the_calls_behind_it() {
    let authority = cluster();
    let server = server(&authority, "server").await;
    let caller = node(&authority, "client");
    let post = client(&caller, server.address());
    post.echo(1).await.unwrap();
    let begun = Instant::now();
    let calls = (0..6).map(|_| async { post.block(100).await.map(|()| begun.elapsed()) });
    let mut took: Vec<Duration> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    took.sort_unstable();
    for (before, took) in took.iter().enumerate() {
        let own = Duration::from_millis(100 * (before as u64 + 1));
        assert!(*took < own + Duration::from_millis(80), "the {before}th took {took:?}");
    }
}

/// Each of two connections has one call only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_does_not_wait_for_a_call_of_another_node() {
    let authority = cluster();
    let server = server(&authority, "server").await;
    let nodes = [node(&authority, "quick"), node(&authority, "slow")];
    let [quick, slow] = nodes.each_ref().map(|node| client(node, server.address()));
    tokio::try_join!(quick.echo(1), slow.echo(1)).unwrap();
    // Both wait for this one, and are then begun in one poll.
    let (first, holding) = (slow.clone(), nodes[1].clone());
    let holding = holding.spawn(async move { first.hold_alone(100).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let begun = Instant::now();
    let answered = nodes[0].spawn(async move { quick.echo(2).await.map(|_| begun.elapsed()) });
    tokio::time::sleep(Duration::from_millis(20)).await;
    let blocked = nodes[1].spawn(async move { slow.block(400).await });
    let took = answered.await.unwrap().unwrap();
    assert!(took < Duration::from_millis(250), "{took:?}");
    holding.await.unwrap().unwrap();
    blocked.await.unwrap().unwrap();
}

/// Replies that arrive together wake their callers one after the other, and what these call next leaves together; unless
/// one of them keeps its thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_does_not_wait_for_another_caller_that_computes() {
    callers_of_whom_one_computes(false).await;
}

/// Nor where the replies had to wait before, since something else had the thread when they came.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_does_not_wait_for_another_caller_that_computes_after_a_thread_was_busy() {
    callers_of_whom_one_computes(true).await;
}

async fn callers_of_whom_one_computes(busy_before: bool) {
    let authority = cluster();
    let server = server(&authority, "server").await;
    let observer = node(&authority, "observer");
    let seen = client(&observer, server.address());
    let (computes, computing) = tokio::sync::oneshot::channel();
    let address = server.address().to_string();
    let callers = std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let caller = node(&authority, "client");
            let post = client(&caller, address);
            post.echo(1).await.unwrap();
            // All the others wait for this one, and are answered in one poll.
            let mut first = std::pin::pin!(post.hold_alone(100));
            // It is on its way with its first poll, in front of them.
            assert!(futures::poll!(&mut first).is_pending());
            let mut computes = Some(computes);
            let calls: Vec<_> = (0..200)
                .map(|at| {
                    let (post, computes) = (post.clone(), computes.take_if(|_| at == 150));
                    caller.spawn(async move {
                        post.add(0).await?;
                        if let Some(computes) = computes {
                            let _ = computes.send(());
                            std::thread::sleep(Duration::from_millis(600));
                        }
                        post.add(1).await
                    })
                })
                .collect();
            if busy_before {
                // The replies come meanwhile.
                caller.spawn(async { std::thread::sleep(Duration::from_millis(300)) }).await.unwrap();
            }
            first.await.unwrap();
            for call in calls {
                call.await.unwrap().unwrap();
            }
        });
    });
    computing.await.unwrap();
    let begun = Instant::now();
    // Others than the one that computes have had their turn before it.
    while seen.add(0).await.unwrap() < 100 {
        assert!(begun.elapsed() < Duration::from_millis(400), "their calls wait for the one that computes");
    }
    callers.join().unwrap();
    assert_eq!(seen.add(0).await.unwrap(), 200);
}

/// Keeps its thread until it is let go.
#[actor_service]
trait Keeper {
    async fn keep(&self);
}

struct KeepsItsThread {
    has: mpsc::Sender<()>,
    let_go: Mutex<mpsc::Receiver<()>>,
}

#[actor_service]
impl Keeper for KeepsItsThread {
    async fn keep(&self) {
        let _ = self.has.send(());
        let _ = self.let_go.lock().unwrap().recv();
    }
}

/// A call that is alone is sent by its caller, and a reply by its actor: neither needs the network thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_leaves_while_the_network_thread_is_busy() {
    let authority = cluster();
    let server = server(&authority, "server").await;
    let observer = node(&authority, "observer");
    let seen = client(&observer, server.address());
    let caller = node(&authority, "client");
    let post = client(&caller, server.address());
    tokio::try_join!(seen.echo(1), post.echo(1)).unwrap();

    let (has, is_kept) = mpsc::channel();
    let (let_go, waits) = mpsc::channel();
    let own = ActorServer::bind_on(&caller, "127.0.0.1:0").await.unwrap();
    let keeper = KeepsItsThread { has, let_go: Mutex::new(waits) };
    own.registration("keeper", keeper).inline().register().unwrap();
    let keeper = KeeperClient::on(&caller, &FixedResolver::new([("keeper", own.address())]), "keeper");
    let keeping = caller.spawn(async move { keeper.keep().await });
    tokio::task::spawn_blocking(move || is_kept.recv()).await.unwrap().unwrap();

    let mut call = std::pin::pin!(post.add(1));
    assert!(futures::poll!(&mut call).is_pending());
    let begun = Instant::now();
    while seen.add(0).await.unwrap() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(1), "the call waits for the network thread");
    }
    drop(let_go);
    keeping.await.unwrap().unwrap();
    assert_eq!(call.await.unwrap(), 1);
}

/// Two servers that call each other over the connection that the first one made; the other's client.
async fn led_back(authority: &Authority) -> (ActorServer, ActorServer, PostClient) {
    let (first, other) = (server(authority, "first").await, server(authority, "other").await);
    client(first.node(), other.address()).echo(1).await.unwrap();
    // That it leads back is noted when the handshake is through.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let back = client(other.node(), first.address());
    back.echo(2).await.unwrap();
    (first, other, back)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_server_at_an_address_is_found_though_the_node_of_the_one_before_lives_on() {
    let authority = cluster();
    let (first, other, back) = led_back(&authority).await;
    let (address, former) = (first.address().to_string(), first.node().clone());
    first.shutdown(Duration::from_secs(1)).await.unwrap();
    let next = ActorServer::bind_on(&node(&authority, "next"), &address).await.unwrap();
    next.register("post", Window(7)).unwrap();
    assert_eq!(back.add(1).await.unwrap(), 8);
    assert_eq!(client(other.node(), &address).add(1).await.unwrap(), 9);
    // The node of the first one still calls as before.
    client(&former, other.address()).echo(3).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_server_was_dropped_is_gone_though_others_still_have_its_actors_numbers() {
    let authority = cluster();
    let (first, _other, _back) = led_back(&authority).await;
    let alive = Arc::new(());
    first.node().extend(alive.clone());
    drop(first);
    let begun = Instant::now();
    while Arc::strong_count(&alive) > 1 {
        assert!(begun.elapsed() < Duration::from_secs(5), "the node is kept alive");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
