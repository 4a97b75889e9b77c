//! S4, S9: a call that ends its actor each time it is made shows: which, whose, when, and in which run.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test looks at the time of day, and fails where nothing is"
)]

use std::time::SystemTime;

use actor_runtime::{
    FailedCall, StopReason, TimerId,
    prelude::*,
    supervise::{Child, Strategy, Supervisor, SupervisorHandle},
};
use tests::{Fixture, Path, ProbeClient, Puppet, Script, on_each_path, on_path};

#[actor_service]
trait Postman {
    /// Delivers what ends its receiver.
    async fn deliver(&self) -> bool;
}

struct Post(FixedResolver);

#[actor_service]
impl Postman for Post {
    async fn deliver(&self) -> bool {
        let ctx = current_ctx().unwrap();
        ProbeClient::on(ctx.node(), &self.0, "child").panic("poison").await.is_err()
    }
}

/// A child that is started again without a pause, and a client of it from where calls come.
fn supervised(fixture: &Fixture) -> (SupervisorHandle, ProbeClient) {
    let (script, resolver) = (fixture.script.clone(), fixture.resolver.clone());
    let make = move || Puppet { script: script.clone(), resolver: resolver.clone(), total: 0 };
    let supervisor = Supervisor::new(Strategy::OneForOne)
        .intensity(20, Duration::from_secs(60))
        .backoff(Duration::ZERO, Duration::ZERO)
        .child(Child::new("child", make))
        .start(fixture.server.node())
        .unwrap();
    fixture.resolver.set("child", [fixture.server.address()]);
    (supervisor, ProbeClient::on(&fixture.node, &fixture.resolver, "child"))
}

#[test]
fn what_ended_a_child_three_times_is_seen_with_its_callers() {
    on_each_path(async |fixture| {
        let before = SystemTime::now();
        let (supervisor, probe) = supervised(fixture);
        let post = fixture.node.actor("post", Post(fixture.resolver.clone())).start().unwrap();
        let other = fixture.another_node("other").build().unwrap();
        let far = ProbeClient::on(&other, &fixture.resolver, "child");
        let child = supervisor.child("child").unwrap();
        assert!(child.failures().is_empty());

        probe.panic("poison").await.unwrap_err();
        // Whoever is told may look.
        assert_eq!(child.failures().len(), 1);
        assert!(post.client::<PostmanClient>().deliver().await.unwrap());
        far.panic("poison").await.unwrap_err();
        assert_eq!(probe.add(1).await.unwrap(), 1, "the fourth run");

        let failures = child.failures();
        let runs: Vec<u64> = failures.iter().map(|failed| failed.run).collect();
        assert_eq!(runs, [0, 1, 2]);
        for failed in &failures {
            assert_eq!((failed.method.as_str(), failed.message.as_str()), ("Probe/panic", "poison"));
            assert!(failed.at >= before - Duration::from_secs(1) && failed.at <= SystemTime::now());
            assert_eq!(failed.number, None);
        }
        let callers = failures.iter().map(|failed| failed.caller.as_ref().unwrap());
        let nodes: Vec<_> = callers.clone().map(|caller| caller.node).collect();
        assert_eq!(nodes, [fixture.node.id(), fixture.node.id(), other.id()]);
        let actors: Vec<_> = callers.map(|caller| caller.actor).collect();
        assert_eq!(actors, [None, Some(post.id()), None]);
        let turn = failures[1].turn.as_ref().unwrap();
        assert_eq!((turn.actor.as_str(), turn.method.as_str()), ("post", "Postman/deliver"));
        let proved = failures[2].caller.as_ref().unwrap().identity.as_ref();
        assert_eq!(proved.is_some(), fixture.path.crosses_nodes());

        let tree = fixture.server.node().actors();
        assert_eq!(tree.actor("child").unwrap().failures, failures);
        let text = tree.to_string();
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("! run")).collect();
        assert_eq!(lines.len(), 3, "{text}");
        for (at, line) in lines.iter().enumerate() {
            assert!(line.starts_with(&format!("    ! run {at} ended by Probe/panic, called by ")), "{line}");
            assert!(line.ends_with(": poison"), "{line}");
        }
        assert!(lines[1].contains("called by Postman/deliver on \"post\""), "{text}");
        // They are there as long as somebody has the actor.
        supervisor.stop(Duration::from_secs(1)).await;
        assert_eq!(child.failures(), failures);
    });
}

#[test]
fn the_last_ones_are_kept_and_their_texts_are_bounded() {
    on_path(Path::Direct, async |fixture| {
        let (supervisor, probe) = supervised(fixture);
        for number in 0..FailedCall::KEPT + 3 {
            probe.panic(&format!("{number}: {}", "ä".repeat(1000))).await.unwrap_err();
        }
        let failures = supervisor.child("child").unwrap().failures();
        assert_eq!(failures.len(), FailedCall::KEPT);
        for (failed, number) in failures.iter().zip(3..) {
            assert_eq!(failed.run, number);
            assert!(failed.message.starts_with(&format!("{number}: ä")));
            assert!((FailedCall::MAX_BYTES - 1..=FailedCall::MAX_BYTES).contains(&failed.message.len()));
        }
        let text = fixture.node.actors().to_string();
        let mut lines = text.lines().filter(|line| line.contains("! run"));
        assert!(lines.all(|line| line.len() < FailedCall::MAX_BYTES + 100), "{text}");
    });
}

/// Shared turns of one run that panic while it comes to its end.
#[test]
fn calls_of_one_run_that_panic_together_are_all_seen() {
    on_path(Path::Direct, async |fixture| {
        let (supervisor, probe) = supervised(fixture);
        let (other, slow) = (probe.clone(), probe.clone());
        let (first, second, slow) = tokio::join!(probe.panic("one"), other.panic("two"), async {
            fixture.script.open("slow");
            slow.shared("slow").await
        });
        first.unwrap_err();
        second.unwrap_err();
        slow.unwrap();
        let failures = supervisor.child("child").unwrap().failures();
        let seen: Vec<_> = failures.iter().map(|failed| failed.message.as_str()).collect();
        assert_eq!(seen, ["one", "two"]);
    });
}

struct Clock(Script);

impl Actor for Clock {
    type Services = (TickService,);

    async fn on_timeout(&mut self, _: Timeout) {
        self.0.log("it rings");
        panic!("at midnight");
    }
}

#[actor_service]
trait Tick {
    async fn wind(&mut self);
}

#[actor_service(part)]
impl Tick for Clock {
    async fn wind(&mut self) {
        let timers = current_ctx().unwrap().timers();
        timers.once(TimerId::from("midnight"), Duration::from_millis(1)).unwrap();
    }
}

/// A turn that nobody called for has no caller.
#[test]
fn a_timeout_that_panics_is_seen_without_a_caller() {
    on_path(Path::Direct, async |fixture| {
        let clock = fixture.node.unnamed_actor(Clock(fixture.script.clone())).start().unwrap();
        clock.client::<TickClient>().wind().await.unwrap();
        assert!(matches!(clock.ended().await, StopReason::Panicked { .. }));
        let failures = clock.failures();
        assert_eq!((failures[0].method.as_str(), &failures[0].caller), ("Actor/on_timeout", &None));
        assert_eq!(failures[0].to_string(), "run 0 ended by Actor/on_timeout: at midnight");
    });
}
