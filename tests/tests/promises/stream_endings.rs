//! S6 and S9, for streams: however a stream ends, its reader is told, and never that it was all.

#![expect(clippy::disallowed_methods, reason = "time is simulated")]
#![allow(clippy::unwrap_used, reason = "what a test needs may panic as the test may")]

use std::{pin::pin, time::Duration};

use actor_runtime::{ActorServer, LocalCalls, Node, prelude::*, testing::SimNet};
use tests::{
    Path, on_each_path, on_each_path_but,
    reel::{Projector, ReelClient, Watched, projector},
    runtime,
};

/// Reads until it is over: how many items came, and the failure.
async fn read_to_failure(mut numbers: Streaming<u64>) -> (u64, Failure) {
    let mut read = 0;
    loop {
        match numbers.try_next().await {
            Ok(Some(number)) => {
                assert_eq!(number, read);
                read += 1;
            }
            Ok(None) => panic!("a stream without an end has ended after {read} items"),
            Err(failure) => {
                assert_eq!(numbers.try_next().await, Ok(None));
                return (read, failure);
            }
        }
    }
}

#[test]
fn a_shutdown_lets_streams_finish_within_its_grace() {
    on_each_path(async |fixture| {
        let (reel, seen) = projector(fixture);
        let mut numbers = reel.count_to(10_000).await.unwrap();
        assert_eq!(numbers.try_next().await.unwrap(), Some(0));
        let mut shutdown = pin!(fixture.server.shutdown(Duration::from_secs(10)));
        assert!(futures::poll!(&mut shutdown).is_pending());
        let reads = async {
            for n in 1..10_000 {
                assert_eq!(numbers.try_next().await.unwrap(), Some(n));
            }
            assert_eq!(numbers.try_next().await.unwrap(), None);
            seen.dropped(1).await;
        };
        let (ended, ()) = futures::join!(shutdown, reads);
        ended.unwrap();
    });
}

#[test]
fn what_is_left_after_the_grace_ends_as_stopped() {
    on_each_path(async |fixture| {
        let (reel, seen) = projector(fixture);
        let numbers = reel.for_ever().await.unwrap();
        let silent = reel.silent().await.unwrap();
        fixture.settle().await;
        let error = fixture.server.shutdown(Duration::from_millis(100)).await.unwrap_err();
        assert_eq!(error.cut_off, ["projector"]);
        seen.dropped(2).await;
        let (read, failure) = read_to_failure(numbers).await;
        assert!(read > 0, "what was on its way is read");
        assert_eq!((failure.kind(), failure.method()), (FailureKind::Stopped, "Reel/for_ever"));
        let (_, failure) = read_to_failure(silent).await;
        assert_eq!(failure.kind(), FailureKind::Stopped);
    });
}

/// On several threads: the kill comes while the stream is being handed over.
#[test]
fn a_kill_ends_a_stream_that_is_just_beginning() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let rounds = async {
        for local_calls in [LocalCalls::Direct, LocalCalls::Encoded] {
            let node = Node::builder().local_calls(local_calls).build().unwrap();
            let server = ActorServer::bind_on(&node, "loopback:0").await.unwrap();
            let resolver = FixedResolver::new([("projector", server.address())]);
            for _ in 0..500 {
                let actor = server.registration("projector", Projector::default()).start().unwrap();
                let numbers = ReelClient::on(&node, &resolver, "projector").for_ever().await.unwrap();
                drop(actor.kill());
                let (_, failure) = read_to_failure(numbers).await;
                assert_eq!(failure.kind(), FailureKind::Stopped);
                actor.ended().await;
            }
        }
    };
    let rounds = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), rounds).await });
    assert!(rounds.is_ok(), "a stream of a killed actor goes on");
}

#[test]
fn an_actor_that_leaves_leaves_its_streams() {
    on_each_path(async |fixture| {
        let (reel, _) = projector(fixture);
        let numbers = reel.count_to(5000).await.unwrap();
        assert!(fixture.server.unregister("projector").await);
        let numbers: Vec<u64> = numbers.try_collect().await.unwrap();
        assert_eq!(numbers.len(), 5000);
    });
}

#[test]
fn a_server_that_is_dropped_ends_its_streams() {
    on_each_path_but(&[Path::Direct], "the server is the caller's own", async |fixture| {
        let server = fixture.another_server("short-lived").await;
        let actor = Projector::default();
        let seen = actor.seen.clone();
        server.register("projector", actor).unwrap();
        fixture.resolver.set("projector", [server.address()]);
        let reel = ReelClient::on(&fixture.node, &fixture.resolver, "projector");
        let numbers = reel.for_ever().await.unwrap();
        let silent = reel.silent().await.unwrap();
        drop(server);
        let (_, failure) = read_to_failure(numbers).await;
        assert!(matches!(failure.kind(), FailureKind::Stopped | FailureKind::ConnectionLost), "{failure}");
        let (_, failure) = read_to_failure(silent).await;
        assert!(matches!(failure.kind(), FailureKind::Stopped | FailureKind::ConnectionLost), "{failure}");
        seen.dropped(2).await;
    });
}

#[test]
fn a_caller_that_goes_away_breaks_its_argument_off() {
    on_each_path(async |fixture| {
        let (reel, seen) = projector(fixture);
        reel.add(0).await.unwrap();
        let numbers = stream::iter(0..4).chain(stream::pending());
        let mut call = Box::pin(reel.note(Watched(numbers, seen.clone())));
        assert!(futures::poll!(&mut call).is_pending());
        while seen.made() < 4 {
            assert!(futures::poll!(&mut call).is_pending());
            fixture.settle().await;
        }
        drop(call);
        if fixture.path.encodes() {
            assert_eq!(seen.noted().await, "6, cancelled");
        }
        fixture.settle().await;
    });
}

#[test]
fn a_call_that_is_refused_takes_its_stream_elsewhere() {
    on_each_path_but(&[Path::Direct], "there is one server", async |fixture| {
        let (reel, _) = projector(fixture);
        assert_eq!(reel.add(1).await.unwrap(), 1);
        assert!(fixture.server.unregister("projector").await);
        let other = fixture.another_server("other").await;
        other.register("projector", Projector::default()).unwrap();
        fixture.resolver.set("projector", [other.address()]);
        assert_eq!(reel.sum("label", stream::iter(0..100)).await.unwrap(), (4950, None));
    });
}

/// A client and a projector on two simulated hosts.
fn partitioned(test: impl AsyncFnOnce(&SimNet, ReelClient, tests::reel::Seen, &dyn Fn())) {
    runtime(Path::Simulated).block_on(async {
        let net = SimNet::new(7);
        let (here, there) = (net.host("client"), net.host("server"));
        let node = |host, seed| Node::builder().simulated(&net, host).seed(seed).build().unwrap();
        let (client, serving) = (node(&here, 1), node(&there, 2));
        let server = ActorServer::bind_on(&serving, "127.0.0.1:7000").await.unwrap();
        let actor = Projector::default();
        let seen = actor.seen.clone();
        server.register("projector", actor).unwrap();
        let resolver = FixedResolver::new([("projector", server.address())]);
        let reel = ReelClient::on(&client, &resolver, "projector");
        test(&net, reel, seen, &|| net.partition(&here, &there)).await;
    });
}

#[test]
fn a_lost_connection_ends_its_streams_on_both_sides() {
    partitioned(async |_, reel, seen, cut| {
        let numbers = reel.for_ever().await.unwrap();
        let silent = reel.silent().await.unwrap();
        cut();
        let began = tokio::time::Instant::now();
        let (_, failure) = read_to_failure(silent).await;
        assert_eq!(failure.kind(), FailureKind::ConnectionLost);
        assert!(began.elapsed() <= Duration::from_secs(3), "{:?}", began.elapsed());
        let (_, failure) = read_to_failure(numbers).await;
        assert_eq!((failure.kind(), failure.actor()), (FailureKind::ConnectionLost, "projector"));
        seen.dropped(2).await;
    });
}

#[test]
fn a_lost_connection_breaks_an_argument_off_and_its_call() {
    partitioned(async |_, reel, seen, cut| {
        let numbers = stream::iter(0..4).chain(stream::pending());
        let call = reel.note(Watched(numbers, seen.clone()));
        let cuts = async {
            while seen.made() < 4 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            cut();
        };
        let (ended, ()) = futures::join!(call, cuts);
        assert_eq!(ended.unwrap_err().kind(), FailureKind::ConnectionLost);
        let noted = seen.noted().await;
        assert!(noted.ends_with("connection lost") || noted.ends_with("cancelled"), "{noted}");
        seen.dropped(1).await;
    });
}
