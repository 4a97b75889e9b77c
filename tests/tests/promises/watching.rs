//! Watching: exactly one word for each end, wherever the actor was, and however it ended.

#![expect(clippy::disallowed_methods, reason = "a test that hangs is to fail")]
#![allow(clippy::unwrap_used, reason = "an actor of a test may panic as the test may")]

use actor_runtime::{ActorHandle, Down, DownReason, Monitor, StopReason, Watch, prelude::*};
use futures::{FutureExt, future::join_all};
use tests::{Fixture, Path, ProbeClient, Puppet, Script, on_each_path, on_path};

/// An actor of the server, and a client of it from where calls come.
fn started(fixture: &Fixture, name: &str) -> (ActorHandle, ProbeClient) {
    let puppet = Puppet { script: fixture.script.clone(), resolver: fixture.resolver.clone(), total: 0 };
    let handle = fixture.server.registration(name, puppet).start().unwrap();
    fixture.resolver.set(name, [fixture.server.address()]);
    (handle, ProbeClient::on(&fixture.node, &fixture.resolver, name))
}

#[test]
fn a_monitor_is_told_how_the_actor_ended() {
    on_each_path(async |fixture| {
        for name in ["stopped", "killed", "panicked", "unregistered"] {
            let (handle, probe) = started(fixture, name);
            let mut monitor = Monitor::begin(&probe).await;
            assert_eq!(monitor.actor(), Some(handle.id()));
            assert!((&mut monitor).now_or_never().is_none(), "it lives");
            match name {
                "stopped" => drop(handle.stop(Duration::from_secs(1))),
                "killed" => drop(handle.kill()),
                "panicked" => drop(probe.panic("a splinter").await),
                _ => assert!(fixture.server.unregister(name).await),
            }
            let down = monitor.await;
            assert_eq!((down.name.as_str(), down.actor), (name, Some(handle.id())));
            match (name, &down.reason) {
                ("stopped", DownReason::Stopped(why)) => assert_eq!(*why, StopReason::Stopped.to_string()),
                ("killed", DownReason::Killed(why)) => assert_eq!(*why, StopReason::Killed.to_string()),
                ("panicked", DownReason::Failed(why)) => assert!(why.contains("a splinter"), "{why}"),
                ("unregistered", DownReason::Stopped(why)) => {
                    assert_eq!(*why, StopReason::Unregistered.to_string());
                }
                _ => panic!("{down:?}"),
            }
            assert_eq!(down.reason.is_failure(), name == "panicked");
        }
    });
}

#[test]
fn one_that_is_gone_already_or_never_was_is_down_at_once() {
    on_each_path(async |fixture| {
        let (handle, probe) = started(fixture, "p");
        let pinned = probe.pinned().await.unwrap();
        handle.stop(Duration::from_secs(1)).await;
        assert!(fixture.server.unregister("p").await);
        for client in [pinned, ProbeClient::on(&fixture.node, &fixture.resolver, "p")] {
            assert_eq!(Monitor::begin(&client).await.await.reason, DownReason::Gone);
        }
        let nobody = ProbeClient::on(&fixture.node, &fixture.resolver, "nobody");
        let nobody = Monitor::begin(&nobody).await.await;
        assert_eq!((nobody.actor, nobody.reason), (None, DownReason::Gone));
    });
}

#[test]
fn as_many_as_want_to_know_are_told() {
    on_each_path(async |fixture| {
        let (handle, probe) = started(fixture, "p");
        // More than the server answers at once: some have to ask again.
        let monitors = join_all((0..300).map(|_| Monitor::begin(&probe))).await;
        handle.kill().await;
        let downs = join_all(monitors).await;
        assert_eq!(downs.len(), 300);
        assert!(downs.iter().all(|down| matches!(down.reason, DownReason::Killed(_))), "{:?}", downs[0]);
    });
}

#[test]
fn an_actor_that_is_started_again_is_not_down() {
    on_each_path(async |fixture| {
        let (script, resolver) = (fixture.script.clone(), fixture.resolver.clone());
        let puppet = move || Puppet { script: script.clone(), resolver: resolver.clone(), total: 0 };
        let handle = fixture.server.registration("p", puppet()).supervised(puppet).unwrap();
        fixture.resolver.set("p", [fixture.server.address()]);
        let probe = ProbeClient::on(&fixture.node, &fixture.resolver, "p");
        let mut monitor = Monitor::begin(&probe).await;
        probe.panic("once").await.unwrap_err();
        assert_eq!(probe.add(1).await.unwrap(), 1, "it was started again");
        assert!((&mut monitor).now_or_never().is_none());
        drop(handle.kill());
        assert!(matches!(monitor.await.reason, DownReason::Killed(_)));
    });
}

/// S9: who watches does not hold up a shutdown, and learns of it.
#[test]
fn a_shutdown_is_told_and_waits_for_no_monitor() {
    on_each_path(async |fixture| {
        let (_, probe) = started(fixture, "p");
        let monitor = Monitor::begin(&probe).await;
        let ended =
            tokio::time::timeout(Duration::from_secs(2), fixture.server.shutdown(Duration::from_secs(60)));
        ended.await.unwrap().unwrap();
        let down = monitor.await;
        assert_eq!(down.reason, DownReason::Stopped(StopReason::Shutdown.to_string()));
    });
}

/// S6: the loss of its node is an end too.
#[test]
fn one_whose_server_goes_away_is_down() {
    for path in [Path::Simulated, Path::Quic] {
        on_path(path, async |fixture| {
            let server = fixture.another_server("other").await;
            let (script, resolver) = (fixture.script.clone(), fixture.resolver.clone());
            server.register("far", Puppet { script, resolver, total: 0 }).unwrap();
            fixture.resolver.set("far", [server.address()]);
            let far = ProbeClient::on(&fixture.node, &fixture.resolver, "far");
            far.add(1).await.unwrap();
            let monitor = Monitor::begin(&far).await;
            drop(server);
            let down = tokio::time::timeout(Duration::from_secs(4), monitor).await.unwrap();
            // Either its last word came, or the end of the connection.
            assert!(matches!(down.reason, DownReason::Stopped(_) | DownReason::Lost(_)), "{down:?}");
        });
    }
}

#[actor_service]
trait Foreman {
    /// Watches this actor.
    async fn watch(&mut self, name: String);
    /// Ends the first of its watches.
    async fn look_away(&mut self) -> bool;
    /// Those that are missing, in the order in which it was told.
    async fn missing(&self) -> Vec<String>;
    async fn fail(&mut self);
    /// The same, when the test opens the door.
    async fn fail_later(&mut self, name: &str);
}

struct Boss {
    script: Script,
    resolver: FixedResolver,
    watches: Vec<Watch>,
    missing: Vec<String>,
}

impl Actor for Boss {
    type Services = (ForemanService,);

    async fn on_down(&mut self, down: Down) {
        assert!(current_ctx().is_ok_and(|ctx| ctx.caller().is_none()));
        self.script.log(format!("{} is missed", down.name));
        self.missing.push(down.name);
    }
}

#[actor_service(part)]
impl Foreman for Boss {
    async fn watch(&mut self, name: String) {
        let ctx = current_ctx().unwrap();
        self.watches.push(ctx.watch(&ProbeClient::on(ctx.node(), &self.resolver, name)).await);
    }

    async fn look_away(&mut self) -> bool {
        self.watches.remove(0).end()
    }

    async fn missing(&self) -> Vec<String> {
        self.missing.clone()
    }

    async fn fail(&mut self) {
        panic!("on purpose");
    }

    async fn fail_later(&mut self, name: &str) {
        self.script.act(name).await;
        panic!("on purpose");
    }
}

/// A foreman on the node of the caller, which watches actors of the server.
fn boss(fixture: &Fixture) -> (ActorHandle, ForemanClient) {
    let (script, resolver) = (fixture.script.clone(), fixture.resolver.clone());
    let make = move || Boss {
        script: script.clone(),
        resolver: resolver.clone(),
        watches: Vec::new(),
        missing: Vec::new(),
    };
    let handle = fixture.node.unnamed_actor(make()).supervised(make).unwrap();
    let client = handle.client();
    (handle, client)
}

#[test]
fn an_actor_is_told_by_a_turn_of_its_own_once_for_each_that_it_watches() {
    on_each_path(async |fixture| {
        let (_, boss) = boss(fixture);
        let handles: Vec<ActorHandle> = ["a", "b"].map(|name| started(fixture, name).0).into();
        for name in ["a", "b", "nobody"] {
            boss.watch(name.to_owned()).await.unwrap();
        }
        fixture.script.seen("nobody is missed").await;
        drop(handles[1].kill());
        fixture.script.seen("b is missed").await;
        drop(handles[0].kill());
        fixture.script.seen("a is missed").await;
        assert_eq!(boss.missing().await.unwrap(), ["nobody", "b", "a"]);
    });
}

#[test]
fn after_a_watch_was_ended_no_word_of_it_comes_though_its_turn_was_queued() {
    on_each_path(async |fixture| {
        let (_, boss) = boss(fixture);
        let (handle, probe) = started(fixture, "a");
        boss.watch("a".to_owned()).await.unwrap();
        boss.watch("a".to_owned()).await.unwrap();
        // One of the two is looked away from before the end.
        assert!(boss.look_away().await.unwrap());
        drop(handle.kill());
        drop(Monitor::begin(&probe).await.await);
        fixture.script.seen("a is missed").await;
        assert!(!boss.look_away().await.unwrap(), "it was told");
        fixture.settle().await;
        assert_eq!(boss.missing().await.unwrap(), ["a"]);
    });
}

#[test]
fn an_actor_that_was_started_again_watches_nobody() {
    on_each_path(async |fixture| {
        let (_, boss) = boss(fixture);
        let (a, _) = started(fixture, "a");
        let (b, _) = started(fixture, "b");
        boss.watch("a".to_owned()).await.unwrap();
        boss.fail().await.unwrap_err();
        boss.watch("b".to_owned()).await.unwrap();
        a.kill().await;
        b.kill().await;
        fixture.script.seen("b is missed").await;
        fixture.settle().await;
        assert_eq!(boss.missing().await.unwrap(), ["b"]);
    });
}

#[test]
fn a_word_that_was_queued_for_a_run_that_failed_is_not_told_to_the_next() {
    on_each_path(async |fixture| {
        let (_, boss) = boss(fixture);
        let (a, probe) = started(fixture, "a");
        boss.watch("a".to_owned()).await.unwrap();
        let test = async {
            fixture.script.seen("door begins").await;
            drop(a.kill());
            drop(Monitor::begin(&probe).await.await);
            // The word comes into the queue meanwhile; one that comes later finds the watch ended.
            fixture.settle().await;
            fixture.script.open("door");
        };
        let fails = boss.clone();
        let (failed, ()) = tokio::join!(fails.fail_later("door"), test);
        failed.unwrap_err();
        assert!(boss.missing().await.unwrap().is_empty(), "this run watches nobody");
    });
}
