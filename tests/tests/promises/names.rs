//! S12: a name belongs to one running actor of its namespace. It is taken from it by saying so, and looked up with its type.

use std::sync::Arc;

use actor_runtime::{
    BoxFuture, BoxStream, RegisterError, ResolveError, ResolveResult, ResolvedEndpoint, Resolver, Retry,
    Staleness, prelude::*,
};
use tests::{Fixture, PostClient, ProbeClient, Puppet, Window, on_each_path};

fn puppet(fixture: &Fixture, total: u64) -> Puppet {
    Puppet { script: fixture.script.clone(), resolver: fixture.resolver.clone(), total }
}

#[test]
fn a_replaced_actor_runs_its_queue_while_callers_of_the_name_go_on_with_the_new_one() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        let pinned = probe.pinned().await.unwrap();
        let old = pinned.pinned_actor().unwrap();
        let replaces = async {
            fixture.script.seen("running begins").await;
            fixture.settle().await;
            let replace = fixture.server.registration("p", puppet(fixture, 100)).replace();
            let goes_on = async {
                // The old one is still at its queue.
                assert_eq!(probe.add(1).await.unwrap(), 101);
                let stale = pinned.add(1).await.unwrap_err();
                assert_eq!(
                    (stale.kind(), stale.delivery()),
                    (FailureKind::Stale, Delivery::NotDelivered),
                    "{stale}"
                );
                fixture.script.open("running");
            };
            let (new, ()) = tokio::join!(replace, goes_on);
            let new = new.unwrap();
            assert_ne!(new, old);
            assert_eq!(probe.pinned().await.unwrap().pinned_actor(), Some(new));
        };
        let other = probe.clone();
        let (running, queued, ()) = tokio::join!(other.exclusive("running"), other.add(7), replaces);
        assert_eq!((running.unwrap().as_str(), queued.unwrap()), ("running", 7));
        assert_eq!(fixture.script.lines(), ["running begins", "running ends"]);
        assert_eq!(pinned.add(1).await.unwrap_err().kind(), FailureKind::Stale);
    });
}

/// A name that nobody else wants is kept for a while, so that callers learn why its actor ended.
#[test]
fn the_names_of_the_last_1024_actors_that_ended_are_known() {
    on_each_path(async |fixture| {
        fixture.puppet("running");
        for n in 0..1200 {
            let name = format!("ended {n}");
            let actor = fixture.server.registration(name, puppet(fixture, 0)).start().unwrap();
            actor.stop(Duration::from_secs(1)).await;
        }
        fixture.settle().await;
        let names = fixture.server.actors();
        assert_eq!(names.len(), 1025);
        assert!(names.contains(&"running".to_owned()));
        for (name, kind) in [("ended 175", FailureKind::NotFound), ("ended 176", FailureKind::Stopped)] {
            fixture.resolver.set(name, [fixture.server.address()]);
            let ended = ProbeClient::on(&fixture.node, &fixture.resolver, name);
            let failure = ended.add(1).retry(Retry::none()).await.unwrap_err();
            assert_eq!((failure.kind(), failure.delivery()), (kind, Delivery::NotDelivered), "{failure}");
        }
    });
}

#[test]
fn replacing_needs_nobody_to_replace_and_a_server_that_takes_actors() {
    on_each_path(async |fixture| {
        let id = fixture.server.registration("p", puppet(fixture, 1)).replace().await.unwrap();
        fixture.resolver.set("p", [fixture.server.address()]);
        let probe = ProbeClient::on(&fixture.node, &fixture.resolver, "p");
        assert_eq!(probe.pinned().await.unwrap().pinned_actor(), Some(id));
        let error = fixture.server.register("p", puppet(fixture, 2)).unwrap_err();
        assert!(matches!(&error, RegisterError::Taken { present, .. } if *present == id), "{error}");
        assert!(error.to_string().contains("`replace`"), "{error}");
        let error = fixture.server.registration("$inspect", puppet(fixture, 2)).replace().await.unwrap_err();
        assert!(matches!(error, RegisterError::Reserved { .. }), "{error}");
        fixture.server.shutdown(Duration::from_secs(1)).await.unwrap();
        let error = fixture.server.registration("p", puppet(fixture, 3)).replace().await.unwrap_err();
        assert!(matches!(error, RegisterError::ShutDown { .. }), "{error}");
    });
}

/// Whoever still waits in its queue is told so when the server goes.
#[test]
fn a_replaced_actor_ends_with_its_server() {
    on_each_path(async |fixture| {
        let other = fixture.another_server("other").await;
        other.register("q", puppet(fixture, 0)).unwrap();
        fixture.resolver.set("q", [other.address()]);
        let probe = ProbeClient::on(&fixture.node, &fixture.resolver, "q");
        let stops = async {
            fixture.script.seen("never opened begins").await;
            let replace = other.registration("q", puppet(fixture, 0)).replace();
            let gone = async {
                fixture.settle().await;
                drop(other.shutdown(Duration::ZERO).await);
            };
            let (replaced, ()) = tokio::join!(replace, gone);
            replaced.unwrap();
        };
        let (cut_off, ()) = tokio::join!(probe.exclusive("never opened"), stops);
        let failure = cut_off.unwrap_err();
        assert!(matches!(failure.kind(), FailureKind::Stopped | FailureKind::ConnectionLost), "{failure}");
    });
}

#[test]
fn a_look_up_fails_at_once_and_says_what_there_is() {
    on_each_path(async |fixture| {
        fixture.puppet("p");
        fixture.server.register("post", Window(0)).unwrap();
        let probe: ProbeClient = fixture.server.client("p").unwrap();
        assert_eq!((probe.actor_name(), probe.pinned_actor()), ("p", None));
        assert_eq!(probe.add(1).await.unwrap(), 1);
        let nobody = fixture.server.client::<ProbeClient>("q").unwrap_err();
        assert_eq!((nobody.kind(), nobody.delivery()), (FailureKind::NotFound, Delivery::NotDelivered));
        assert!(nobody.detail().contains("there is \"p\", \"post\""), "{nobody}");
        let other = fixture.server.node().client::<PostClient>("p").unwrap_err();
        assert_eq!(other.kind(), FailureKind::Unimplemented);
        assert!(other.detail().contains("the actor \"p\" serves Probe, not Post"), "{other}");
        // It follows the name.
        fixture.server.registration("p", puppet(fixture, 10)).replace().await.unwrap();
        assert_eq!(probe.add(1).await.unwrap(), 11);
    });
}

#[test]
fn a_node_without_a_server_has_the_names_of_its_own_actors() {
    on_each_path(async |fixture| {
        let node = fixture.another_node("plain").build().unwrap();
        let failure = node.client::<ProbeClient>("p").unwrap_err();
        assert_eq!(failure.kind(), FailureKind::NotFound);
        assert!(failure.detail().contains("nothing is registered"), "{failure}");
        // Its own actors are found all the same.
        let _running = node.actor("p", puppet(fixture, 1)).start().unwrap();
        let probe: ProbeClient = node.client("p").unwrap();
        assert_eq!(probe.add(1).await.unwrap(), 2);
        assert_eq!(probe.pinned().await.unwrap().add(1).await.unwrap(), 3);
    });
}

/// Knows where an actor was a while ago.
#[derive(Debug)]
struct Remembers;

impl Resolver for Remembers {
    fn resolve<'a>(
        &'a self,
        _: &'a Namespace,
        name: &'a str,
    ) -> BoxFuture<'a, Result<ResolveResult, ResolveError>> {
        let address = "loopback:4000000000".parse().expect("an address");
        let mut found = ResolveResult::new([ResolvedEndpoint::new(address, name)]);
        found.stale = Some(Staleness::new(Duration::from_secs(90), "the registry is down"));
        Box::pin(async move { Ok(found) })
    }

    fn watch(&self, _: &Namespace, _: &str) -> BoxStream<'static, Result<ResolveResult, ResolveError>> {
        Box::pin(stream::pending())
    }
}

#[actor_runtime::test(start_paused = true)]
async fn a_call_to_where_the_actor_was_a_while_ago_says_how_long() {
    let lost = ProbeClient::new(&Arc::new(Remembers), "p").add(1).retry(Retry::none()).await.unwrap_err();
    assert_eq!((lost.kind(), lost.delivery()), (FailureKind::Unreachable, Delivery::NotDelivered), "{lost}");
    assert!(lost.detail().ends_with("what was resolved is 90.0s old: the registry is down"), "{lost}");
}

#[test]
fn who_watches_a_server_is_told_of_each_actor_that_comes_and_goes() {
    on_each_path(async |fixture| {
        let mut watched = fixture.server.resolver().watch(fixture.server.node().namespace(), "p");
        let mut next = async || watched.next().await.unwrap().unwrap();
        assert!(next().await.is_empty());
        let first = fixture.server.register("p", puppet(fixture, 1)).unwrap();
        assert_eq!(next().await.first().unwrap().actor, Some(first));
        fixture.server.register("q", puppet(fixture, 1)).unwrap();
        let second = fixture.server.registration("p", puppet(fixture, 2)).replace().await.unwrap();
        assert_eq!(next().await.first().unwrap().actor, Some(second));
        fixture.server.unregister("p").await;
        assert!(next().await.is_empty());
    });
}
