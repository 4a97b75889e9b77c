//! S3: mailboxes are bounded; callers wait in order and within their deadlines, or are refused if the actor says so.

use std::{future::Future, pin::pin, time::Duration};

use actor_runtime::{Delivery, FailureKind, Overflow};
use futures::future::join_all;
use tests::on_each_path;

#[test]
fn callers_wait_for_a_full_mailbox_and_nothing_is_lost() {
    on_each_path(async |fixture| {
        let probe = fixture.configured("p", |registration| registration.mailbox(2));
        let totals = join_all((0..500).map(|_| probe.add(1))).await;
        let totals: Vec<u64> = totals.into_iter().map(Result::unwrap).collect();
        assert_eq!(totals, (1..=500).collect::<Vec<u64>>());
    });
}

#[test]
fn a_caller_waits_no_longer_than_its_deadline() {
    on_each_path(async |fixture| {
        let probe = fixture.configured("p", |registration| registration.mailbox(1));
        let held = async {
            fixture.script.seen("held begins").await;
            let queued = probe.add(1);
            let waits = async {
                let failure = probe.add(10).timeout(Duration::from_secs(1)).await.unwrap_err();
                assert_eq!(failure.kind(), FailureKind::DeadlineExceeded);
                assert_eq!(failure.delivery(), Delivery::NotDelivered);
                assert_eq!(failure.detail(), "it was still queued behind a turn of Probe/exclusive");
                fixture.script.open("held");
            };
            let (queued, ()) = tokio::join!(queued, waits);
            assert_eq!(queued.unwrap(), 1, "what was in front of it is run");
        };
        let (held, ()) = tokio::join!(probe.exclusive("held"), held);
        held.unwrap();
        assert_eq!(probe.total().await.unwrap(), 1, "what ran out of time is not run");
    });
}

#[test]
fn an_actor_that_prefers_to_refuse_says_so_at_once() {
    on_each_path(async |fixture| {
        let probe = fixture.configured("p", |registration| registration.mailbox(2).overflow(Overflow::Fail));
        let test = async {
            fixture.script.seen("held begins").await;
            let queued = join_all([probe.add(1), probe.add(1)]);
            let refused = async {
                let failure = probe.add(1).await.unwrap_err();
                assert_eq!(
                    (failure.kind(), failure.delivery()),
                    (FailureKind::Overloaded, Delivery::NotDelivered)
                );
                assert_eq!(
                    failure.detail(),
                    "the mailbox is full (2 calls), and the actor was registered with `Overflow::Fail`; call again \
                     later, or call another actor"
                );
                fixture.script.open("held");
            };
            let (queued, ()) = tokio::join!(queued, refused);
            assert!(queued.iter().all(Result::is_ok));
            assert_eq!(probe.add(1).await.unwrap(), 3, "there is room again");
        };
        let (held, ()) = tokio::join!(probe.exclusive("held"), test);
        held.unwrap();
    });
}

#[test]
fn callers_that_left_keep_nobody_out() {
    on_each_path(async |fixture| {
        let probe = fixture.configured("p", |registration| registration.mailbox(2).overflow(Overflow::Fail));
        let test = async {
            fixture.script.seen("held begins").await;
            for _ in 0..10 {
                let mut left = pin!(probe.add(100));
                let poll = left.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
                assert!(poll.is_pending());
            }
            assert_eq!(fixture.health("p").await.queued, 0, "those that left are not in the queue");
            let (one, two, ()) =
                tokio::join!(probe.add(1), probe.add(1), async { fixture.script.open("held") });
            assert_eq!((one.unwrap(), two.unwrap()), (1, 2));
        };
        let (held, ()) = tokio::join!(probe.exclusive("held"), test);
        held.unwrap();
    });
}

#[test]
fn stopping_is_never_behind_user_traffic() {
    on_each_path(async |fixture| {
        let probe = fixture.configured("p", |registration| registration.mailbox(1));
        let test = async {
            fixture.script.seen("held begins").await;
            let many = join_all((0..50).map(|_| probe.add(1)));
            let stop = async {
                // All of them are in front of it.
                fixture.queued("p", 50).await;
                let ended = fixture.server.shutdown(Duration::from_millis(10)).await.unwrap_err();
                assert_eq!((ended.cut_off, ended.blocked), (vec!["p".to_owned()], vec![]));
            };
            let (many, ()) = tokio::join!(many, stop);
            for failure in many.into_iter().map(Result::unwrap_err) {
                assert_eq!(
                    (failure.kind(), failure.delivery()),
                    (FailureKind::Stopped, Delivery::NotDelivered)
                );
            }
        };
        let (held, ()) = tokio::join!(probe.exclusive("held"), test);
        assert_eq!(held.unwrap_err().kind(), FailureKind::Stopped);
        assert_eq!(fixture.script.lines(), ["held begins", "held dropped"]);
    });
}
