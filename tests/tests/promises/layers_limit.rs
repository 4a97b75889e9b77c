//! A concurrency limit: never more than so many, in order, and no place is lost.

use std::time::Duration;

use actor_runtime::{Delivery, FailureKind, NodeBuilder, layers::ConcurrencyLimit};
use futures::{FutureExt, future::join_all};
use tests::{Fixture, Path, on_each_path};

fn begun(fixture: &Fixture) -> Vec<String> {
    let lines = fixture.script.lines();
    lines.iter().filter_map(|line| line.strip_suffix(" begins")).map(str::to_owned).collect()
}

#[test]
fn no_more_than_so_many_run_and_the_others_follow_in_order() {
    on_each_path(async |fixture| {
        let limit = ConcurrencyLimit::new(2);
        let probe = fixture.configured("p", |registration| registration.layer(limit));
        let names: Vec<String> = (0..6).map(|n| format!("t{n}")).collect();
        let calls = join_all(names.iter().map(|name| probe.shared(name)));
        let test = async {
            for (n, name) in names.iter().enumerate() {
                // As many as may have begun, in the order of their calls.
                fixture.script.seen(&format!("{} begins", names[(n + 1).min(names.len() - 1)])).await;
                fixture.settle().await;
                assert_eq!(begun(fixture), names[..(n + 2).min(names.len())]);
                fixture.script.open(name);
            }
        };
        let (ends, ()) = tokio::join!(calls, test);
        for (end, name) in ends.into_iter().zip(&names) {
            assert_eq!(end.unwrap(), *name);
        }
    });
}

#[test]
fn beyond_a_limit_that_refuses_calls_fail_at_once() {
    on_each_path(async |fixture| {
        let limit = ConcurrencyLimit::new(1).refuse();
        let probe = fixture.configured("p", |registration| registration.layer(limit));
        let test = async {
            fixture.script.seen("first begins").await;
            let failure = probe.clone().shared("second").await.unwrap_err();
            assert_eq!(
                (failure.kind(), failure.delivery()),
                (FailureKind::Overloaded, Delivery::NotDelivered)
            );
            fixture.script.open("first");
        };
        let (first, ()) = tokio::join!(probe.shared("first"), test);
        first.unwrap();
        fixture.script.open("third");
        probe.shared("third").await.unwrap();
    });
}

#[test]
fn a_place_is_given_back_by_callers_that_leave_deadlines_and_panics() {
    on_each_path(async |fixture| {
        let limit = ConcurrencyLimit::new(1);
        let probe = fixture.configured("p", |registration| registration.layer(limit.clone()));
        // A caller that leaves while its call runs, and one that leaves while it waits.
        tokio::select! {
            _ = probe.shared("left") => unreachable!("nobody opens its door"),
            () = async {
                fixture.script.seen("left begins").await;
                let waiting = probe.clone();
                let mut waits = std::pin::pin!(waiting.shared("waits"));
                assert!((&mut waits).now_or_never().is_none());
                fixture.settle().await;
            } => {}
        }
        fixture.script.seen("left dropped").await;
        // A deadline while it runs, and one while it waits.
        let (first, second) = tokio::join!(
            probe.shared("late").timeout(Duration::from_secs(3)),
            probe.shared("later").timeout(Duration::from_secs(1)),
        );
        assert_eq!(first.unwrap_err().kind(), FailureKind::DeadlineExceeded);
        assert_eq!(second.unwrap_err().kind(), FailureKind::DeadlineExceeded);
        fixture.script.seen("late dropped").await;
        assert!(!begun(fixture).iter().any(|name| name == "later" || name == "waits"));
        // A panic; the next actor shares the limit.
        let other = fixture.configured("other", |registration| registration.layer(limit));
        assert_eq!(other.panic("stumbled").await.unwrap_err().kind(), FailureKind::Panicked);
        fixture.script.open("whole");
        probe.shared("whole").await.unwrap();
    });
}

#[test]
fn an_exclusive_turn_that_waits_for_a_place_goes_when_its_caller_does() {
    on_each_path(async |fixture| {
        let limit = ConcurrencyLimit::new(1);
        let holder = fixture.configured("holder", |registration| registration.layer(limit.clone()));
        let probe = fixture.configured("p", |registration| registration.layer(limit));
        let test = async {
            fixture.script.seen("held begins").await;
            let failure = probe.exclusive("late").timeout(Duration::from_secs(1)).await.unwrap_err();
            assert_eq!(failure.kind(), FailureKind::DeadlineExceeded);
            // Had it stayed, the actor would be behind it.
            let next = probe.exclusive("next");
            fixture.script.open("held");
            fixture.script.open("next");
            next.await.unwrap();
        };
        let (held, ()) = tokio::join!(holder.shared("held"), test);
        held.unwrap();
        assert!(!begun(fixture).iter().any(|name| name == "late"));
    });
}

#[test]
fn a_turn_that_comes_back_does_not_wait_for_its_own_place() {
    on_each_path(async |fixture| {
        let limit = ConcurrencyLimit::new(1);
        let a = fixture.configured("a", |registration| registration.layer(limit.clone()));
        fixture.configured("b", |registration| registration.layer(limit));
        fixture.script.open("a");
        // a → b → a, all inside one limit of one.
        let route = ["shared:b", "shared:a", "end:a"].map(str::to_owned);
        assert_eq!(a.relay(&route).timeout(Duration::from_secs(5)).await.unwrap(), "a");
        // The place is free again.
        fixture.script.open("x");
        a.shared("x").timeout(Duration::from_secs(5)).await.unwrap();
    });
}

#[test]
fn a_client_limit_counts_chains_in_flight_and_leaves_the_server_itself_alone() {
    for path in Path::ALL {
        tests::runtime(path).block_on(async {
            // Of each node its own.
            let limited = |builder: NodeBuilder| builder.client_layer(ConcurrencyLimit::new(1));
            let fixture = Fixture::with(path, limited).await;
            let probe = fixture.puppet("p");
            fixture.script.open("p");
            let route = ["shared:p", "end:p"].map(str::to_owned);
            assert_eq!(probe.relay(&route).timeout(Duration::from_secs(5)).await.unwrap(), "p");
            let other = probe.clone();
            let test = async {
                fixture.script.seen("held begins").await;
                let failure = other.total().timeout(Duration::from_secs(1)).await.unwrap_err();
                let found = (failure.kind(), failure.delivery());
                assert_eq!(found, (FailureKind::DeadlineExceeded, Delivery::NotDelivered));
                fixture.script.open("held");
            };
            let (held, ()) = tokio::join!(probe.shared("held"), test);
            held.unwrap();
            other.total().await.unwrap();
        });
    }
}
