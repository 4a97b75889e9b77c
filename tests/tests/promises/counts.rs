//! What an actor has done: each turn is counted once, by how it ended, wherever somebody looks.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test has tasks of its own, and fails where nothing is"
)]

use actor_runtime::{ActorHandle, Counts, LocalCalls, prelude::*};
use futures::{FutureExt, future::join_all};
use tests::{Fixture, Path, ProbeClient, Puppet, on_each_path, on_path};

fn puppet(fixture: &Fixture) -> Puppet {
    Puppet { script: fixture.script.clone(), resolver: fixture.resolver.clone(), total: 0 }
}

/// An actor of the server that has started and is idle, and a client of it that knows the way.
async fn idle(fixture: &Fixture) -> (ActorHandle, ProbeClient) {
    let (script, resolver) = (fixture.script.clone(), fixture.resolver.clone());
    let again = move || Puppet { script: script.clone(), resolver: resolver.clone(), total: 0 };
    let handle = fixture.server.registration("p", puppet(fixture)).supervised(again).unwrap();
    handle.started().await.unwrap();
    fixture.settle().await;
    fixture.resolver.set("p", [fixture.server.address()]);
    (handle, ProbeClient::on(&fixture.node, &fixture.resolver, "p"))
}

/// What is counted once all is quiet, as everybody sees it.
async fn counted(fixture: &Fixture, handle: &ActorHandle) -> [u64; 5] {
    fixture.settle().await;
    let counts = handle.counts();
    assert_eq!(fixture.health("p").await.counts, counts);
    assert_eq!(fixture.server.node().actors().actor("p").unwrap().counts, counts);
    let Counts { handled, errors, failed, cancelled, delayed, .. } = counts;
    [handled, errors, failed, cancelled, delayed]
}

#[test]
fn each_turn_is_counted_once_by_how_it_ended() {
    on_each_path(async |fixture| {
        let (handle, probe) = idle(fixture).await;
        assert_eq!(counted(fixture, &handle).await, [0; 5]);
        for _ in 0..3 {
            probe.add(1).await.unwrap();
            fixture.settle().await;
        }
        assert_eq!(counted(fixture, &handle).await, [3, 0, 0, 0, 0]);
        // An error of its own is an answer.
        probe.relay(&["nonsense".to_owned()]).await.unwrap_err();
        assert_eq!(counted(fixture, &handle).await, [4, 1, 0, 0, 0]);
        // A caller that leaves ends a shared turn, and leaves an exclusive one be.
        for (left, name) in [(true, "shared"), (false, "exclusive")] {
            let call = async { if left { probe.shared(name).await } else { probe.exclusive(name).await } };
            let begins = format!("{name} begins");
            futures::future::select(Box::pin(call), Box::pin(fixture.script.seen(&begins))).await;
            fixture.settle().await;
            fixture.script.open(name);
        }
        assert_eq!(counted(fixture, &handle).await, [6, 1, 0, 1, 0]);
        // A panic: the next run goes on with the same counts.
        probe.panic("a splinter").await.unwrap_err();
        fixture.settle().await;
        probe.add(1).await.unwrap();
        assert_eq!(counted(fixture, &handle).await[..4], [8, 1, 1, 1]);
    });
}

#[test]
fn what_was_running_when_its_actor_was_killed_was_cancelled() {
    on_each_path(async |fixture| {
        for shared in [true, false] {
            let handle = fixture.server.registration("p", puppet(fixture)).start().unwrap();
            fixture.resolver.set("p", [fixture.server.address()]);
            let probe = ProbeClient::on(&fixture.node, &fixture.resolver, "p");
            probe.add(1).await.unwrap();
            let name = if shared { "shared" } else { "exclusive" };
            let (running, queued) = (probe.clone(), probe.clone());
            let turn =
                async { if shared { running.shared(name).await } else { running.exclusive(name).await } };
            let kill = async {
                fixture.script.seen(&format!("{name} begins")).await;
                fixture.settle().await;
                handle.kill().await
            };
            let (turn, queued, _) = tokio::join!(biased; turn, queued.add(1), kill);
            turn.unwrap_err();
            queued.unwrap_err();
            let counts = handle.counts();
            // What was queued had no turn.
            assert_eq!((counts.handled, counts.failed, counts.cancelled), (2, 0, 1), "{name}");
        }
    });
}

#[test]
fn calls_that_wait_for_others_were_delayed() {
    on_each_path(async |fixture| {
        let (handle, probe) = idle(fixture).await;
        probe.add(1).await.unwrap();
        fixture.settle().await;
        let clones: Vec<ProbeClient> = (0..4).map(|_| probe.clone()).collect();
        let looks = async {
            fixture.script.seen("door begins").await;
            fixture.settle().await;
            let tree = fixture.server.node().actors();
            let seen = tree.actor("p").unwrap();
            assert_eq!((seen.running, seen.queued, seen.counts.handled), (1, 2, 1));
            let text = seen.to_string();
            assert!(text.contains("running, 1 running, 2 queued, 1 turn (2 delayed)"), "{text}");
            fixture.script.open("door");
        };
        let (door, a, b, ()) = tokio::join!(
            biased;
            clones[0].exclusive("door"),
            async { fixture.script.seen("door begins").await; clones[1].add(1).await },
            async { fixture.script.seen("door begins").await; clones[2].add(1).await },
            looks,
        );
        door.unwrap();
        a.unwrap();
        b.unwrap();
        assert_eq!(counted(fixture, &handle).await, [4, 0, 0, 0, 2]);

        // Shared turns do not delay each other; they delay an exclusive one.
        let beside = async {
            fixture.script.seen("open begins").await;
            fixture.settle().await;
            clones[1].total().await.unwrap();
            fixture.settle().await;
            assert_eq!(handle.counts().delayed, 2);
            let mut exclusive = Box::pin(clones[2].add(1));
            assert!((&mut exclusive).now_or_never().is_none());
            fixture.settle().await;
            assert_eq!(handle.counts().delayed, 3);
            fixture.script.open("open");
            exclusive.await.unwrap();
        };
        let (open, ()) = tokio::join!(biased; clones[0].shared("open"), beside);
        open.unwrap();
        assert_eq!(counted(fixture, &handle).await, [7, 0, 0, 0, 3]);
    });
}

#[test]
fn a_call_that_was_over_before_its_turn_is_none() {
    on_each_path(async |fixture| {
        let (handle, probe) = idle(fixture).await;
        let (waits, leaves) = (probe.clone(), probe.clone());
        let test = async {
            fixture.script.seen("door begins").await;
            let late = leaves.add(1).timeout(Duration::from_millis(20)).await.unwrap_err();
            assert_eq!(late.kind(), FailureKind::DeadlineExceeded);
            let mut leaves = Box::pin(leaves.add(1));
            assert!((&mut leaves).now_or_never().is_none());
            fixture.settle().await;
            drop(leaves);
            fixture.settle().await;
            fixture.script.open("door");
        };
        let (door, ()) = tokio::join!(biased; waits.exclusive("door"), test);
        door.unwrap();
        assert_eq!(counted(fixture, &handle).await[..4], [1, 0, 0, 0]);
    });
}

/// Turns on several tasks mark at the same time.
#[test]
fn nothing_is_missed_of_parallel_turns() {
    on_path(Path::Quic, async |_| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let counts = runtime.spawn(async {
            let fixture =
                Fixture::with(Path::Direct, |builder| builder.local_calls(LocalCalls::Direct)).await;
            let handle = fixture.server.registration("p", puppet(&fixture)).parallel(8).start().unwrap();
            let probe: ProbeClient = handle.client();
            let calls = (0..2000).map(|number| {
                let probe = probe.clone();
                tokio::spawn(async move {
                    if number % 4 == 0 {
                        probe.relay(&["nonsense".to_owned()]).await.unwrap_err();
                    } else {
                        probe.total().await.unwrap();
                    }
                })
            });
            for call in join_all(calls).await {
                call.unwrap();
            }
            handle.stop(Duration::from_secs(5)).await;
            handle.counts()
        });
        let counts = counts.await.unwrap();
        assert_eq!((counts.handled, counts.errors, counts.failed, counts.cancelled), (2000, 500, 0, 0));
        runtime.shutdown_background();
    });
}
