//! S2: the calls of one handle start in the order of their first polls.

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use actor_runtime::{
    BoxFuture, BoxStream, FixedResolver, Namespace, ResolveError, ResolveResult, Resolver, ServiceClient,
};
use futures::future::join_all;
use proptest::prelude::*;
use tests::{ProbeClient, on_each_path};
use tokio::sync::watch;

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A resolver that gives no answer until it is let.
#[derive(Clone, Debug)]
struct Hesitant {
    inner: FixedResolver,
    go: watch::Receiver<bool>,
}

impl Resolver for Hesitant {
    fn resolve<'a>(
        &'a self,
        namespace: &'a Namespace,
        name: &'a str,
    ) -> BoxFuture<'a, Result<ResolveResult, ResolveError>> {
        Box::pin(async move {
            let _ = self.go.clone().wait_for(|go| *go).await;
            self.inner.resolve(namespace, name).await
        })
    }

    fn watch(
        &self,
        namespace: &Namespace,
        name: &str,
    ) -> BoxStream<'static, Result<ResolveResult, ResolveError>> {
        self.inner.watch(namespace, name)
    }
}

#[test]
fn nothing_is_sent_before_the_first_poll_and_places_are_taken_in_the_order_of_polls() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        let mut second = pin!(probe.exclusive("second"));
        let mut first = pin!(probe.exclusive("first"));
        assert!(poll_once(first.as_mut()).is_pending());
        assert!(poll_once(second.as_mut()).is_pending());
        fixture.script.open("first");
        fixture.script.open("second");
        let _ = tokio::join!(first, second);
        assert_eq!(fixture.script.lines(), ["first begins", "first ends", "second begins", "second ends"]);
    });
}

#[test]
fn calls_that_wait_for_the_resolver_keep_their_order_and_those_that_come_later_stay_behind() {
    on_each_path(async |fixture| {
        fixture.puppet("p");
        let (go, wait) = watch::channel(false);
        let resolver = Hesitant { inner: fixture.resolver.clone(), go: wait };
        let probe = ProbeClient::on(&fixture.node, &resolver, "p");
        let calls = join_all((0..20).map(|n| {
            let probe = &probe;
            async move { probe.add(1 << n).await }
        }));
        let test = async {
            tokio::task::yield_now().await;
            go.send_replace(true);
        };
        let (totals, ()) = tokio::join!(calls, test);
        let totals: Vec<u64> = totals.into_iter().map(Result::unwrap).collect();
        assert_eq!(totals, (0..20).map(|n| (2 << n) - 1).collect::<Vec<u64>>());
    });
}

#[test]
fn a_caller_that_stops_polling_holds_up_nobody() {
    on_each_path(async |fixture| {
        fixture.puppet("p");
        let (go, wait) = watch::channel(false);
        let resolver = Hesitant { inner: fixture.resolver.clone(), go: wait };
        let probe = ProbeClient::on(&fixture.node, &resolver, "p");
        let mut parked = pin!(probe.add(1));
        assert!(poll_once(parked.as_mut()).is_pending());
        go.send_replace(true);
        assert_eq!(probe.add(10).await.unwrap(), 11, "the parked call had its place in front");
        assert_eq!(parked.await.unwrap(), 1);
    });
}

#[test]
fn a_dropped_call_gives_up_its_place() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        {
            let mut running = pin!(probe.exclusive("running"));
            assert!(poll_once(running.as_mut()).is_pending());
            fixture.script.seen("running begins").await;
            let mut dropped = Box::pin(probe.add(100));
            assert!(poll_once(dropped.as_mut()).is_pending());
            fixture.queued("p", 1).await;
            drop(dropped);
            // That it was dropped takes its time to come to the actor.
            fixture.queued("p", 0).await;
            fixture.script.open("running");
            running.await.unwrap();
        }
        assert_eq!(probe.total().await.unwrap(), 0);
    });
}

#[test]
fn a_clone_is_a_handle_of_its_own_to_the_same_actor() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        let clone = probe.clone();
        assert_eq!(probe.add(1).await.unwrap(), 1);
        assert_eq!(clone.add(1).await.unwrap(), 2);
        assert_eq!(clone.actor_name(), "p");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever is polled, dropped and let go in whatever order: what runs, runs in the order of the first polls.
    #[test]
    fn any_interleaving_of_polls_and_drops_keeps_the_order(
        steps in proptest::collection::vec((0_usize..12, 0_u8..4), 1..60),
        capacity in 1_usize..6,
    ) {
        on_each_path(async |fixture| {
            let probe = fixture.configured("p", |registration| registration.mailbox(capacity));
            let names: Vec<String> = (0..12).map(|n| n.to_string()).collect();
            let mut calls: Vec<_> = names.iter().map(|name| Some(Box::pin(probe.exclusive(name)))).collect();
            let mut polled: Vec<usize> = Vec::new();
            for (n, action) in steps.iter().copied() {
                match (action, &mut calls[n]) {
                    (0, slot) => *slot = None,
                    (_, Some(call)) => {
                        if !polled.contains(&n) {
                            polled.push(n);
                        }
                        if poll_once(call.as_mut()).is_ready() {
                            calls[n] = None;
                        }
                    }
                    (_, None) => {}
                }
                if action == 3 {
                    fixture.script.open(&names[n]);
                }
                tokio::task::yield_now().await;
            }
            for name in &names {
                fixture.script.open(name);
            }
            join_all(calls.into_iter().flatten()).await;
            let begun = fixture.script.lines();
            let begun = begun.iter().filter_map(|line| line.strip_suffix(" begins")?.parse::<usize>().ok());
            let begun: Vec<usize> = begun.collect();
            let places: Vec<Option<usize>> =
                begun.iter().map(|n| polled.iter().position(|polled| polled == n)).collect();
            let polled_in_steps: Vec<usize> = places.iter().copied().flatten().collect();
            assert!(polled_in_steps.is_sorted(), "{begun:?} began, polled as {polled:?}");
        });
    }
}
