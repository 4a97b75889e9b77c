//! S6 and S8, as far as they go in one process: every call ends, by a reply, a failure or its deadline, and the
//! failure says what is known.

#![expect(clippy::disallowed_methods, reason = "the bounds are bounds of time")]
#![allow(clippy::unwrap_used, reason = "an actor of a test may panic as the test may")]

use std::{pin::pin, time::Duration};

use actor_runtime::{CallOptions, Config, Delivery, FailureKind, Node, prelude::*, testing};
use futures::{FutureExt, future::join_all};
use tests::{Fixture, Path, ProbeClient, on_each_path, on_each_path_but};

#[test]
fn a_call_has_the_default_deadline_of_30_seconds() {
    on_each_path_but(&[Path::Quic], "half a minute of real time", async |fixture| {
        let probe = fixture.puppet("p");
        // Connecting takes some of a call's time.
        probe.total().await.unwrap();
        assert_eq!(probe.remaining().await.unwrap(), Some(30_000));
        let started = tokio::time::Instant::now();
        let failure = probe.shared("never").await.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::DeadlineExceeded, Delivery::Unknown));
        let took = started.elapsed();
        assert!((30_000..=30_050).contains(&took.as_millis()), "{took:?}");
    });
}

#[actor_service]
trait Clocked {
    #[timeout = "250ms"]
    async fn short(&self) -> Option<Duration>;
    #[timeout = "none"]
    async fn endless(&self) -> Option<Duration>;
}

struct Clock;

#[actor_service]
impl Clocked for Clock {
    async fn short(&self) -> Option<Duration> {
        current_ctx().unwrap().remaining()
    }

    async fn endless(&self) -> Option<Duration> {
        current_ctx().unwrap().remaining()
    }
}

#[test]
fn the_call_goes_before_the_client_the_method_and_the_node() {
    on_each_path(async |fixture| {
        fixture.server.register("clock", Clock).unwrap();
        let clock = ClockedClient::on(&fixture.node, &fixture.server.resolver(), "clock");
        let second = CallOptions::new().timeout(Duration::from_secs(1));
        assert_eq!(clock.endless().await.unwrap(), None);
        let has = |left: Option<Duration>, millis| {
            // Some of it passes on the way where time is real.
            let least = if fixture.path.is_paused() { millis } else { millis / 2 };
            (least..=millis).contains(&left.unwrap().as_millis())
        };
        assert!(has(clock.short().await.unwrap(), 250));
        let client = clock.with_options(second);
        assert!(has(client.short().await.unwrap(), 1_000));
        assert!(has(client.endless().await.unwrap(), 1_000));
        assert_eq!(client.short().no_timeout().await.unwrap(), None);
        assert!(has(client.short().timeout(Duration::from_secs(5)).await.unwrap(), 5_000));
    });
}

#[actor_runtime::test(start_paused = true)]
async fn a_node_can_have_another_default() {
    let config = Config { default_timeout: Duration::from_millis(7), ..Config::default() };
    let node = Node::builder().config(config).build().unwrap();
    let clock: ClockedClient = node.scope(async { testing::client(Clock) }).await;
    assert_eq!(clock.short().no_timeout().await.unwrap(), None);
    let left = clock.short().with_options(CallOptions::new()).await.unwrap();
    assert_eq!(left, Some(Duration::from_millis(250)));
}

#[test]
fn a_call_inside_a_turn_gets_no_more_time_than_the_turn_has() {
    on_each_path(async |fixture| {
        let front = fixture.puppet("front");
        fixture.puppet("back");
        let left =
            front.relay(&["remaining:back".to_owned()]).timeout(Duration::from_secs(15)).await.unwrap();
        let left = Duration::from_millis(left.parse().unwrap());
        assert!(left <= Duration::from_secs(15), "{left:?}, where the inner call would have 30 s of its own");
        let started = tokio::time::Instant::now();
        let error = front.relay(&["end:back".to_owned()]).timeout(Duration::from_secs(2)).await.unwrap_err();
        assert_eq!(started.elapsed().as_secs(), 2, "not the 30 s that the inner call would have of its own");
        let failure = error.failure().unwrap();
        assert_eq!(failure.kind(), FailureKind::DeadlineExceeded);
        assert_eq!(
            failure.detail(),
            "its turn did not end in time; it was waiting for Probe/shared on \"back\""
        );
    });
}

#[test]
fn calls_end_when_their_deadline_has_passed_before_they_begin() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        let failure = probe.exclusive("never").timeout(Duration::ZERO).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::DeadlineExceeded);
        assert_eq!(probe.add(1).await.unwrap(), 1);
    });
}

#[test]
fn many_deadlines_are_each_met_on_time() {
    on_each_path(async |fixture| {
        let probe = fixture.configured("p", |registration| registration.mailbox(1_000));
        let started = tokio::time::Instant::now();
        let calls = (0..400_u64).map(|n| {
            let millis = 1 + (n * 7919) % 3_000;
            let name = format!("{n}");
            let call = if n % 3 == 0 { probe.exclusive(&name) } else { probe.shared(&name) };
            async move {
                let failure = call.timeout(Duration::from_millis(millis)).await.unwrap_err();
                assert_eq!(failure.kind(), FailureKind::DeadlineExceeded);
                let late = started.elapsed().saturating_sub(Duration::from_millis(millis));
                let most = if fixture.path.is_paused() { 25 } else { 250 };
                assert!(late <= Duration::from_millis(most), "{late:?} late");
            }
        });
        join_all(calls).await;
    });
}

#[test]
fn a_dropped_server_ends_what_is_running_and_what_is_queued() {
    for path in Path::ALL {
        tests::runtime(path).block_on(async {
            let fixture = Fixture::new(path).await;
            let probe = fixture.puppet("p");
            let Fixture { node: _node, server, script, .. } = fixture;
            let drops = async {
                script.seen("running begins").await;
                drop(server);
            };
            let (running, queued, ()) = tokio::join!(probe.exclusive("running"), probe.add(1), drops);
            let (running, queued) = (running.unwrap_err(), queued.unwrap_err());
            assert_eq!((running.kind(), running.delivery()), (FailureKind::Stopped, Delivery::Unknown));
            assert_eq!(queued.kind(), FailureKind::Stopped);
            // Between nodes the connection ends at once, and may take the actor's own words with it.
            let known = path.crosses_nodes() && queued.delivery() == Delivery::Unknown;
            assert!(known || queued.delivery() == Delivery::NotDelivered, "{queued}");
            assert!(queued.detail().contains("dropped without a shutdown"), "{queued}");
            let later = probe.add(1).await.unwrap_err();
            assert!(matches!(later.kind(), FailureKind::Stopped | FailureKind::Unreachable), "{later}");
        });
    }
}

#[test]
fn calls_end_when_the_runtime_of_the_node_ends_under_them() {
    for path in Path::ALL {
        let (give, take) = std::sync::mpsc::channel();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::Builder::new().spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let fixture = Fixture::new(path).await;
                give.send((fixture.puppet("p"), fixture.script.clone())).unwrap();
                let _ = ended.await;
                // The server is not dropped before the runtime is.
                std::mem::forget(fixture);
            });
        });
        let (probe, script): (ProbeClient, _) = take.recv().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let ends = async {
                script.seen("running begins").await;
                end.send(()).unwrap();
            };
            let (running, ()) = tokio::join!(probe.exclusive("running").no_timeout(), ends);
            assert_eq!(running.unwrap_err().kind(), FailureKind::Stopped);
            assert_eq!(probe.add(1).no_timeout().await.unwrap_err().kind(), FailureKind::Stopped);
        });
        thread.unwrap().join().unwrap();
    }
}

#[test]
fn a_handler_that_never_returns_and_one_that_blocks_do_not_hold_up_a_shutdown() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
    runtime.block_on(async {
        let fixture = Fixture::new(Path::Direct).await;
        let (stuck, blocking) = (fixture.puppet("stuck"), fixture.puppet("blocking"));
        let (done, pool) = (fixture.puppet("done"), fixture.script.clone());
        done.add(1).await.unwrap();
        let call = stuck.exclusive("stuck").no_timeout();
        let stuck = fixture.node.spawn(call);
        let call = blocking.block("blocked").no_timeout();
        let blocked = fixture.node.spawn(call);
        pool.seen("stuck begins").await;
        pool.seen("blocked begins").await;
        let started = std::time::Instant::now();
        let error = fixture.server.shutdown(Duration::from_millis(50)).await.unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        assert_eq!(error.cut_off, ["blocking", "stuck"], "in the order of their names");
        assert_eq!(error.blocked, ["blocking"]);
        assert_eq!(stuck.await.unwrap().unwrap_err().kind(), FailureKind::Stopped);
        pool.open("blocked");
        // Its turn was not cut off in the middle; whether the reply still counted is decided by then.
        let _ = blocked.await.unwrap();
    });
}

#[test]
fn a_graceful_shutdown_runs_what_is_queued_and_refuses_what_comes_later() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        let mut queued = pin!(probe.add(1));
        let running = async {
            let mut shutdown = pin!(fixture.server.shutdown(Duration::from_secs(5)));
            fixture.script.seen("running begins").await;
            assert!(futures::poll!(queued.as_mut()).is_pending());
            fixture.settle().await;
            assert!(futures::poll!(shutdown.as_mut()).is_pending());
            let refused = probe.add(10).await.unwrap_err();
            assert_eq!((refused.kind(), refused.delivery()), (FailureKind::Stopped, Delivery::NotDelivered));
            assert_eq!(refused.detail(), "its server was shut down");
            fixture.script.open("running");
            shutdown.await.unwrap();
        };
        let (first, ()) = tokio::join!(probe.exclusive("running"), running);
        first.unwrap();
        assert_eq!(queued.await.unwrap(), 1);
    });
}

/// A question for an id makes the connection, and may not be polled any more: others wait for that connection.
#[test]
fn a_caller_that_stops_looking_for_an_id_holds_up_nobody() {
    on_each_path(async |fixture| {
        let (asks, calls) = (fixture.puppet("p"), fixture.puppet("q"));
        let mut pinned = pin!(asks.pinned());
        assert!((&mut pinned).now_or_never().is_none_or(|pinned| pinned.is_ok()));
        assert_eq!(calls.add(1).timeout(Duration::from_secs(10)).await.unwrap(), 1);
    });
}
