//! Links: an actor that ends, as failed, when another one fails; and not by anything else.

#![expect(clippy::disallowed_methods, reason = "a test that hangs is to fail")]
#![allow(clippy::unwrap_used, reason = "an actor of a test may panic as the test may")]

use std::{
    error::Error,
    sync::{Arc, Mutex},
};

use actor_runtime::{
    ActorContext, ActorHandle, DownReason, Group, Link, LocalCalls, Monitor, StopReason,
    prelude::*,
    supervise::{Child, Strategy, Supervisor},
};
use futures::future::join_all;
use tests::{Fixture, Path, ProbeClient, Puppet, Script, on_each_path, on_path, runtime};

const SECOND: Duration = Duration::from_secs(1);

#[actor_service]
trait Bond {
    /// Links the actor of this name.
    async fn link(&mut self, name: String);
    /// Ends the first of its links.
    async fn unlink(&mut self) -> bool;
    /// An exclusive turn that waits until the test lets it go on.
    async fn wait(&mut self, name: &str);
    /// The same, shared.
    async fn wait_beside(&self, name: &str);
    /// How many calls of this this run has had.
    async fn add(&mut self) -> u64;
    async fn panic(&mut self);
    /// One item, and no end.
    fn items(&self) -> impl Stream<Item = u64>;
}

struct Mate {
    script: Script,
    resolver: FixedResolver,
    /// Whom it links in `on_start`.
    at_start: Option<String>,
    /// What its `on_stop` waits for.
    at_stop: Option<String>,
    links: Vec<Link>,
    total: u64,
    /// Its context, for a test that acts in its name.
    kept: Arc<Mutex<Option<ActorContext>>>,
}

impl Mate {
    fn new(fixture: &Fixture) -> Self {
        Self::with(&fixture.script, &fixture.resolver)
    }

    fn with(script: &Script, resolver: &FixedResolver) -> Self {
        let (script, resolver, kept) = (script.clone(), resolver.clone(), Arc::default());
        Self { script, resolver, at_start: None, at_stop: None, links: Vec::new(), total: 0, kept }
    }

    async fn link_to(&mut self, name: &str) {
        let ctx = current_ctx().unwrap();
        let other = ProbeClient::on(ctx.node(), &self.resolver, name);
        self.links.push(ctx.link(&other).await);
    }
}

impl Actor for Mate {
    type Services = (BondService,);

    async fn on_start(&mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        if let Some(name) = self.at_start.clone() {
            self.link_to(&name).await;
        }
        *self.kept.lock().unwrap() = Some(current_ctx()?);
        self.script.log("it starts");
        Ok(())
    }

    async fn on_stop(&mut self, reason: &StopReason) {
        self.script.log(format!("it stops: {reason}"));
        if let Some(name) = &self.at_stop {
            self.script.act(name).await;
        }
    }
}

#[actor_service(part)]
impl Bond for Mate {
    async fn link(&mut self, name: String) {
        self.link_to(&name).await;
    }

    async fn unlink(&mut self) -> bool {
        self.links.remove(0).end()
    }

    async fn wait(&mut self, name: &str) {
        self.script.act(name).await;
    }

    async fn wait_beside(&self, name: &str) {
        self.script.act(name).await;
    }

    async fn add(&mut self) -> u64 {
        self.total += 1;
        self.total
    }

    async fn panic(&mut self) {
        panic!("on purpose");
    }

    fn items(&self) -> impl Stream<Item = u64> {
        stream::iter([1]).chain(stream::pending())
    }
}

/// An actor of the server, and a client of it from where calls come.
fn started(fixture: &Fixture, name: &str) -> (ActorHandle, ProbeClient) {
    let puppet = Puppet { script: fixture.script.clone(), resolver: fixture.resolver.clone(), total: 0 };
    let handle = fixture.server.registration(name, puppet).start().unwrap();
    fixture.resolver.set(name, [fixture.server.address()]);
    (handle, ProbeClient::on(&fixture.node, &fixture.resolver, name))
}

/// An actor on the node of the caller, which links actors of the server.
fn mate(fixture: &Fixture) -> (ActorHandle, BondClient) {
    let handle = fixture.node.unnamed_actor(Mate::new(fixture)).start().unwrap();
    let client = handle.client();
    (handle, client)
}

async fn ended(handle: &ActorHandle) -> StopReason {
    tokio::time::timeout(5 * SECOND, handle.ended()).await.expect("it ends")
}

/// The name that was linked, and why the link broke.
fn broken(reason: &StopReason) -> (&str, &str) {
    let StopReason::LinkBroken { to, why, .. } = reason else { panic!("{reason:?}") };
    assert!(reason.is_failure());
    (to, why)
}

#[test]
fn an_actor_ends_with_one_that_failed_and_not_with_one_that_stopped() {
    on_each_path(async |fixture| {
        for name in ["stopped", "unregistered", "killed", "panicked"] {
            let (other, probe) = started(fixture, name);
            let (handle, bond) = mate(fixture);
            bond.link(name.to_owned()).await.unwrap();
            let monitor = Monitor::begin(&bond).await;
            let (running, waits) = (bond.clone(), bond.clone());
            let ends = async {
                fixture.script.seen(&format!("{name} begins")).await;
                match name {
                    "stopped" => drop(other.stop(SECOND)),
                    "unregistered" => assert!(fixture.server.unregister(name).await),
                    "killed" => drop(other.kill()),
                    _ => drop(probe.panic("a splinter").await),
                }
                other.ended().await;
                fixture.settle().await;
                if matches!(name, "stopped" | "unregistered") {
                    fixture.script.open(name);
                }
            };
            let (turn, queued, ()) = tokio::join!(biased; running.wait(name), waits.add(), ends);
            if matches!(name, "stopped" | "unregistered") {
                assert_eq!((turn.unwrap(), queued.unwrap()), ((), 1));
                assert!(!bond.unlink().await.unwrap(), "it has ended");
                assert_eq!(handle.stop(SECOND).await, StopReason::Stopped);
                continue;
            }
            let reason = ended(&handle).await;
            let StopReason::LinkBroken { to, actor, why } = &reason else { panic!("{reason:?}") };
            assert_eq!((to.as_str(), *actor), (name, Some(other.id())));
            assert!(why.contains(if name == "killed" { "killed" } else { "a splinter" }), "{why}");
            // S9: as a failure, of the turn as a kill.
            let (turn, queued) = (turn.unwrap_err(), queued.unwrap_err());
            assert_eq!((turn.kind(), turn.delivery()), (FailureKind::Stopped, Delivery::Unknown));
            assert_eq!((queued.kind(), queued.delivery()), (FailureKind::Stopped, Delivery::NotDelivered));
            assert!(turn.to_string().contains(name) && queued.to_string().contains(name), "{turn}; {queued}");
            assert!(fixture.script.lines().contains(&format!("{name} dropped")));
            let down = monitor.await;
            assert!(matches!(&down.reason, DownReason::Failed(why) if why.contains(name)), "{down:?}");
            assert!(!fixture.script.lines().iter().any(|line| line.contains("it stops: it was linked")));
        }
    });
}

#[test]
fn one_that_links_what_is_gone_does_not_start() {
    on_each_path(async |fixture| {
        let (other, probe) = started(fixture, "gone");
        let pinned = probe.pinned().await.unwrap();
        other.stop(SECOND).await;
        assert!(fixture.server.unregister("gone").await);
        drop(pinned);
        for name in ["gone", "nobody"] {
            let mate = Mate { at_start: Some(name.to_owned()), ..Mate::new(fixture) };
            let handle = fixture.node.unnamed_actor(mate).start().unwrap();
            let call = handle.client::<BondClient>();
            let (started, called) = tokio::join!(handle.started(), call.add());
            assert_eq!(
                broken(&started.unwrap_err()),
                (name, "it had ended before it was linked, or never was")
            );
            assert_eq!(called.unwrap_err().delivery(), Delivery::NotDelivered);
            broken(&ended(&handle).await);
        }
        assert!(!fixture.script.lines().contains(&"it starts".to_owned()));
    });
}

/// In a turn it is cut off where it links.
#[test]
fn a_turn_that_links_what_is_gone_goes_no_further() {
    on_each_path(async |fixture| {
        let (handle, bond) = mate(fixture);
        let failure = bond.link("nobody".to_owned()).await.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Stopped, Delivery::Unknown));
        assert_eq!(broken(&ended(&handle).await).0, "nobody");
    });
}

/// S9, S12: a run ends and another follows, with the queue; and that one links anew.
#[test]
fn a_supervised_actor_is_started_again_and_keeps_its_queue() {
    on_each_path(async |fixture| {
        let (other, _) = started(fixture, "first");
        started(fixture, "second");
        let (script, resolver) = (fixture.script.clone(), fixture.resolver.clone());
        let again = move || Mate { at_start: Some("second".to_owned()), ..Mate::with(&script, &resolver) };
        let first = Mate { at_start: Some("first".to_owned()), ..Mate::new(fixture) };
        let handle = fixture.node.actor("mate", first).supervised(again).unwrap();
        let bond: BondClient = handle.client();
        assert_eq!(bond.add().await.unwrap(), 1);
        let (running, queued, shared) = (bond.clone(), bond.clone(), bond.clone());
        let (turn, queued, shared, ()) = tokio::join!(
            biased;
            running.wait("door"),
            queued.add(),
            shared.wait_beside("open"),
            async {
                fixture.script.seen("door begins").await;
                fixture.script.open("open");
                drop(other.kill());
            },
        );
        assert_eq!(turn.unwrap_err().kind(), FailureKind::Stopped);
        assert_eq!(queued.unwrap(), 1, "the next run had it");
        shared.unwrap();
        let tree = fixture.node.actors();
        let seen = tree.actor("mate").unwrap();
        assert_eq!(seen.restarts, 1);
        assert_eq!(broken(seen.last_failure.as_ref().unwrap()).0, "first");
        // The link of the first run is no more; that of the second ends it.
        assert!(bond.unlink().await.unwrap());
        assert_eq!(handle.stop(SECOND).await, StopReason::Stopped);
    });
}

/// A `temporary` child is not started again, and what is watched fails as any.
#[test]
fn supervisors_treat_a_broken_link_as_a_failure() {
    on_path(Path::Direct, async |fixture| {
        for (restart, restarts) in [("permanent", 1), ("transient", 1), ("temporary", 0)] {
            let (other, _) = started(fixture, restart);
            let (script, resolver) = (fixture.script.clone(), fixture.resolver.clone());
            let child = Child::new("child", move || Mate::with(&script, &resolver));
            let child = match restart {
                "permanent" => child.permanent(),
                "transient" => child.transient(),
                _ => child.temporary(),
            };
            let supervisor = Supervisor::new(Strategy::OneForOne)
                .backoff(Duration::ZERO, Duration::ZERO)
                .child(child)
                .start(&fixture.node)
                .unwrap();
            let handle = supervisor.child("child").unwrap();
            let bond: BondClient = handle.client();
            bond.link(restart.to_owned()).await.unwrap();
            other.kill().await;
            fixture.settle().await;
            if restarts == 0 {
                assert_eq!(broken(&ended(&handle).await).0, restart);
                assert_eq!(supervisor.ended().await, StopReason::Finished);
            } else {
                assert_eq!(bond.add().await.unwrap(), 1);
                assert_eq!(fixture.node.actors().actor("child").unwrap().restarts, restarts);
                supervisor.stop(SECOND).await;
            }
        }
    });
}

/// As by a kill, also where another run follows.
#[test]
fn streams_of_a_run_that_ends_by_a_link_end_with_it() {
    on_each_path(async |fixture| {
        for (name, supervised) in [("alone", false), ("supervised", true)] {
            let (other, _) = started(fixture, &format!("other of {name}"));
            let (script, resolver) = (fixture.script.clone(), fixture.resolver.clone());
            let registration = fixture.server.registration(name, Mate::new(fixture));
            let handle = match supervised {
                true => registration.supervised(move || Mate::with(&script, &resolver)).unwrap(),
                false => registration.start().unwrap(),
            };
            fixture.resolver.set(name, [fixture.server.address()]);
            let bond = BondClient::on(&fixture.node, &fixture.resolver, name);
            bond.link(format!("other of {name}")).await.unwrap();
            let mut items = bond.items().await.unwrap();
            assert_eq!(items.try_next().await.unwrap(), Some(1));
            drop(other.kill());
            let next = tokio::time::timeout(5 * SECOND, items.try_next()).await.expect("it ends");
            assert_eq!(next.unwrap_err().kind(), FailureKind::Stopped);
            if supervised {
                assert_eq!(bond.add().await.unwrap(), 1);
            }
            handle.kill().await;
        }
    });
}

/// What is linked is the registration: that it is started again is no end.
#[test]
fn a_restart_of_the_other_one_breaks_no_link() {
    on_each_path(async |fixture| {
        let (script, resolver) = (fixture.script.clone(), fixture.resolver.clone());
        let puppet = move || Puppet { script: script.clone(), resolver: resolver.clone(), total: 0 };
        let other = fixture.server.registration("p", puppet()).supervised(puppet).unwrap();
        fixture.resolver.set("p", [fixture.server.address()]);
        let probe = ProbeClient::on(&fixture.node, &fixture.resolver, "p");
        let (handle, bond) = mate(fixture);
        bond.link("p".to_owned()).await.unwrap();
        probe.panic("once").await.unwrap_err();
        assert_eq!(probe.add(1).await.unwrap(), 1);
        fixture.settle().await;
        assert_eq!(bond.add().await.unwrap(), 1);
        drop(other.kill());
        assert_eq!(broken(&ended(&handle).await).0, "p");
    });
}

#[test]
fn a_link_that_was_ended_ends_nobody() {
    on_each_path(async |fixture| {
        let (handle, bond) = mate(fixture);
        let (a, _) = started(fixture, "a");
        // The same one twice is two links.
        bond.link("a".to_owned()).await.unwrap();
        bond.link("a".to_owned()).await.unwrap();
        assert!(bond.unlink().await.unwrap());
        assert!(bond.unlink().await.unwrap());
        a.kill().await;
        fixture.settle().await;
        assert_eq!(bond.add().await.unwrap(), 1, "both were ended");

        let (b, _) = started(fixture, "b");
        bond.link("b".to_owned()).await.unwrap();
        bond.link("b".to_owned()).await.unwrap();
        assert!(bond.unlink().await.unwrap());
        b.kill().await;
        assert_eq!(broken(&ended(&handle).await).0, "b", "one is enough");
    });
}

#[test]
fn an_actor_that_links_itself_has_linked_nobody() {
    on_each_path(async |fixture| {
        let handle = fixture.server.registration("self", Mate::new(fixture)).start().unwrap();
        fixture.resolver.set("self", [fixture.server.address()]);
        let bond = BondClient::on(&fixture.node, &fixture.resolver, "self");
        bond.link("self".to_owned()).await.unwrap();
        assert_eq!(bond.add().await.unwrap(), 1);
        assert!(!bond.unlink().await.unwrap());
        assert_eq!(handle.stop(SECOND).await, StopReason::Stopped);
    });
}

#[test]
fn two_that_link_each_other_end_together_and_each_once() {
    on_each_path(async |fixture| {
        let server = fixture.another_server("other").await;
        let mut handles = Vec::new();
        for (name, server) in [("a", &fixture.server), ("b", &server)] {
            let mate = Mate::new(fixture);
            handles.push(server.registration(name, mate).start().unwrap());
            fixture.resolver.set(name, [server.address()]);
        }
        let bonds = ["a", "b"].map(|name| BondClient::on(&fixture.node, &fixture.resolver, name));
        bonds[0].link("b".to_owned()).await.unwrap();
        bonds[1].link("a".to_owned()).await.unwrap();
        let monitors = join_all(bonds.iter().map(Monitor::begin)).await;
        bonds[0].panic().await.unwrap_err();
        assert!(
            matches!(ended(&handles[0]).await, StopReason::Panicked { .. }),
            "its own failure came first"
        );
        let reason = ended(&handles[1]).await;
        assert_eq!(broken(&reason).0, "a");
        for down in join_all(monitors).await {
            assert!(matches!(down.reason, DownReason::Failed(_)), "{down}");
        }
        fixture.settle().await;
        assert!(matches!(ended(&handles[0]).await, StopReason::Panicked { .. }));
        assert_eq!(ended(&handles[1]).await, reason);
    });
}

#[test]
fn a_chain_of_a_hundred_ends_to_its_last() {
    on_each_path(async |fixture| {
        let names: Vec<String> = (0..100).map(|number| format!("link-{number}")).collect();
        let mut handles = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let mate = Mate { at_start: at.checked_sub(1).map(|at| names[at].clone()), ..Mate::new(fixture) };
            let handle = fixture.server.registration(name, mate).start().unwrap();
            fixture.resolver.set(name, [fixture.server.address()]);
            handle.started().await.unwrap();
            handles.push(handle);
        }
        let first = BondClient::on(&fixture.node, &fixture.resolver, &names[0]);
        first.panic().await.unwrap_err();
        for (at, handle) in handles.iter().enumerate().skip(1) {
            let reason = ended(handle).await;
            let (to, why) = broken(&reason);
            assert_eq!(to, names[at - 1]);
            assert!(why.len() <= 512, "{why}");
            assert!(why.ends_with("on purpose"), "what came first is told: {why}");
        }
    });
}

/// The run has not ended before its `on_stop` has.
#[test]
fn a_link_that_breaks_while_on_stop_runs_cuts_it_off_and_the_stop_is_none() {
    on_each_path(async |fixture| {
        let (other, _) = started(fixture, "p");
        let mate = Mate { at_stop: Some("stop".to_owned()), ..Mate::new(fixture) };
        let handle = fixture.node.unnamed_actor(mate).start().unwrap();
        handle.client::<BondClient>().link("p".to_owned()).await.unwrap();
        let stopped = handle.stop(60 * SECOND);
        fixture.script.seen("stop begins").await;
        other.kill().await;
        assert_eq!(broken(&stopped.await).0, "p");
        assert!(fixture.script.lines().contains(&"stop dropped".to_owned()));
    });
}

#[test]
fn a_link_that_breaks_while_the_queue_is_run_ends_an_actor_that_stops() {
    on_each_path(async |fixture| {
        let (other, _) = started(fixture, "p");
        let (handle, bond) = mate(fixture);
        bond.link("p".to_owned()).await.unwrap();
        let (running, queued) = (bond.clone(), bond.clone());
        let (turn, queued, reason) = tokio::join!(
            biased;
            running.wait("door"),
            queued.add(),
            async {
                fixture.script.seen("door begins").await;
                let stopped = handle.stop(60 * SECOND);
                other.kill().await;
                stopped.await
            },
        );
        assert_eq!(turn.unwrap_err().delivery(), Delivery::Unknown);
        assert_eq!(queued.unwrap_err().delivery(), Delivery::NotDelivered);
        assert_eq!(broken(&reason).0, "p");
    });
}

#[test]
fn one_that_has_ended_or_failed_by_itself_keeps_its_reason() {
    on_each_path(async |fixture| {
        let (other, _) = started(fixture, "p");
        let (stopped, bond) = mate(fixture);
        bond.link("p".to_owned()).await.unwrap();
        let slow = Mate { at_stop: Some("slow".to_owned()), ..Mate::new(fixture) };
        let failed = fixture.node.unnamed_actor(slow).start().unwrap();
        let bond: BondClient = failed.client();
        bond.link("p".to_owned()).await.unwrap();
        assert_eq!(stopped.stop(SECOND).await, StopReason::Stopped);
        bond.panic().await.unwrap_err();
        fixture.script.seen("slow begins").await;
        other.kill().await;
        assert!(matches!(ended(&failed).await, StopReason::Panicked { .. }));
        assert_eq!(ended(&stopped).await, StopReason::Stopped);
    });
}

#[test]
fn actors_of_groups_and_with_parallel_turns_end_so_too() {
    on_path(Path::Quic, async |fixture| {
        let group = Group::builder().name("linked").threads(2).build().unwrap();
        let (other, _) = started(fixture, "p");
        let grouped =
            fixture.server.registration("grouped", Mate::new(fixture)).group(&group).start().unwrap();
        let parallel =
            fixture.server.registration("parallel", Mate::new(fixture)).parallel(4).start().unwrap();
        let mut turns = Vec::new();
        for handle in [&grouped, &parallel] {
            let bond: BondClient = handle.client();
            bond.link("p".to_owned()).await.unwrap();
            let name = handle.name().to_owned();
            turns.extend((0..4).map(|turn| {
                let (bond, name) = (bond.clone(), format!("{name} {turn}"));
                tokio::spawn(async move { bond.wait_beside(&name).await })
            }));
            for turn in 0..4 {
                fixture.script.seen(&format!("{} {turn} begins", handle.name())).await;
            }
        }
        drop(other.kill());
        assert_eq!(broken(&ended(&grouped).await).0, "p");
        assert_eq!(broken(&ended(&parallel).await).0, "p");
        for turn in join_all(turns).await {
            assert_eq!(turn.unwrap().unwrap_err().kind(), FailureKind::Stopped);
        }
    });
}

/// Tasks of an actor outlive its runs; a link that they make has a run, or is none.
#[test]
fn a_task_that_links_for_an_actor_that_has_ended_has_linked_nobody() {
    on_each_path(async |fixture| {
        started(fixture, "p");
        let mate = Mate::new(fixture);
        let kept = mate.kept.clone();
        let handle = fixture.node.unnamed_actor(mate).start().unwrap();
        handle.started().await.unwrap();
        handle.stop(SECOND).await;
        let ctx = kept.lock().unwrap().take().unwrap();
        let link = ctx.link(&ProbeClient::on(&fixture.node, &fixture.resolver, "nobody")).await;
        assert!(!link.end());
        assert_eq!(ended(&handle).await, StopReason::Stopped);
    });
}

/// What waits for the end of another actor keeps neither that one nor the node.
#[test]
fn a_node_whose_actors_are_linked_ends_when_it_is_dropped() {
    runtime(Path::Direct).block_on(async {
        let node = Node::builder().local_calls(LocalCalls::Direct).build().unwrap();
        let (server, script) = (ActorServer::bind_on(&node, "loopback:0").await.unwrap(), Script::default());
        let resolver = FixedResolver::new([("a", server.address()), ("b", server.address())]);
        let mut handles = Vec::new();
        for name in ["a", "b"] {
            let mate = Mate::with(&script, &resolver);
            handles.push(server.registration(name, mate).start().unwrap());
        }
        for (handle, other) in handles.iter().zip(["b", "a"]) {
            handle.client::<BondClient>().link(other.to_owned()).await.unwrap();
        }
        drop((server, node));
        for handle in &handles {
            ended(handle).await;
        }
    });
}
