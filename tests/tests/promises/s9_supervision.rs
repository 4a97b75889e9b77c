//! S9, S12: supervised actors are started again, with their ids and queues; and how far that goes.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test measures time, and fails where nothing is"
)]

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, Mutex},
    time::Duration,
};

use actor_runtime::{
    ActorHandle, LocalCalls, StopReason,
    prelude::*,
    supervise::{Child, Strategy, Supervisor, SupervisorHandle},
};
use futures::future::join_all;
use proptest::prelude::{Strategy as Generate, *};
use tests::{Path, Script, on_each_path, runtime};
use tokio::time::Instant;

#[actor_service]
trait Work {
    async fn add(&mut self, n: u64) -> u64;
    async fn wait(&mut self, name: String);
    async fn panic(&mut self);
    async fn finish(&mut self);
}

#[derive(Clone)]
struct Worker {
    script: Script,
    total: u64,
}

impl Worker {
    fn new(script: &Script) -> Self {
        Self { script: script.clone(), total: 0 }
    }
}

impl Actor for Worker {
    type Services = (WorkService,);

    async fn on_start(&mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.script.log(format!("{} starts", current_ctx()?.actor_name()));
        Ok(())
    }

    async fn on_stop(&mut self, reason: &StopReason) {
        let name = current_ctx().map(|ctx| ctx.actor_name().to_owned()).unwrap_or_default();
        self.script.log(format!("{name} stops: {reason}"));
    }
}

#[actor_service(part)]
impl Work for Worker {
    async fn add(&mut self, n: u64) -> u64 {
        self.total += n;
        self.total
    }

    async fn wait(&mut self, name: String) {
        self.script.act(&name).await;
    }

    async fn panic(&mut self) {
        panic!("a worker");
    }

    async fn finish(&mut self) {
        current_ctx().expect("a turn").stop();
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn child(script: &Script, name: &str) -> actor_runtime::supervise::ChildBuilder<Worker> {
    let script = script.clone();
    Child::new(name, move || Worker::new(&script))
}

fn at_once(strategy: Strategy) -> Supervisor {
    Supervisor::new(strategy).backoff(Duration::ZERO, Duration::ZERO)
}

fn on_a_node(test: impl AsyncFn(Node, Script)) {
    runtime(Path::Direct).block_on(async {
        let node = Node::builder().local_calls(LocalCalls::Direct).seed(1).build().unwrap();
        test(node, Script::default()).await;
    });
}

fn of(supervisor: &SupervisorHandle, name: &str) -> ActorHandle {
    supervisor.child(name).unwrap()
}

fn work(supervisor: &SupervisorHandle, name: &str) -> WorkClient {
    of(supervisor, name).client()
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// S12: the id and the name stay, and pinned clients with them; the state is what the factory makes.
#[test]
fn a_restart_keeps_the_id_and_begins_with_the_state_of_the_factory() {
    on_each_path(async |fixture| {
        let supervisor = at_once(Strategy::OneForOne)
            .child(child(&fixture.script, "w"))
            .start(fixture.server.node())
            .unwrap();
        fixture.resolver.set("w", [fixture.server.address()]);
        let client = WorkClient::on(&fixture.node, &fixture.resolver, "w");
        let pinned = client.pinned().await.unwrap();
        assert_eq!(client.add(2).await.unwrap(), 2);
        assert_eq!(client.panic().await.unwrap_err().kind(), FailureKind::Panicked);
        assert_eq!(client.add(3).await.unwrap(), 3);
        assert_eq!(pinned.add(1).await.unwrap(), 4);
        assert_eq!(pinned.pinned_actor(), Some(of(&supervisor, "w").id()));
    });
}

#[test]
fn one_actor_is_supervised_in_one_line() {
    on_a_node(async |node, script| {
        let again = script.clone();
        let worker = node
            .actor("w", Worker { total: 7, ..Worker::new(&script) })
            .supervised(move || Worker::new(&again));
        let worker = worker.unwrap();
        let client: WorkClient = worker.client();
        assert_eq!(client.add(1).await.unwrap(), 8, "the one that was given is the first");
        client.panic().await.unwrap_err();
        assert_eq!(client.add(1).await.unwrap(), 1);
        client.finish().await.unwrap();
        assert_eq!(worker.ended().await, StopReason::Finished);
    });
}

/// A permanent child that stops itself makes way for the next run; a transient one has ended; a temporary one is never
/// started again.
#[test]
fn permanent_transient_and_temporary_children() {
    on_a_node(async |node, script| {
        let supervisor = at_once(Strategy::OneForOne)
            .child(child(&script, "permanent").permanent())
            .child(child(&script, "transient").transient())
            .child(child(&script, "temporary").temporary())
            .start(&node)
            .unwrap();
        work(&supervisor, "permanent").finish().await.unwrap();
        assert_eq!(work(&supervisor, "permanent").add(1).await.unwrap(), 1);
        work(&supervisor, "transient").panic().await.unwrap_err();
        work(&supervisor, "transient").finish().await.unwrap();
        assert_eq!(of(&supervisor, "transient").ended().await, StopReason::Finished);
        work(&supervisor, "temporary").panic().await.unwrap_err();
        assert!(of(&supervisor, "temporary").ended().await.is_failure());
        assert_eq!(work(&supervisor, "permanent").add(1).await.unwrap(), 2, "its siblings go on");
        let permanent = of(&supervisor, "permanent");
        assert_eq!(permanent.stop(SECOND).await, StopReason::Stopped);
        assert_eq!(supervisor.ended().await, StopReason::Finished, "nobody is left to look after");
    });
}

#[test]
fn exhausted_intensity_ends_the_tree_with_how_often_what_failed_and_the_queue_is_told() {
    on_a_node(async |node, script| {
        let supervisor = at_once(Strategy::OneForOne)
            .intensity(2, 5 * SECOND)
            .child(child(&script, "w"))
            .child(child(&script, "other"))
            .start(&node)
            .unwrap();
        let client = work(&supervisor, "w");
        let calls = join_all((0..3).map(|_| client.clone().panic()));
        let queued = client.clone();
        let (panicked, queued) = tokio::join!(calls, queued.add(1));
        assert!(panicked.iter().all(|call| call.as_ref().unwrap_err().kind() == FailureKind::Panicked));
        let queued = queued.unwrap_err();
        assert_eq!((queued.kind(), queued.delivery()), (FailureKind::Stopped, Delivery::NotDelivered));
        let reason = supervisor.ended().await;
        let StopReason::RestartsExhausted { child, failures, within, last } = &reason else {
            panic!("{reason:?}")
        };
        assert_eq!((child.as_str(), *failures, *within), ("w", 3, 5 * SECOND));
        assert!(matches!(**last, StopReason::Panicked { .. }));
        for name in ["w", "other"] {
            assert_eq!(of(&supervisor, name).ended().await, reason);
        }
        assert!(reason.is_failure());
    });
}

#[test]
fn a_supervisor_that_gives_up_is_a_child_that_failed() {
    on_a_node(async |node, script| {
        let workers = at_once(Strategy::OneForOne)
            .intensity(1, 5 * SECOND)
            .child(child(&script, "a"))
            .child(child(&script, "b"));
        let supervisor = at_once(Strategy::OneForOne)
            .intensity(1, 60 * SECOND)
            .child(Child::supervisor("workers", workers))
            .child(child(&script, "beside"))
            .start(&node)
            .unwrap();
        let (a, b) = (work(&supervisor, "workers/a"), work(&supervisor, "workers/b"));
        assert_eq!(b.add(1).await.unwrap(), 1);
        assert_eq!(work(&supervisor, "beside").add(1).await.unwrap(), 1);
        for _ in 0..2 {
            a.panic().await.unwrap_err();
        }
        // The whole of the inner tree begins anew, with its ids.
        assert_eq!((a.add(1).await.unwrap(), b.add(1).await.unwrap()), (1, 1));
        for _ in 0..2 {
            a.panic().await.unwrap_err();
        }
        let reason = supervisor.ended().await;
        let StopReason::RestartsExhausted { child, failures: 2, last, .. } = reason else {
            panic!("{reason:?}")
        };
        assert_eq!(child, "workers");
        assert!(matches!(&*last, StopReason::RestartsExhausted { child, .. } if child == "a"), "{last:?}");
        assert_eq!(b.add(1).await.unwrap_err().kind(), FailureKind::Stopped);
    });
}

#[test]
fn while_a_backoff_lasts_calls_queue_and_their_deadlines_hold() {
    on_a_node(async |node, script| {
        let supervisor = Supervisor::new(Strategy::OneForOne)
            .backoff(10 * SECOND, 40 * SECOND)
            .intensity(5, 600 * SECOND)
            .child(child(&script, "w").mailbox(2))
            .start(&node)
            .unwrap();
        let client = work(&supervisor, "w");
        for full in [10, 20, 40, 40] {
            client.panic().timeout(100 * SECOND).await.unwrap_err();
            let began = Instant::now();
            let (impatient, patient) = (client.clone(), client.clone());
            let (impatient, patient) =
                tokio::join!(impatient.add(1).timeout(SECOND), patient.add(1).timeout(100 * SECOND));
            assert_eq!(impatient.unwrap_err().kind(), FailureKind::DeadlineExceeded);
            assert_eq!(patient.unwrap(), 1);
            let (paused, full) = (began.elapsed(), full * SECOND);
            assert!((full / 2..=full + SECOND / 100).contains(&paused), "{paused:?} of {full:?}");
        }
    });
}

/// A call is run by one run or the next, and by one only.
#[test]
fn a_restart_under_load_loses_no_queued_call_and_runs_none_twice() {
    on_each_path(async |fixture| {
        let ran = Arc::new(Mutex::new(BTreeMap::<u64, u32>::new()));
        #[actor_service]
        trait Count {
            async fn count(&mut self, n: u64);
            async fn panic(&mut self);
        }
        struct Counter(Arc<Mutex<BTreeMap<u64, u32>>>);
        #[actor_service]
        impl Count for Counter {
            async fn count(&mut self, n: u64) {
                tokio::task::yield_now().await;
                *self.0.lock().unwrap().entry(n).or_default() += 1;
            }

            async fn panic(&mut self) {
                panic!("under load");
            }
        }
        let counts = ran.clone();
        let _supervisor = at_once(Strategy::OneForOne)
            .intensity(100, SECOND)
            .child(Child::new("counter", move || Counter(counts.clone())).mailbox(16))
            .start(fixture.server.node())
            .unwrap();
        fixture.resolver.set("counter", [fixture.server.address()]);
        let client = CountClient::on(&fixture.node, &fixture.resolver, "counter");
        let calls = (0..200).map(|n| {
            let client = client.clone();
            async move {
                if n % 20 == 7 {
                    assert_eq!(client.panic().await.unwrap_err().kind(), FailureKind::Panicked);
                } else {
                    client.count(n).await.unwrap();
                }
            }
        });
        join_all(calls).await;
        let ran = ran.lock().unwrap();
        assert_eq!(ran.len(), 190);
        assert!(ran.values().all(|times| *times == 1), "{ran:?}");
    });
}

#[test]
fn a_factory_or_a_start_that_fails_counts_as_a_failure() {
    #[derive(Default)]
    struct Fragile(bool);
    #[actor_service]
    trait Nothing {
        async fn nothing(&self) -> bool;
    }
    impl Actor for Fragile {
        type Services = (NothingService,);
        async fn on_start(&mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
            if self.0 { Ok(()) } else { Err("not yet".into()) }
        }
    }
    #[actor_service(part)]
    impl Nothing for Fragile {
        async fn nothing(&self) -> bool {
            self.0
        }
    }
    on_a_node(async |node, _| {
        let made = Mutex::new(0);
        let make = move || {
            let mut made = made.lock().unwrap();
            *made += 1;
            match *made {
                1 => Fragile(false),
                2 => {
                    drop(made);
                    panic!("no parts")
                }
                _ => Fragile(true),
            }
        };
        let supervisor = at_once(Strategy::OneForOne).child(Child::new("f", make)).start(&node).unwrap();
        let fragile = of(&supervisor, "f");
        assert!(fragile.client::<NothingClient>().nothing().await.unwrap());
        fragile.started().await.unwrap();
    });
    on_a_node(async |node, _| {
        let never = || Fragile(false);
        let supervisor = at_once(Strategy::OneForOne)
            .intensity(3, SECOND)
            .child(Child::new("f", never))
            .start(&node)
            .unwrap();
        let StopReason::RestartsExhausted { failures: 4, last, .. } = supervisor.ended().await else {
            panic!("it gives up")
        };
        assert_eq!(*last, StopReason::StartFailed { message: "not yet".to_owned() });
    });
}

#[test]
fn a_sibling_whose_turn_does_not_end_in_time_is_cut_off_and_started_again() {
    on_a_node(async |node, script| {
        let supervisor = at_once(Strategy::OneForAll)
            .child(child(&script, "a"))
            .child(child(&script, "b"))
            .start(&node)
            .unwrap();
        let (a, b) = (work(&supervisor, "a"), work(&supervisor, "b"));
        let began = Instant::now();
        let strike = async {
            script.seen("long begins").await;
            a.panic().await.unwrap_err();
        };
        let long = b.clone();
        let (cut, ()) = tokio::join!(long.wait("long".into()), strike);
        let cut = cut.unwrap_err();
        assert_eq!((cut.kind(), cut.delivery()), (FailureKind::Stopped, Delivery::Unknown));
        assert_eq!(began.elapsed(), 5 * SECOND);
        assert_eq!(b.add(1).await.unwrap(), 1);
    });
}

#[test]
fn children_are_stopped_in_the_reverse_order_within_the_grace() {
    on_a_node(async |node, script| {
        let supervisor = at_once(Strategy::OneForOne)
            .child(child(&script, "a"))
            .child(child(&script, "b"))
            .start(&node)
            .unwrap();
        script.seen("b starts").await;
        assert_eq!(supervisor.stop(SECOND).await, StopReason::Stopped);
        let expected =
            ["a starts", "b starts", "b stops: its supervisor ended it", "a stops: its supervisor ended it"];
        assert_eq!(script.lines(), expected);
    });
    on_a_node(async |node, script| {
        let supervisor = at_once(Strategy::OneForOne)
            .child(child(&script, "a"))
            .child(child(&script, "b"))
            .start(&node)
            .unwrap();
        let began = Instant::now();
        let b = work(&supervisor, "b");
        let stop = async {
            script.seen("long begins").await;
            supervisor.stop(SECOND).await
        };
        let (_, reason) = tokio::join!(b.wait("long".into()), stop);
        assert_eq!((reason, began.elapsed()), (StopReason::Stopped, SECOND));
        assert_eq!(of(&supervisor, "b").ended().await, StopReason::Killed);
    });
}

#[test]
fn a_shutdown_ends_supervised_actors_also_those_that_wait_to_be_started_again() {
    on_each_path(async |fixture| {
        let supervisor = Supervisor::new(Strategy::OneForOne)
            .backoff(60 * SECOND, 60 * SECOND)
            .child(child(&fixture.script, "down"))
            .child(child(&fixture.script, "up"))
            .start(fixture.server.node())
            .unwrap();
        work(&supervisor, "down").panic().await.unwrap_err();
        fixture.settle().await;
        let down = work(&supervisor, "down");
        let shutdown = async {
            // The call is in the queue by then.
            fixture.settle().await;
            fixture.server.shutdown(SECOND).await
        };
        let (queued, shutdown) = tokio::join!(down.add(1), shutdown);
        shutdown.unwrap();
        let queued = queued.unwrap_err();
        assert_eq!((queued.kind(), queued.delivery()), (FailureKind::Stopped, Delivery::NotDelivered));
        assert_eq!(of(&supervisor, "up").ended().await, StopReason::Shutdown);
        assert_eq!(of(&supervisor, "down").ended().await, StopReason::Shutdown);
        assert!(fixture.server.node().actors().actors.iter().all(|actor| actor.state.is_none()));
        supervisor.kill().await;
    });
}

/// The bound of a stop is kept also while a restart waits for a turn.
#[test]
fn a_stop_in_the_middle_of_a_restart_keeps_its_grace() {
    on_a_node(async |node, script| {
        let supervisor = at_once(Strategy::OneForAll)
            .child(child(&script, "a"))
            .child(child(&script, "b"))
            .start(&node)
            .unwrap();
        let (a, b) = (work(&supervisor, "a"), work(&supervisor, "b"));
        let began = Instant::now();
        let stop = async {
            script.seen("long begins").await;
            a.panic().await.unwrap_err();
            settle().await;
            supervisor.stop(SECOND).await
        };
        let (_, reason) = tokio::join!(b.wait("long".into()), stop);
        assert_eq!(reason, StopReason::Stopped);
        assert!(began.elapsed() <= SECOND + SECOND / 100, "{:?}", began.elapsed());
    });
}

/// The tree is data, and text.
#[test]
fn the_tree_of_a_node_says_who_looks_after_whom_and_what_failed() {
    on_a_node(async |node, script| {
        let inner = at_once(Strategy::RestForOne).child(child(&script, "inner"));
        let supervisor = at_once(Strategy::OneForOne)
            .child(child(&script, "w"))
            .child(Child::supervisor("team", inner))
            .start(&node)
            .unwrap();
        node.actor("alone", Worker::new(&script)).start().unwrap();
        settle().await;
        work(&supervisor, "w").panic().await.unwrap_err();
        settle().await;
        work(&supervisor, "w").add(1).await.unwrap();
        settle().await;
        let tree = node.actors();
        let w = tree.actor("w").unwrap();
        assert_eq!((w.restarts, w.id), (1, of(&supervisor, "w").id()));
        assert!(matches!(w.last_failure, Some(StopReason::Panicked { .. })));
        let team = tree.actor("supervisor team").unwrap();
        assert_eq!(tree.actor("inner").unwrap().parent, Some(team.id));
        let caller = node.id();
        assert_eq!(
            tree.to_string(),
            format!(
                "supervisor #1, one for one, 1 restart\n  \
               w: idle, 2 turns (1 failed), restarted 1 time, the last time because a handler panicked in Work/panic: a worker\n    \
                 ! run 0 ended by Work/panic, called by node {caller}: a worker\n  \
               supervisor team, rest for one, 0 restarts\n    \
                 inner: idle\n\
             alone: idle\n"
            )
        );
        supervisor.stop(SECOND).await;
        assert_eq!(node.actors().actors.len(), 1);
    });
}

/// What happens to a child of the model.
#[derive(Clone, Copy, Debug)]
enum Act {
    Panic(usize),
    /// It stops itself.
    Finish(usize),
    /// Its handle stops it.
    Stop(usize),
    Pass(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Permanent,
    Transient,
    Temporary,
}

/// A supervisor in a few lines: how often each child was started, which have ended, and whether it gave up.
struct Model {
    strategy: Strategy,
    allowed: usize,
    within: u64,
    kinds: Vec<Kind>,
    starts: Vec<usize>,
    over: Vec<bool>,
    restarts: Vec<u64>,
    gave_up: bool,
}

impl Model {
    fn act(&mut self, act: Act, now: u64) {
        match act {
            Act::Pass(_) => {}
            Act::Stop(child) => self.over[child] = true,
            Act::Panic(child) if !self.over[child] => match self.kinds[child] {
                Kind::Temporary => self.over[child] = true,
                Kind::Permanent | Kind::Transient => self.restart(child, now),
            },
            Act::Finish(child) if !self.over[child] => match self.kinds[child] {
                Kind::Permanent => self.restart(child, now),
                Kind::Temporary | Kind::Transient => self.over[child] = true,
            },
            Act::Panic(_) | Act::Finish(_) => {}
        }
    }

    fn restart(&mut self, child: usize, now: u64) {
        self.restarts.retain(|at| now - at < self.within);
        if self.restarts.len() == self.allowed {
            self.gave_up = true;
            self.over.fill(true);
            return;
        }
        self.restarts.push(now);
        let all = 0..self.kinds.len();
        for other in all {
            let affected = match self.strategy {
                Strategy::OneForOne => other == child,
                Strategy::OneForAll => true,
                Strategy::RestForOne => other >= child,
            };
            if !affected || self.over[other] {
                continue;
            }
            if self.kinds[other] == Kind::Temporary {
                self.over[other] = true;
            } else {
                self.starts[other] += 1;
            }
        }
    }
}

fn acts() -> impl Generate<Value = (Strategy, usize, Vec<Kind>, Vec<Act>)> {
    let strategy =
        prop_oneof![Just(Strategy::OneForOne), Just(Strategy::OneForAll), Just(Strategy::RestForOne)];
    let kind =
        prop_oneof![3 => Just(Kind::Permanent), 2 => Just(Kind::Transient), 1 => Just(Kind::Temporary)];
    let act = prop_oneof![
        4 => (0..4_usize).prop_map(Act::Panic),
        2 => (0..4_usize).prop_map(Act::Finish),
        1 => (0..4_usize).prop_map(Act::Stop),
        4 => (1..3000_u64).prop_map(Act::Pass),
    ];
    (strategy, 0..4_usize, prop::collection::vec(kind, 4), prop::collection::vec(act, 1..25))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn supervision_does_what_its_model_does((strategy, allowed, kinds, acts) in acts()) {
        on_a_node(async |node, script| {
            let within = 5000;
            let names = ["a", "b", "c", "d"];
            let mut supervisor =
                at_once(strategy).intensity(allowed as u32, Duration::from_millis(within));
            for (name, kind) in names.into_iter().zip(&kinds) {
                let child = child(&script, name);
                supervisor = supervisor.child(match kind {
                    Kind::Permanent => child.permanent(),
                    Kind::Transient => child.transient(),
                    Kind::Temporary => child.temporary(),
                });
            }
            let supervisor = supervisor.start(&node).unwrap();
            let mut model = Model {
                strategy, allowed, within, kinds: kinds.clone(), starts: vec![1; 4], over: vec![false; 4],
                restarts: Vec::new(), gave_up: false,
            };
            settle().await;
            let mut now = 0;
            for act in &acts {
                match *act {
                    Act::Panic(child) => drop(work(&supervisor, names[child]).panic().await),
                    Act::Finish(child) => drop(work(&supervisor, names[child]).finish().await),
                    Act::Stop(child) => drop(of(&supervisor, names[child]).stop(SECOND).await),
                    Act::Pass(millis) => {
                        tokio::time::sleep(Duration::from_millis(millis)).await;
                        now += millis;
                    }
                }
                model.act(*act, now);
                settle().await;
                now += 1;
                let (lines, tree) = (script.lines(), node.actors());
                for (at, name) in names.into_iter().enumerate() {
                    let starts = lines.iter().filter(|line| **line == format!("{name} starts")).count();
                    assert_eq!(starts, model.starts[at], "{name} after {act:?}, of {acts:?}");
                    let generation = tree.actor(name).map(|actor| actor.restarts);
                    let expected = (!model.over[at]).then(|| model.starts[at] as u64 - 1);
                    assert_eq!(generation, expected, "{name} after {act:?}, of {acts:?}");
                    let mut ended = Box::pin(of(&supervisor, name).ended());
                    let over = futures::poll!(&mut ended).is_ready();
                    assert_eq!(over, model.over[at], "{name} after {act:?}, of {acts:?}");
                }
                let mut ended = Box::pin(supervisor.ended());
                let over = futures::poll!(&mut ended);
                assert_eq!(over.is_ready(), model.over.iter().all(|over| *over));
                if let std::task::Poll::Ready(reason) = over {
                    let gave_up = matches!(reason, StopReason::RestartsExhausted { .. });
                    assert_eq!(gave_up, model.gave_up, "{reason:?}");
                }
            }
        });
    }
}
