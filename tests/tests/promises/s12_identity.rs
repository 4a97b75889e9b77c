//! S12: an actor id names one registration; a client of a name follows the name, a pinned one never does.

use actor_runtime::{Delivery, FailureKind, RegisterError, ServiceClient};
use tests::{ProbeClient, Puppet, on_each_path};

#[test]
fn every_registration_has_an_id_of_its_own() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        let first = probe.pinned().await.unwrap().pinned_actor().unwrap();
        assert!(fixture.server.unregister("p").await);
        fixture.puppet("p");
        let second = probe.pinned().await.unwrap().pinned_actor().unwrap();
        assert_ne!(first, second);
        let serving = fixture.server.node().id();
        assert_eq!((first.node(), second.node()), (serving, serving));
    });
}

/// A connection knows which actor a name meant; it is asked which one it means now.
#[test]
fn a_client_is_pinned_to_the_registration_that_has_the_name_now() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        probe.add(1).await.unwrap();
        fixture.server.unregister("p").await;
        fixture.puppet("p");
        let pinned = probe.pinned().await.unwrap();
        assert_eq!(pinned.add(1).await.unwrap(), 1);
    });
}

#[test]
fn a_client_of_a_name_follows_it_to_another_registration_and_to_another_node() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        assert_eq!(probe.add(1).await.unwrap(), 1);
        fixture.server.unregister("p").await;
        fixture.puppet("p");
        assert_eq!(probe.add(1).await.unwrap(), 1);

        let server = fixture.another_server("other").await;
        let puppet =
            Puppet { script: fixture.script.clone(), resolver: fixture.resolver.clone(), total: 100 };
        server.register("p", puppet).unwrap();
        fixture.server.unregister("p").await;
        fixture.resolver.set("p", [server.address()]);
        assert_eq!(probe.add(1).await.unwrap(), 101);
    });
}

#[test]
fn a_pinned_client_never_follows() {
    on_each_path(async |fixture| {
        let pinned = fixture.puppet("p").pinned().await.unwrap();
        assert_eq!(pinned.add(1).await.unwrap(), 1);
        fixture.server.unregister("p").await;
        fixture.puppet("p");
        let failure = pinned.add(1).await.unwrap_err();
        assert!(matches!(failure.kind(), FailureKind::Stale | FailureKind::Stopped), "{failure}");
        assert_eq!(failure.delivery(), Delivery::NotDelivered);
        let again = pinned.clone();
        assert_eq!(again.pinned_actor(), pinned.pinned_actor());
        assert_eq!(again.total().await.unwrap_err().kind(), failure.kind());
    });
}

#[test]
fn a_name_belongs_to_one_running_actor() {
    on_each_path(async |fixture| {
        fixture.puppet("p");
        let puppet =
            || Puppet { script: fixture.script.clone(), resolver: fixture.resolver.clone(), total: 0 };
        let error = fixture.server.register("p", puppet()).unwrap_err();
        assert!(matches!(&error, RegisterError::Taken { name, .. } if name == "p"), "{error}");
        assert!(error.to_string().ends_with("which is running; unregister that one, or choose another name"));
        assert!(fixture.server.unregister("p").await);
        assert!(!fixture.server.unregister("p").await);
        fixture.server.register("p", puppet()).unwrap();
    });
}

#[test]
fn unregistering_runs_what_is_queued_first() {
    on_each_path(async |fixture| {
        let probe = fixture.puppet("p");
        let unregisters = async {
            fixture.script.seen("running begins").await;
            fixture.settle().await;
            let ((), gone) = tokio::join!(
                async {
                    tokio::task::yield_now().await;
                    fixture.script.open("running");
                },
                fixture.server.unregister("p")
            );
            assert!(gone);
            assert_eq!(fixture.script.lines(), ["running begins", "running ends"]);
        };
        let (running, queued, ()) = tokio::join!(probe.exclusive("running"), probe.add(1), unregisters);
        assert_eq!((running.unwrap().as_str(), queued.unwrap()), ("running", 1));
        let late = probe.add(1).await.unwrap_err();
        assert!(matches!(late.kind(), FailureKind::Stopped | FailureKind::NotFound), "{late}");
    });
}

#[test]
fn clients_are_values_that_can_be_sent_anywhere_in_the_process() {
    fn anywhere<T: Send + Sync + Clone + 'static>(_: &T) {}
    on_each_path(async |fixture| {
        let probe: ProbeClient = fixture.puppet("p");
        anywhere(&probe);
        let borrowed = String::from("x");
        let call = probe.shared(&borrowed);
        drop(borrowed);
        fixture.script.open("x");
        assert_eq!(fixture.node.spawn(call).await.unwrap().unwrap(), "x");
    });
}
