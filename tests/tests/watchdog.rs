//! Handlers that make no progress are named while they do. A program of its own: it counts the threads of its process, and has
//! its log for itself.

#![expect(clippy::disallowed_methods, reason = "threads block here, and that takes real time")]
#![allow(clippy::unwrap_used, reason = "an actor of a test may panic as the test may")]

use std::{
    error::Error,
    future::pending,
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use actor_runtime::{Config, Stuck, StuckTurn, prelude::*};
use tests::logged;
use tokio::runtime::{Builder, Runtime};

#[actor_service]
trait Hand {
    /// Blocks its thread until the test says otherwise.
    async fn block(&mut self);
    /// Likewise, and others may overlap it.
    async fn block_beside(&self);
    /// Never ends.
    async fn wait(&mut self);
    async fn wait_beside(&self);
    #[oneway]
    async fn wait_alone(&mut self);
    async fn short(&mut self);
    /// Computes for so many milliseconds, and lets others go on in between.
    async fn work(&mut self, millis: u64);
}

struct Worker {
    go_on: Mutex<mpsc::Receiver<()>>,
    blocks_at_start: bool,
}

impl Worker {
    fn new() -> (Self, mpsc::Sender<()>) {
        let (release, go_on) = mpsc::channel();
        (Self { go_on: Mutex::new(go_on), blocks_at_start: false }, release)
    }

    fn hold(&self) {
        // Also if the test has failed and is gone.
        let _ = self.go_on.lock().unwrap_or_else(PoisonError::into_inner).recv();
    }
}

impl Actor for Worker {
    type Services = (HandService,);

    async fn on_start(&mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        if self.blocks_at_start {
            self.hold();
        }
        Ok(())
    }
}

#[actor_service(part)]
impl Hand for Worker {
    async fn block(&mut self) {
        // Not in its first poll.
        tokio::task::yield_now().await;
        self.hold();
    }

    async fn block_beside(&self) {
        self.hold();
    }

    async fn wait(&mut self) {
        pending::<()>().await;
    }

    async fn wait_beside(&self) {
        pending::<()>().await;
    }

    async fn wait_alone(&mut self) {
        pending::<()>().await;
    }

    async fn short(&mut self) {
        thread::sleep(Duration::from_millis(2));
    }

    async fn work(&mut self, millis: u64) {
        let until = Instant::now() + Duration::from_millis(millis);
        while Instant::now() < until {
            thread::sleep(Duration::from_millis(2));
            tokio::task::yield_now().await;
        }
    }
}

/// One test at a time: each has the process for itself.
fn alone() -> MutexGuard<'static, ()> {
    static TESTS: Mutex<()> = Mutex::new(());
    logged::start();
    TESTS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn two_workers() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn node(runtime: &Runtime, stuck_after: u64) -> Node {
    let _inside = runtime.enter();
    let stuck_after = Some(Duration::from_millis(stuck_after));
    Node::builder().config(Config { stuck_after, ..Config::default() }).build().unwrap()
}

/// Waits until so many turns are named, with their methods in order.
fn named(node: &Node, count: usize) -> Vec<StuckTurn> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let mut stuck = node.stuck();
        if stuck.len() == count {
            stuck.sort_by(|a, b| a.method.cmp(&b.method));
            return stuck;
        }
        assert!(Instant::now() < until, "{count} are to be stuck, and these are: {stuck:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn handlers_that_block_every_worker_are_named_while_they_do() {
    let _alone = alone();
    let runtime = two_workers();
    let node = node(&runtime, 200);
    let mut releases = Vec::new();
    let mut calls = Vec::new();
    for name in ["left", "right"] {
        let (worker, release) = Worker::new();
        let worker = node.actor(name, worker).start().unwrap();
        let call = worker.client::<HandClient>().block();
        calls.push(runtime.spawn(call));
        releases.push(release);
    }
    let stuck = named(&node, 2);
    for turn in &stuck {
        assert_eq!((turn.how, &*turn.method), (Stuck::Blocked, "Hand/block"));
        assert!(turn.lasting >= Duration::from_millis(200), "{turn}");
        let lines = logged::lines(&["a handler blocks its thread", &format!("id={}", turn.actor)]);
        assert!(lines[0].contains("WARN") && lines[0].contains("Node::spawn_blocking"), "{lines:?}");
    }
    let mut names: Vec<_> = stuck.iter().map(|turn| &*turn.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["left", "right"]);
    // Named again when it has lasted twice as long, and not at every look.
    thread::sleep(Duration::from_millis(700));
    let warned = logged::lines(&["WARN", "actor=left", "a handler blocks its thread"]).len();
    assert!((2..=3).contains(&warned), "{warned} warnings in 0.9 s, where one is due at 0.2, 0.4 and 0.8 s");
    releases.iter().for_each(|release| release.send(()).unwrap());
    named(&node, 0);
    assert_eq!(logged::lines(&["INFO", "actor=left", "no longer: a handler blocks its thread"]).len(), 1);
    calls.into_iter().for_each(|call| runtime.block_on(call).unwrap().unwrap());
}

#[test]
fn the_turn_that_blocks_is_told_from_those_beside_it_and_hooks_are_named_too() {
    let _alone = alone();
    let runtime = two_workers();
    for tasks in [None, Some(2)] {
        let node = node(&runtime, 100);
        let (worker, release) = Worker::new();
        let worker = match tasks {
            None => node.actor("hand", worker).start().unwrap(),
            Some(tasks) => node.actor("hand", worker).parallel(tasks).start().unwrap(),
        };
        let (waiting, blocked) =
            (worker.client::<HandClient>().wait_beside(), worker.client::<HandClient>().block_beside());
        let waiting = runtime.spawn(waiting);
        thread::sleep(Duration::from_millis(20));
        let blocked = runtime.spawn(blocked);
        let stuck = named(&node, 1);
        assert_eq!((stuck[0].how, &*stuck[0].method), (Stuck::Blocked, "Hand/block_beside"), "{tasks:?}");
        release.send(()).unwrap();
        runtime.block_on(blocked).unwrap().unwrap();
        waiting.abort();
    }
    let node = node(&runtime, 100);
    let (worker, release) = Worker::new();
    let worker = node.actor("late", Worker { blocks_at_start: true, ..worker }).start().unwrap();
    let stuck = named(&node, 1);
    assert_eq!(
        stuck[0].to_string().split(" since").next().unwrap(),
        format!("late ({}): on_start blocks its thread", worker.id())
    );
    release.send(()).unwrap();
    runtime.block_on(worker.started()).unwrap();
}

#[test]
fn a_handler_that_waits_is_named_once_nobody_waits_for_it() {
    let _alone = alone();
    let runtime = two_workers();
    let node = node(&runtime, 200);
    let hand = |name: &str| {
        let (worker, release) = Worker::new();
        drop(release);
        node.actor(name, worker).start().unwrap().client::<HandClient>()
    };
    runtime.block_on(async {
        let in_time = hand("in time").wait();
        let in_time = tokio::spawn(in_time);
        hand("in nobody's way").wait_alone().await.unwrap();
        let way = hand("in the way");
        way.wait_alone().await.unwrap();
        let queued = way.short();
        let queued = tokio::spawn(queued);
        let late = hand("late").wait().timeout(Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(late.kind(), FailureKind::DeadlineExceeded);
        let stuck = named(&node, 2);
        assert_eq!((stuck[0].how, &*stuck[0].name), (Stuck::Waiting, "late"));
        assert_eq!((stuck[1].how, &*stuck[1].method), (Stuck::Waiting, "Hand/wait_alone"));
        assert_eq!(stuck[1].name, "in the way");
        let told = logged::lines(&["WARN", "actor=late", "waits, and nothing wakes it", "#[cancel_safe]"]);
        assert_eq!(told.len(), 1, "{told:?}");
        in_time.abort();
        queued.abort();
    });
}

#[test]
fn an_actor_that_makes_progress_is_not_named() {
    let _alone = alone();
    let runtime = two_workers();
    let node = node(&runtime, 400);
    let hand = || {
        let (worker, _) = Worker::new();
        node.unnamed_actor(worker).start().unwrap().client::<HandClient>()
    };
    runtime.block_on(async {
        let (steps, turns) = (hand().work(1_200), hand());
        let steps = tokio::spawn(steps);
        while !steps.is_finished() {
            turns.short().await.unwrap();
            assert_eq!(node.stuck(), []);
        }
        steps.await.unwrap().unwrap();
    });
}

#[test]
fn time_that_a_test_lets_pass_names_nobody() {
    let _alone = alone();
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let node = node(&runtime, 2_000);
    let (worker, _release) = Worker::new();
    let hand = node.actor("paused", worker).start().unwrap().client::<HandClient>();
    runtime.block_on(async {
        hand.wait().timeout(Duration::from_secs(1)).await.unwrap_err();
        tokio::time::sleep(Duration::from_secs(3_600)).await;
    });
    // It is looked at in between, too.
    thread::sleep(Duration::from_millis(700));
    assert_eq!(node.stuck(), []);
    assert_eq!(logged::lines(&["actor=paused"]).len(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn there_is_one_thread_as_long_as_there_are_nodes_to_look_at() {
    let _alone = alone();
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
        let names = tasks.map(|task| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default());
        names.filter(|name| name.trim_end() == "actor-watchdog").count()
    };
    let ends = |wanted: usize| {
        let until = Instant::now() + Duration::from_secs(10);
        while threads() != wanted {
            assert!(Instant::now() < until, "{} threads of the watchdog, not {wanted}", threads());
            thread::sleep(Duration::from_millis(5));
        }
    };
    ends(0);
    let runtime = two_workers();
    let start = |node: &Node| drop(node.unnamed_actor(Worker::new().0).start().unwrap());
    for _ in 0..2 {
        let (one, other, idle) = (node(&runtime, 200), node(&runtime, 60_000), node(&runtime, 200));
        let unwatched = {
            let _inside = runtime.enter();
            Node::builder().config(Config { stuck_after: None, ..Config::default() }).build().unwrap()
        };
        start(&unwatched);
        assert_eq!(threads(), 0, "nobody has asked for it");
        start(&one);
        start(&other);
        ends(1);
        drop((one, idle));
        thread::sleep(Duration::from_millis(50));
        assert_eq!(threads(), 1, "there is another node");
        drop(other);
        ends(0);
    }
}
