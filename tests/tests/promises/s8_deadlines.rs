//! S8: a server bounds the time of calls from elsewhere.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use actor_runtime::{Config, Delivery, Failure, FailureKind};
use futures::future::join;
use tests::{Fixture, Path, runtime};

const MOST: Duration = Duration::from_millis(400);

/// Runs a test over each path that is from elsewhere, on a server that allows [`MOST`].
fn from_elsewhere(test: impl AsyncFn(&Fixture)) {
    for path in Path::ALL.into_iter().filter(|path| path.encodes()) {
        let config = Config { max_deadline: Some(MOST), ..Config::default() };
        runtime(path).block_on(async {
            test(&Fixture::with(path, |builder| builder.config(config.clone())).await).await;
        });
    }
}

#[expect(clippy::disallowed_methods, reason = "a test measures time")]
fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

fn check(failure: &Failure, delivery: Delivery) {
    assert_eq!((failure.kind(), failure.delivery()), (FailureKind::DeadlineExceeded, delivery), "{failure}");
    assert!(failure.detail().contains("max_deadline"), "{failure}");
}

#[test]
fn no_call_has_more_time_than_the_server_allows() {
    from_elsewhere(async |fixture| {
        let probe = fixture.puppet("p");
        let left = probe.remaining().no_timeout().await.unwrap().unwrap();
        assert!(left <= 400, "{left} ms of a call without a deadline");
        let left = probe.remaining().timeout(Duration::from_secs(9)).await.unwrap().unwrap();
        assert!(left <= 400, "{left} ms of a call with a long one");
        let left = probe.remaining().timeout(Duration::from_millis(100)).await.unwrap().unwrap();
        assert!(left <= 100, "{left} ms of a call with a short one");

        // One that runs, and one behind it.
        let began = now();
        let running = probe.exclusive("running").no_timeout();
        let queued = probe.total().no_timeout();
        let (running, queued) = join(running, queued).await;
        check(&running.unwrap_err(), Delivery::Unknown);
        check(&queued.unwrap_err(), Delivery::NotDelivered);
        fixture.check_time(began.elapsed(), MOST);
        fixture.script.open("running");
        fixture.script.seen("running ends").await;
    });
}

#[test]
fn the_bound_is_inherited_by_the_calls_that_a_turn_makes() {
    from_elsewhere(async |fixture| {
        let front = fixture.puppet("front");
        fixture.puppet("back");
        front.total().await.unwrap();
        let route = ["end:back".to_owned()];
        let failure = front.relay(&route).no_timeout().await.unwrap_err();
        check(failure.failure().unwrap(), Delivery::Unknown);
        fixture.script.seen("back dropped").await;
    });
}

#[test]
fn a_callers_own_deadline_is_not_the_servers_bound() {
    from_elsewhere(async |fixture| {
        let probe = fixture.puppet("p");
        probe.total().await.unwrap();
        let failure = probe.shared("late").timeout(Duration::from_millis(100)).await.unwrap_err();
        assert!(!failure.detail().contains("max_deadline"), "{failure}");
    });
}

#[test]
fn direct_calls_keep_their_deadlines() {
    let config = Config { max_deadline: Some(MOST), ..Config::default() };
    runtime(Path::Direct).block_on(async {
        let fixture = Fixture::with(Path::Direct, |builder| builder.config(config.clone())).await;
        assert_eq!(fixture.puppet("p").remaining().no_timeout().await.unwrap(), None);
    });
}
