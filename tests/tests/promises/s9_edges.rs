//! S9 at its edges: times without a bound, ends while nobody runs, what is left behind, and code of users where nobody
//! expects it.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test measures time, and fails where nothing is"
)]

use std::{
    error::Error,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::Duration,
};

use actor_runtime::{
    ActorHandle, BoxFuture, BoxStream, Config, FixedResolver, LocalCalls, Monitor, Namespace, Node,
    NodeBuilder, ResolveError, ResolveResult, Resolver, StopReason, TimerError, Timers,
    prelude::*,
    supervise::{Child, ChildBuilder, Strategy, Supervisor, SupervisorHandle},
};
use futures::FutureExt;
use tests::{Path, Script, on_each_path, runtime};
use tokio::time::Instant;

#[actor_service]
trait Life {
    async fn turn(&mut self, name: String) -> String;
    async fn add(&mut self, n: u64) -> u64;
    #[dedup]
    async fn once(&mut self) -> u64;
    async fn panic(&mut self);
    /// Shows the actor's timers to the test.
    async fn open(&self);
    /// Has a task answer, which never does.
    async fn never(&mut self, reply: ReplyTo<u64>);
    /// Starts a child.
    async fn bear(&mut self) -> bool;
    /// Gives its own name to another actor, and waits for what there is to wait for.
    async fn replace_itself(&mut self) -> bool;
}

#[derive(Clone)]
struct Being {
    script: Script,
    total: u64,
    timers: Arc<Mutex<Option<Timers>>>,
}

impl Being {
    fn new(script: &Script) -> Self {
        Self { script: script.clone(), total: 0, timers: Arc::default() }
    }
}

/// Its hooks wait, if only for a moment.
impl Actor for Being {
    type Services = (LifeService,);

    async fn on_start(&mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn on_stop(&mut self, _: &StopReason) {
        tokio::task::yield_now().await;
    }
}

#[actor_service(part)]
impl Life for Being {
    async fn turn(&mut self, name: String) -> String {
        self.script.act(&name).await;
        name
    }

    async fn add(&mut self, n: u64) -> u64 {
        self.total += n;
        self.total
    }

    async fn once(&mut self) -> u64 {
        self.total
    }

    async fn panic(&mut self) {
        panic!("a turn");
    }

    async fn open(&self) {
        *self.timers.lock().unwrap() = current_ctx().ok().map(|ctx| ctx.timers());
    }

    async fn never(&mut self, reply: ReplyTo<u64>) {
        if let Ok(ctx) = current_ctx() {
            ctx.spawn(async move {
                std::future::pending::<()>().await;
                drop(reply);
            });
        }
    }

    async fn bear(&mut self) -> bool {
        current_ctx().is_ok_and(|ctx| ctx.unnamed_actor(self.clone()).start().is_ok())
    }

    async fn replace_itself(&mut self) -> bool {
        let Ok(ctx) = current_ctx() else { return false };
        let next = Self { total: 100, ..self.clone() };
        ctx.node().actor(ctx.actor_name(), next).replace().await.is_ok()
    }
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn on_a_node_with(configure: impl FnOnce(NodeBuilder) -> NodeBuilder, test: impl AsyncFn(Node, Script)) {
    runtime(Path::Direct).block_on(async {
        let builder = Node::builder().local_calls(LocalCalls::Direct).seed(1);
        let test = test(configure(builder).build().unwrap(), Script::default());
        tokio::time::timeout(24 * HOUR, test).await.expect("it ends");
    });
}

fn on_a_node(test: impl AsyncFn(Node, Script)) {
    on_a_node_with(|builder| builder, test);
}

fn child(script: &Script, name: &str) -> ChildBuilder<Being> {
    let script = script.clone();
    Child::new(name, move || Being::new(&script))
}

fn after(pause: Duration) -> Supervisor {
    Supervisor::new(Strategy::OneForOne).backoff(pause, pause)
}

fn life(supervisor: &SupervisorHandle, name: &str) -> LifeClient {
    of(supervisor, name).client()
}

fn of(supervisor: &SupervisorHandle, name: &str) -> ActorHandle {
    supervisor.child(name).unwrap()
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// The longest time there is means that there is no bound.
#[test]
fn times_that_no_clock_can_tell_are_no_bound() {
    let endless = |builder: NodeBuilder| {
        let (long, defaults) = (Duration::MAX, Config::default());
        builder.local_calls(LocalCalls::Encoded).config(Config {
            default_timeout: long,
            start_timeout: long,
            stop_timeout: long,
            dedup_age: long,
            ..defaults
        })
    };
    on_a_node_with(endless, async |node, script| {
        let server = ActorServer::bind_on(&node, "loopback:0").await.unwrap();
        let being = server.registration("being", Being::new(&script)).start().unwrap();
        assert_eq!(being.started().await, Ok(()));
        let client = LifeClient::on(&node, &server.resolver(), "being");
        assert_eq!(client.add(1).await.unwrap(), 1);
        for _ in 0..3 {
            assert_eq!(client.once().await.unwrap(), 1);
        }
        let monitor = Monitor::begin(&client).await;
        assert!(client.bear().await.unwrap());
        assert_eq!(being.stop(Duration::MAX).await, StopReason::Stopped);
        assert!(!monitor.await.reason.is_failure());
        let other = server.registration("other", Being::new(&script)).start().unwrap();
        assert_eq!(other.stop_now().await, StopReason::Stopped);
        server.shutdown(Duration::MAX).await.unwrap();
    });
}

#[test]
fn a_pause_that_no_clock_can_tell_is_not_none() {
    on_a_node(async |node, script| {
        for (first, longest) in [(Duration::MAX, Duration::MAX), (HOUR, Duration::MAX)] {
            let supervisor = Supervisor::new(Strategy::OneForOne)
                .backoff(first, longest)
                .intensity(u32::MAX, Duration::MAX)
                .child(child(&script, "w"))
                .start(&node)
                .unwrap();
            let client = life(&supervisor, "w");
            client.panic().await.unwrap_err();
            let failure = client.add(1).timeout(SECOND).await.unwrap_err();
            assert_eq!(failure.kind(), FailureKind::DeadlineExceeded, "{failure}");
            assert_eq!(supervisor.stop(Duration::MAX).await, StopReason::Stopped);
        }
    });
}

/// Those that rest have nothing to wait for, whatever the others do.
#[test]
fn who_waits_to_be_started_again_ends_at_once_when_the_supervisor_is_stopped() {
    on_a_node(async |node, script| {
        let inner = after(HOUR).child(child(&script, "c"));
        let supervisor = after(HOUR)
            .child(child(&script, "a"))
            .child(Child::supervisor("inner", inner))
            .child(child(&script, "b"))
            .start(&node)
            .unwrap();
        let (a, b, c) = (life(&supervisor, "a"), life(&supervisor, "b"), life(&supervisor, "inner/c"));
        a.panic().await.unwrap_err();
        c.panic().await.unwrap_err();
        let stops = async {
            script.seen("b begins").await;
            let stopped = supervisor.stop(10 * SECOND);
            settle().await;
            let began = Instant::now();
            of(&supervisor, "a").ended().await;
            assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
            script.open("b");
            assert_eq!(stopped.await, StopReason::Stopped);
            assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
        };
        let (queued, running, ()) = tokio::join!(a.add(1), b.turn("b".to_owned()), stops);
        assert_eq!(queued.unwrap_err().delivery(), Delivery::NotDelivered);
        assert_eq!(running.unwrap(), "b");
    });
}

/// Also if those that are looked after have ended while they wait to be started again.
#[test]
fn a_supervisor_ends_with_the_last_of_its_children_not_with_their_pauses() {
    on_a_node(async |node, script| {
        let inner = after(HOUR).child(child(&script, "c"));
        let supervisor = after(HOUR)
            .child(child(&script, "a"))
            .child(Child::supervisor("inner", inner))
            .start(&node)
            .unwrap();
        for name in ["a", "inner/c"] {
            life(&supervisor, name).panic().await.unwrap_err();
        }
        settle().await;
        let began = Instant::now();
        for name in ["a", "inner/c"] {
            assert_eq!(of(&supervisor, name).kill().await, StopReason::Killed);
        }
        assert_eq!(supervisor.ended().await, StopReason::Finished);
        assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
    });
}

/// A run that nobody wants is not made, and what it would do in its `Drop` hits nobody else.
#[test]
fn who_was_stopped_while_it_waits_to_be_started_again_is_not_made_again() {
    on_a_node(async |node, script| {
        let made = Arc::new(AtomicU32::new(0));
        let (counts, makes) = (made.clone(), script.clone());
        let make = move || {
            counts.fetch_add(1, Ordering::Relaxed);
            Being::new(&makes)
        };
        let supervisor =
            after(SECOND).child(Child::new("a", make)).child(child(&script, "b")).start(&node).unwrap();
        life(&supervisor, "a").panic().await.unwrap_err();
        settle().await;
        assert_eq!(of(&supervisor, "a").stop(SECOND).await, StopReason::Stopped);
        tokio::time::sleep(10 * SECOND).await;
        assert_eq!(made.load(Ordering::Relaxed), 1);
        assert_eq!(life(&supervisor, "b").add(1).await.unwrap(), 1);
        supervisor.stop(SECOND).await;
    });
}

/// What it makes clients of belongs there.
#[test]
fn a_factory_is_code_of_its_node() {
    on_a_node(async |node, script| {
        let _another = Node::builder().build().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sees = |script: &Script| {
            let (seen, script) = (seen.clone(), script.clone());
            move || {
                seen.lock()
                    .unwrap()
                    .push(Node::current().map(|node| node.id()).map_err(|error| error.kind()));
                Being::new(&script)
            }
        };
        let inner = after(SECOND).child(Child::new("b", sees(&script)));
        let supervisor = after(SECOND)
            .child(Child::new("a", sees(&script)))
            .child(Child::supervisor("inner", inner))
            .start(&node)
            .unwrap();
        life(&supervisor, "inner/b").panic().await.unwrap_err();
        assert_eq!(life(&supervisor, "inner/b").add(1).await.unwrap(), 1);
        assert_eq!(*seen.lock().unwrap(), [Ok(node.id()), Ok(node.id()), Ok(node.id())]);
        supervisor.stop(SECOND).await;
    });
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("what a factory holds");
    }
}

#[test]
fn a_factory_that_panics_in_its_drop_does_not_hide_how_its_supervisor_ended() {
    on_a_node(async |node, script| {
        let holds = |script: &Script| {
            let (script, held) = (script.clone(), PanicsInDrop);
            move || {
                let _held = &held;
                Being::new(&script)
            }
        };
        let inner = after(SECOND).child(Child::new("c", holds(&script)));
        let supervisor = after(SECOND)
            .child(Child::new("a", holds(&script)))
            .child(Child::supervisor("inner", inner))
            .start(&node)
            .unwrap();
        assert_eq!(life(&supervisor, "a").add(1).await.unwrap(), 1);
        assert_eq!(supervisor.stop(SECOND).await, StopReason::Stopped);
    });
}

/// Of the whole tree, or of nothing.
#[test]
fn a_supervisor_that_does_not_start_leaves_nothing_behind() {
    on_a_node(async |node, script| {
        let alive = Arc::new(());
        node.extend(alive.clone());
        let server = ActorServer::bind_on(&node, "loopback:0").await.unwrap();
        let inner = after(SECOND).child(child(&script, "c").temporary());
        let refused = after(SECOND)
            .child(child(&script, "a").temporary())
            .child(child(&script, "b"))
            .child(Child::supervisor("inner", inner))
            .child(child(&script, "a"))
            .start(&node);
        assert!(refused.is_err());
        settle().await;
        assert!(node.actors().actors.is_empty(), "{}", node.actors());
        let began = Instant::now();
        server.shutdown(HOUR).await.unwrap();
        assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
        drop((server, node));
        settle().await;
        assert_eq!(Arc::strong_count(&alive), 1, "the node is gone");
    });
}

/// Nothing of a node outlives what the program has of it, its actors and their tasks included.
#[test]
fn a_node_that_is_dropped_is_gone() {
    let without = |start: &dyn Fn(&Node, &Script) -> Option<LifeClient>| {
        runtime(Path::Direct).block_on(async {
            let (alive, script) = (Arc::new(()), Script::default());
            let node = Node::builder().build().unwrap();
            node.extend(alive.clone());
            if let Some(client) = start(&node, &script) {
                client.panic().await.unwrap_err();
            }
            settle().await;
            drop(node);
            settle().await;
            Arc::strong_count(&alive) - 1
        })
    };
    let mut left = Vec::new();
    left.push(("nothing", without(&|_, _| None)));
    left.push((
        "unnamed",
        without(&|node, script| {
            node.unnamed_actor(Being::new(script)).start().unwrap();
            None
        }),
    ));
    left.push((
        "named",
        without(&|node, script| {
            node.actor("being", Being::new(script)).start().unwrap();
            None
        }),
    ));
    left.push((
        "ended",
        without(&|node, script| Some(node.actor("being", Being::new(script)).start().unwrap().client())),
    ));
    left.push((
        "resting",
        without(&|node, script| {
            let supervisor = after(HOUR).child(child(script, "w")).start(node).unwrap();
            Some(life(&supervisor, "w"))
        }),
    ));
    left.retain(|(_, left)| *left > 0);
    assert!(left.is_empty(), "{left:?}");
}

/// T3: when the actor ends its timers are gone, also if it had no run.
#[test]
fn an_actor_that_ends_between_two_runs_has_no_timers() {
    on_a_node(async |node, script| {
        for end in [
            (|handle| drop(handle.stop(SECOND))) as fn(&ActorHandle),
            |handle| drop(handle.stop_now()),
            |handle| drop(handle.kill()),
        ] {
            let being = Being::new(&script);
            let shown = being.timers.clone();
            let supervisor = after(HOUR).child(Child::new("w", move || being.clone())).start(&node).unwrap();
            let client = life(&supervisor, "w");
            client.open().await.unwrap();
            let timers = shown.lock().unwrap().take().unwrap();
            client.panic().await.unwrap_err();
            settle().await;
            timers.once(7, HOUR).unwrap();
            end(&of(&supervisor, "w"));
            of(&supervisor, "w").ended().await;
            assert_eq!(timers.len(), 0);
            assert_eq!(timers.once(8, SECOND), Err(TimerError::Stopped));
        }
    });
}

/// What is told of a run that was cut off for its sibling is that, and not that its runtime went away.
#[test]
fn who_is_cut_off_for_a_sibling_was_restarted() {
    on_a_node(async |node, script| {
        let supervisor = Supervisor::new(Strategy::OneForAll)
            .backoff(Duration::ZERO, Duration::ZERO)
            .child(child(&script, "a"))
            .child(child(&script, "b"))
            .start(&node)
            .unwrap();
        let (a, b) = (life(&supervisor, "a"), life(&supervisor, "b"));
        let fails = async {
            script.seen("stuck begins").await;
            a.panic().await.unwrap_err();
        };
        let (stuck, ()) = tokio::join!(b.turn("stuck".to_owned()), fails);
        assert_eq!(stuck.unwrap_err().detail(), StopReason::Restarted.to_string());
        assert_eq!(b.add(1).await.unwrap(), 1);
        assert_eq!(node.actors().actor("b").unwrap().last_failure, Some(StopReason::Restarted));
    });
}

/// A pause is one child's, and another one's failure does not cut it short.
#[test]
fn who_fails_in_front_of_one_that_waits_does_not_start_it_sooner() {
    on_a_node(async |node, script| {
        let supervisor = Supervisor::new(Strategy::RestForOne)
            .backoff(SECOND, HOUR)
            .intensity(20, HOUR)
            .child(child(&script, "a"))
            .child(child(&script, "b"))
            .start(&node)
            .unwrap();
        let (a, b) = (life(&supervisor, "a"), life(&supervisor, "b"));
        for _ in 0..6 {
            b.panic().timeout(HOUR).await.unwrap_err();
        }
        let began = Instant::now();
        a.panic().await.unwrap_err();
        assert_eq!(a.add(1).await.unwrap(), 1);
        assert!(began.elapsed() <= SECOND + SECOND / 100, "{:?}", began.elapsed());
        assert_eq!(b.add(1).timeout(HOUR).await.unwrap(), 1);
        assert!(began.elapsed() >= 16 * SECOND, "the half of 32 s: {:?}", began.elapsed());
        supervisor.stop(SECOND).await;
    });
}

/// What nobody waits for is not waited for.
#[test]
fn an_actor_does_not_wait_for_tasks_whose_callers_have_left() {
    on_each_path(async |fixture| {
        for leaves in [false, true] {
            fixture.register("being", Being::new(&fixture.script));
            let client = LifeClient::on(&fixture.node, &fixture.resolver, "being");
            if leaves {
                let call = client.never().no_timeout();
                let left = tokio::time::timeout(SECOND, call).await;
                assert!(left.is_err());
            } else {
                let failure = client.never().timeout(SECOND).await.unwrap_err();
                assert_eq!(failure.kind(), FailureKind::DeadlineExceeded);
            }
            let ended = fixture.server.unregister("being");
            assert!(tokio::time::timeout(SECOND, ended).await.expect("it ends"));
        }
    });
}

/// S12: whoever has the name of a supervised actor taken from it means that actor: it is not started again.
#[test]
fn a_supervised_actor_that_is_replaced_is_not_started_again() {
    on_each_path(async |fixture| {
        for resting in [false, true] {
            let (node, script) = (fixture.server.node(), &fixture.script);
            let supervisor = Supervisor::new(Strategy::OneForAll)
                .backoff(SECOND, SECOND)
                .child(child(script, "w"))
                .child(child(script, "beside"))
                .start(node)
                .unwrap();
            fixture.resolver.set("w", [fixture.server.address()]);
            let client = LifeClient::on(&fixture.node, &fixture.resolver, "w");
            let pinned = client.pinned().await.unwrap();
            if resting {
                client.panic().await.unwrap_err();
                fixture.settle().await;
            }
            let next = Being { total: 100, ..Being::new(script) };
            let began = Instant::now();
            let new = fixture.server.registration("w", next).replace().await.unwrap();
            assert!(began.elapsed() < SECOND / 2, "{:?}", began.elapsed());
            assert_eq!(client.add(1).await.unwrap(), 101);
            assert_eq!(pinned.add(1).await.unwrap_err().kind(), FailureKind::Stale);
            let old = of(&supervisor, "w");
            assert_eq!(old.ended().await, StopReason::Replaced { by: new });
            // Its sibling fails, and it alone begins anew.
            let beside = life(&supervisor, "beside");
            beside.panic().await.unwrap_err();
            assert_eq!(beside.add(1).await.unwrap(), 1);
            assert_eq!(client.add(1).await.unwrap(), 102);
            assert_eq!(supervisor.stop(SECOND).await, StopReason::Stopped);
            assert!(fixture.server.unregister("w").await);
            fixture.server.unregister("beside").await;
        }
    });
}

/// Waiting for its own end in its own turn would be waiting for ever.
#[test]
fn an_actor_that_replaces_itself_goes_on_to_the_end_of_its_turn() {
    on_a_node(async |node, script| {
        let being = node.actor("being", Being::new(&script)).start().unwrap();
        let client = LifeClient::on(&node, &node.resolver(), "being");
        assert!(client.replace_itself().await.unwrap());
        assert!(matches!(being.ended().await, StopReason::Replaced { .. }));
        assert_eq!(client.add(1).await.unwrap(), 101);
    });
}

/// Names that are used once are not kept for ever.
#[test]
fn a_node_forgets_names_of_actors_that_ended_long_ago() {
    on_a_node(async |node, script| {
        let server = ActorServer::bind_on(&node, "loopback:0").await.unwrap();
        let running = server.registration("running", Being::new(&script)).start().unwrap();
        for number in 0..3000 {
            let name = format!("session-{number}");
            let being = server.registration(&name, Being::new(&script)).start().unwrap();
            if number == 0 {
                // One that has its name anew is none that has ended.
                being.stop(SECOND).await;
                server.registration(&name, Being::new(&script)).start().unwrap();
            } else {
                being.stop(SECOND).await;
            }
        }
        let names = server.actors();
        assert!((100..=1100).contains(&names.len()), "{}", names.len());
        for name in ["running", "session-0", "session-2999"] {
            assert!(names.iter().any(|known| known == name), "{name}");
        }
        let last = LifeClient::on(&node, &server.resolver(), "session-2999");
        assert_eq!(last.add(1).await.unwrap_err().kind(), FailureKind::Stopped);
        let first = LifeClient::on(&node, &server.resolver(), "session-1");
        assert_eq!(first.add(1).await.unwrap_err().kind(), FailureKind::NotFound);
        assert_eq!(running.client::<LifeClient>().add(1).await.unwrap(), 1);
        server.shutdown(SECOND).await.unwrap();
    });
}

/// Runs code on a thread of its own, which is left behind if it does not end.
fn ends(code: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || {
        code();
        let _ = done.send(());
    });
    is_done.recv_timeout(Duration::from_secs(10)).expect("it ends");
}

#[test]
fn a_resolver_may_ask_its_node_when_it_is_dropped() {
    /// What it asks when it is dropped.
    #[derive(Debug)]
    struct Asks(FixedResolver, Option<Node>);
    impl Resolver for Asks {
        fn resolve<'a>(
            &'a self,
            namespace: &'a Namespace,
            name: &'a str,
        ) -> BoxFuture<'a, Result<ResolveResult, ResolveError>> {
            self.0.resolve(namespace, name)
        }

        fn watch(
            &self,
            namespace: &Namespace,
            name: &str,
        ) -> BoxStream<'static, Result<ResolveResult, ResolveError>> {
            self.0.watch(namespace, name)
        }
    }
    impl Drop for Asks {
        fn drop(&mut self) {
            if let Some(node) = &self.1 {
                assert!(node.resolver().resolve(node.namespace(), "nobody").now_or_never().is_some());
            }
        }
    }
    ends(|| {
        runtime(Path::Direct).block_on(async {
            let node = Node::builder().build().unwrap();
            let none = FixedResolver::new::<&str, &str>([]);
            node.set_resolver(Asks(none.clone(), Some(node.clone())));
            node.set_resolver(none);
        });
    });
}

#[test]
fn a_name_may_ask_the_resolver_that_it_is_given_to() {
    struct Name(FixedResolver);
    impl From<Name> for String {
        fn from(name: Name) -> Self {
            name.0.remove("other");
            "name".to_owned()
        }
    }
    ends(|| {
        let resolver = FixedResolver::new([("other", "127.0.0.1:1")]);
        resolver.set(Name(resolver.clone()), ["127.0.0.1:1"]);
        resolver.insert(Name(resolver.clone()), "127.0.0.1:2");
    });
}
