//! Calls of code that is not async: `Call::wait` and `BlockingNode`. Time is real here, and so are the threads.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use actor_runtime::{
    ActorServer, BlockingNode, BoxFuture, BoxStream, Delivery, Failure, FailureKind, FixedResolver,
    Namespace, Node, ResolveError, ResolveResult, Resolver, ServiceClient,
};
use tests::{ProbeClient, Puppet, Script, trust};
use tokio::runtime::{Builder, Runtime};

/// A server on a runtime of its own, as in another process.
struct Elsewhere {
    runtime: Runtime,
    server: Option<ActorServer>,
    script: Script,
    resolver: FixedResolver,
}

impl Elsewhere {
    fn new() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (script, resolver) = (Script::default(), FixedResolver::new::<&str, &str>([]));
        let server = runtime.block_on(async {
            let node = Node::builder().trust(trust("server")).build().unwrap();
            ActorServer::bind_on(&node, "127.0.0.1:0").await.unwrap()
        });
        let puppet = Puppet { script: script.clone(), resolver: resolver.clone(), total: 0 };
        server.register("p", puppet).unwrap();
        resolver.set("p", [server.address()]);
        Self { runtime, server: Some(server), script, resolver }
    }

    fn client(&self, node: &Node) -> ProbeClient {
        ProbeClient::on(node, &self.resolver, "p")
    }

    fn seen(&self, line: &str) {
        self.runtime.block_on(self.script.seen(line));
    }
}

fn node() -> BlockingNode {
    Node::builder().trust(trust("client")).build_blocking().unwrap()
}

/// How long it takes, in seconds.
fn seconds<T>(run: impl FnOnce() -> T) -> (T, f64) {
    let began = now();
    let end = run();
    (end, now().duration_since(began).as_secs_f64())
}

#[expect(clippy::disallowed_methods, reason = "the time of threads is measured")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn a_plain_thread_calls() {
    let (elsewhere, node) = (Elsewhere::new(), node());
    let probe = elsewhere.client(&node);
    assert_eq!(probe.add(2).wait().unwrap(), 2);
    // An application error is one, a call with layers or options is as any other.
    let error = probe.relay(&["nonsense".to_owned()]).wait().unwrap_err();
    assert!(error.failure().is_none(), "{error}");
    let left = probe.remaining().timeout(Duration::from_secs(9)).wait().unwrap().unwrap();
    assert!((8_000..=9_000).contains(&left), "{left}");
    let pinned = node.block_on(probe.pinned()).unwrap();
    assert_eq!(pinned.add(1).wait().unwrap(), 3);
}

#[test]
fn several_threads_share_a_handle_and_each_keeps_its_order() {
    const CALLS: usize = 50;
    let (elsewhere, node) = (Elsewhere::new(), node());
    let probe = elsewhere.client(&node);
    for name in ["a", "b", "c", "d"] {
        for n in 0..CALLS {
            elsewhere.script.open(&format!("{name}{n}"));
        }
    }
    thread::scope(|threads| {
        for name in ["a", "b", "c", "d"] {
            let probe = &probe;
            threads.spawn(move || {
                for n in 0..CALLS {
                    probe.exclusive(&format!("{name}{n}")).wait().unwrap();
                }
            });
        }
    });
    let lines = elsewhere.script.lines();
    for name in ["a", "b", "c", "d"] {
        let began = lines.iter().filter(|line| line.starts_with(name) && line.ends_with("begins"));
        assert!(began.eq(&(0..CALLS).map(|n| format!("{name}{n} begins")).collect::<Vec<_>>()));
    }
}

#[test]
fn a_deadline_ends_it() {
    let (elsewhere, node) = (Elsewhere::new(), node());
    let probe = elsewhere.client(&node);
    probe.total().wait().unwrap();
    let call = probe.shared("late").timeout(Duration::from_millis(200));
    let (end, seconds) = seconds(|| call.wait());
    assert_eq!(end.unwrap_err().kind(), FailureKind::DeadlineExceeded);
    assert!((0.2..0.7).contains(&seconds), "{seconds} s");
    elsewhere.seen("late dropped");
}

#[test]
fn a_server_that_goes_ends_it() {
    let (mut elsewhere, node) = (Elsewhere::new(), node());
    let probe = elsewhere.client(&node);
    let call = probe.exclusive("running").no_timeout();
    let end = thread::scope(|threads| {
        let waits = threads.spawn(|| call.wait());
        elsewhere.seen("running begins");
        elsewhere.server = None;
        waits.join().unwrap()
    });
    assert_eq!(end.unwrap_err().kind(), FailureKind::Stopped);
    let (later, seconds) = seconds(|| probe.total().wait());
    assert!(later.is_err() && seconds < 4.0, "{later:?} after {seconds} s");
}

/// What the panic said.
fn refused<T>(run: impl FnOnce() -> T) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(run)) else { panic!("it was let through") };
    panic.downcast_ref::<String>().unwrap().clone()
}

#[test]
fn it_says_what_to_do_where_it_would_block_async_code() {
    let (elsewhere, node) = (Elsewhere::new(), node());
    let probe = elsewhere.client(&node);
    let current = Builder::new_current_thread().build().unwrap();
    for text in [
        current.block_on(async { refused(|| probe.total().wait()) }),
        current.block_on(async { refused(|| node.block_on(async {})) }),
        elsewhere.runtime.block_on(async { refused(|| probe.total().wait()) }),
        {
            let probe = probe.clone();
            let task = node.spawn(async move { refused(|| probe.total().wait()) });
            node.block_on(task).unwrap()
        },
    ] {
        assert!(text.contains("would block a thread") && text.contains("spawn_blocking"), "{text}");
    }

    // A thread that has to do with a runtime and does not drive it may wait.
    let entered = current.enter();
    assert_eq!(probe.add(1).wait().unwrap(), 1);
    drop(entered);
    let in_place = probe.clone();
    #[expect(clippy::disallowed_methods, reason = "this is how blocking code is called in async code")]
    let sums = elsewhere.runtime.block_on(async {
        let blocking = probe.clone();
        let blocking = tokio::task::spawn_blocking(move || blocking.add(1).wait()).await.unwrap();
        let in_place = tokio::spawn(async move { tokio::task::block_in_place(|| in_place.add(1).wait()) });
        (blocking, in_place.await.unwrap())
    });
    assert_eq!((sums.0.unwrap(), sums.1.unwrap()), (2, 3));
}

/// Gives no answer.
#[derive(Clone, Debug)]
struct Silent;

impl Resolver for Silent {
    fn resolve<'a>(
        &'a self,
        _: &'a Namespace,
        _: &'a str,
    ) -> BoxFuture<'a, Result<ResolveResult, ResolveError>> {
        Box::pin(std::future::pending())
    }

    fn watch(&self, _: &Namespace, _: &str) -> BoxStream<'static, Result<ResolveResult, ResolveError>> {
        Box::pin(futures::stream::pending())
    }
}

#[test]
fn dropping_the_node_ends_its_calls_within_a_bound() {
    let (elsewhere, node) = (Elsewhere::new(), node());
    let probe = elsewhere.client(&node);
    let unknown = ProbeClient::on(&node, &Silent, "nobody");
    let (give, ends) = mpsc::channel::<Result<String, Failure>>();
    thread::scope(|threads| {
        // Running, queued, and being looked up.
        for (n, client) in [&probe, &probe, &probe, &unknown].into_iter().enumerate() {
            let (call, give) = (client.clone().exclusive(&format!("{n}")).no_timeout(), give.clone());
            threads.spawn(move || give.send(call.wait()));
        }
        drop(give);
        elsewhere.runtime.block_on(async {
            let first =
                ["0 begins", "1 begins", "2 begins"].map(|line| Box::pin(elsewhere.script.seen(line)));
            futures::future::select_all(first).await;
        });
        let ((), took) = seconds(|| drop(node));
        assert!(took < 1.5, "{took} s");
        let (ends, took) = seconds(|| ends.iter().collect::<Vec<_>>());
        assert!(ends.len() == 4 && ends.iter().all(Result::is_err) && took < 3.0, "{ends:?} after {took} s");
    });
    let (later, took) = seconds(|| probe.total().no_timeout().wait());
    assert!(later.is_err() && took < 3.0, "{later:?} after {took} s");
}

#[test]
fn a_blocking_node_may_be_dropped_in_async_code() {
    let node = node();
    Builder::new_current_thread().build().unwrap().block_on(async { drop(node) });
}

#[test]
fn a_runtime_that_nobody_runs_is_no_hang() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let node = runtime.block_on(async { Node::builder().trust(trust("client")).build().unwrap() });
    let probe = ProbeClient::on(&node, &FixedResolver::new([("p", "127.0.0.1:9")]), "p");
    let (end, seconds) = seconds(|| probe.add(1).timeout(Duration::from_millis(100)).wait());
    let failure = end.unwrap_err();
    // Nobody has looked for the way: it was not sent.
    assert_eq!((failure.kind(), failure.delivery()), (FailureKind::DeadlineExceeded, Delivery::NotDelivered));
    assert!(failure.detail().contains("build_blocking") && seconds < 1.0, "{failure} after {seconds} s");
}

#[test]
fn a_call_that_was_sent_before_nobody_ran_the_runtime_may_have_been_delivered() {
    let elsewhere = Elsewhere::new();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let probe = runtime.block_on(async {
        let node = Node::builder().trust(trust("client")).build().unwrap();
        let probe = elsewhere.client(&node);
        probe.add(1).await.unwrap();
        probe
    });
    let failure = probe.exclusive("held").timeout(Duration::from_millis(100)).wait().unwrap_err();
    assert_eq!((failure.kind(), failure.delivery()), (FailureKind::DeadlineExceeded, Delivery::Unknown));
}

#[test]
fn actors_of_the_same_process_are_called_directly() {
    let node = node();
    let server = node.block_on(ActorServer::bind_on(&node, "loopback:0")).unwrap();
    let (script, resolver) = (Script::default(), FixedResolver::new([("p", server.address())]));
    server.register("p", Puppet { script, resolver: resolver.clone(), total: 40 }).unwrap();
    let probe = ProbeClient::on(&node, &resolver, "p");
    assert_eq!(probe.add(2).wait().unwrap(), 42);
    node.block_on(server.shutdown(Duration::from_secs(1))).unwrap();
}
