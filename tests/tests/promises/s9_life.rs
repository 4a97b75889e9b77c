//! S9: actors start, stop and end, with their hooks, their children and their node.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test measures time, and fails where nothing is"
)]

use std::{error::Error, time::Duration};

use actor_runtime::{
    ActorHandle, Config, Delivery, FailureKind, LocalCalls, RegisterError, StopReason, prelude::*,
};
use tests::{Path, Script, on_path, runtime};

#[actor_service]
trait Life {
    async fn turn(&mut self, name: String) -> String;
    async fn beside(&self, name: String) -> String;
    async fn panic(&mut self);
    async fn stop_itself(&mut self) -> bool;
    /// Starts a child of this name, or without one.
    async fn bear(&mut self, name: String) -> bool;
}

/// What a hook does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hook {
    Ends,
    /// Waits for the test.
    Waits,
    Fails,
    Panics,
}

#[derive(Clone)]
struct Being {
    script: Script,
    start: Hook,
    stop: Hook,
}

impl Being {
    fn new(script: &Script) -> Self {
        Self { script: script.clone(), start: Hook::Ends, stop: Hook::Ends }
    }
}

impl Actor for Being {
    type Services = (LifeService,);

    async fn on_start(&mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        let name = current_ctx()?.actor_name().to_owned();
        self.script.log(format!("{name} starts"));
        match self.start {
            Hook::Ends => Ok(()),
            Hook::Waits => {
                self.script.act("start").await;
                Ok(())
            }
            Hook::Fails => Err("no disk".into()),
            Hook::Panics => panic!("no disk at all"),
        }
    }

    async fn on_stop(&mut self, reason: &StopReason) {
        let name = current_ctx().map(|ctx| ctx.actor_name().to_owned()).unwrap_or_default();
        self.script.log(format!("{name} stops: {reason}"));
        match self.stop {
            Hook::Ends | Hook::Fails => {}
            Hook::Waits => self.script.act("stop").await,
            Hook::Panics => panic!("no goodbye"),
        }
    }
}

#[actor_service(part)]
impl Life for Being {
    async fn turn(&mut self, name: String) -> String {
        self.script.act(&name).await;
        name
    }

    async fn beside(&self, name: String) -> String {
        self.script.act(&name).await;
        name
    }

    async fn panic(&mut self) {
        panic!("a turn");
    }

    async fn stop_itself(&mut self) -> bool {
        current_ctx().map(|ctx| ctx.stop()).is_ok()
    }

    async fn bear(&mut self, name: String) -> bool {
        let Ok(ctx) = current_ctx() else { return false };
        let child = Self { start: Hook::Ends, stop: Hook::Ends, ..self.clone() };
        let registration = if name.is_empty() { ctx.unnamed_actor(child) } else { ctx.actor(name, child) };
        registration.start().is_ok()
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// A node with one actor, over paused time.
fn alive(being: impl Fn(&Script) -> Being, test: impl AsyncFn(Script, ActorHandle, LifeClient)) {
    runtime(Path::Direct).block_on(async {
        let script = Script::default();
        let node = Node::builder().local_calls(LocalCalls::Direct).build().unwrap();
        let actor = node.actor("being", being(&script)).start().unwrap();
        test(script, actor.clone(), actor.client()).await;
    });
}

fn count(script: &Script, start: &str) -> usize {
    script.lines().iter().filter(|line| line.starts_with(start)).count()
}

#[test]
fn on_start_runs_before_the_first_turn_and_calls_queue_meanwhile() {
    alive(
        |script| Being { start: Hook::Waits, ..Being::new(script) },
        async |script, actor, client| {
            script.open("turn");
            let start = async {
                script.seen("start begins").await;
                script.open("start");
            };
            let (turn, ()) = tokio::join!(client.turn("turn".into()), start);
            assert_eq!(turn.unwrap(), "turn");
            actor.started().await.unwrap();
            let lines = ["being starts", "start begins", "start ends", "turn begins", "turn ends"];
            assert_eq!(script.lines(), lines);
        },
    );
}

#[test]
fn an_actor_that_cannot_start_ends_with_the_reason_and_its_queue_is_told() {
    let cases = [
        (Hook::Fails, "no disk"),
        (Hook::Panics, "`on_start` panicked: no disk at all"),
        (Hook::Waits, "`on_start` did not end within 30s (`Config::start_timeout`)"),
    ];
    for (start, expected) in cases {
        alive(
            move |script| Being { start, ..Being::new(script) },
            async |script, actor, client| {
                let failure = client.turn("turn".into()).timeout(60 * SECOND).await.unwrap_err();
                assert_eq!(
                    (failure.kind(), failure.delivery()),
                    (FailureKind::Stopped, Delivery::NotDelivered)
                );
                let reason = StopReason::StartFailed { message: expected.to_owned() };
                assert_eq!(actor.started().await, Err(reason.clone()));
                assert_eq!(actor.ended().await, reason);
                assert!(reason.is_failure());
                assert_eq!(count(&script, "being stops"), 0, "it has not started");
            },
        );
    }
}

#[test]
fn on_stop_runs_after_the_queue_and_says_the_reason_and_the_end_can_be_asked_for_later() {
    alive(Being::new, async |script, actor, client| {
        let turns = async {
            script.seen("one begins").await;
            let stopped = actor.stop(SECOND);
            script.open("one");
            script.open("two");
            stopped.await
        };
        let other = client.clone();
        let (one, two, stopped) = tokio::join!(client.turn("one".into()), other.turn("two".into()), turns);
        assert_eq!((one.unwrap(), two.unwrap()), ("one".to_owned(), "two".to_owned()));
        assert_eq!(stopped, StopReason::Stopped);
        assert_eq!(script.lines().last().unwrap(), "being stops: it was stopped");
        assert_eq!(actor.ended().await, StopReason::Stopped);
        assert_eq!(actor.kill().await, StopReason::Stopped, "it has ended before");
        assert!(!StopReason::Stopped.is_failure());
    });
}

#[test]
fn a_failure_is_never_a_clean_stop_and_is_told_to_on_stop() {
    alive(Being::new, async |script, actor, client| {
        let panics = async {
            script.seen("one begins").await;
            drop(actor.stop(SECOND));
            script.open("one");
        };
        let other = client.clone();
        let (one, panicked, ()) = tokio::join!(client.turn("one".into()), other.panic(), panics);
        one.unwrap();
        assert_eq!(panicked.unwrap_err().kind(), FailureKind::Panicked);
        let reason = actor.ended().await;
        assert!(matches!(&reason, StopReason::Panicked { message, .. } if message == "a turn"), "{reason:?}");
        assert_eq!(count(&script, "being stops: a handler panicked in Life/panic"), 1);
    });
}

#[test]
fn an_on_stop_that_panics_or_takes_too_long_is_told() {
    let cases = [
        (Hook::Panics, "`on_stop` panicked: no goodbye"),
        (Hook::Waits, "`on_stop` did not end within 5s (`Config::stop_timeout`)"),
    ];
    for (stop, expected) in cases {
        alive(
            move |script| Being { stop, ..Being::new(script) },
            async |_, actor, _| {
                let reason = actor.stop(60 * SECOND).await;
                assert_eq!(reason, StopReason::StopFailed { message: expected.to_owned() });
                assert!(reason.is_failure());
            },
        );
    }
}

#[test]
fn every_order_is_bounded_in_time() {
    let start = tokio::time::Instant::now;
    for stop in [Hook::Ends, Hook::Waits] {
        alive(
            move |script| Being { stop, ..Being::new(script) },
            async |script, actor, client| {
                let began = start();
                let order = async {
                    script.seen("turn begins").await;
                    actor.stop(SECOND).await
                };
                let (turn, reason) = tokio::join!(client.turn("turn".into()), order);
                assert_eq!(turn.unwrap_err().kind(), FailureKind::Stopped);
                assert_eq!((reason, began.elapsed()), (StopReason::Killed, SECOND));
                assert_eq!(count(&script, "being stops"), 0, "not after a kill");
            },
        );
        alive(
            move |script| Being { stop, ..Being::new(script) },
            async |script, actor, client| {
                let began = start();
                let order = async {
                    script.seen("turn begins").await;
                    actor.stop_now().await
                };
                let (_, reason) = tokio::join!(client.beside("turn".into()), order);
                assert_eq!((reason, began.elapsed()), (StopReason::Killed, 5 * SECOND));
            },
        );
        alive(
            move |script| Being { stop, ..Being::new(script) },
            async |script, actor, client| {
                let began = start();
                let order = async {
                    script.seen("turn begins").await;
                    actor.kill().await
                };
                let (_, reason) = tokio::join!(client.turn("turn".into()), order);
                assert_eq!((reason, began.elapsed()), (StopReason::Killed, Duration::ZERO));
                assert_eq!(count(&script, "being stops"), 0, "not after a kill");
            },
        );
    }
}

#[test]
fn a_turn_can_stop_its_own_actor_which_runs_its_queue_first() {
    alive(Being::new, async |script, actor, client| {
        script.open("queued");
        let other = client.clone();
        let (stops, queued) = tokio::join!(client.stop_itself(), other.turn("queued".into()));
        assert!(stops.unwrap());
        assert_eq!(queued.unwrap(), "queued");
        assert_eq!(actor.ended().await, StopReason::Finished);
    });
}

#[test]
fn children_end_before_their_parents_on_stop_and_a_killed_parent_kills_them() {
    alive(Being::new, async |script, actor, client| {
        assert!(client.bear("first".into()).await.unwrap());
        assert!(client.bear(String::new()).await.unwrap());
        assert_eq!(actor.stop(SECOND).await, StopReason::Stopped);
        let stops: Vec<String> = script.lines().into_iter().filter(|line| line.contains("stops: ")).collect();
        assert_eq!(stops.len(), 3);
        assert!(stops[..2].iter().all(|line| line.ends_with("the actor that had started it ended")));
        assert_eq!(stops[2], "being stops: it was stopped");
    });
    alive(Being::new, async |script, actor, client| {
        assert!(client.bear("first".into()).await.unwrap());
        script.seen("first starts").await;
        actor.kill().await;
        tokio::task::yield_now().await;
        assert_eq!(count(&script, "first stops"), 0, "killed with it");
    });
}

#[test]
fn a_node_that_is_dropped_ends_its_actors_and_its_clients_do_not_keep_it() {
    runtime(Path::Direct).block_on(async {
        let script = Script::default();
        let node = Node::builder().build().unwrap();
        let named = node.actor("named", Being::new(&script)).start().unwrap();
        let unnamed = node.unnamed_actor(Being::new(&script)).start().unwrap();
        let client: LifeClient = unnamed.client();
        script.open("turn");
        client.turn("turn".into()).await.unwrap();
        drop(node);
        assert_eq!(named.ended().await, StopReason::Abandoned);
        assert_eq!(unnamed.ended().await, StopReason::Abandoned);
        assert_eq!(client.turn("late".into()).await.unwrap_err().kind(), FailureKind::Stopped);
    });
}

#[test]
fn a_handle_that_is_dropped_leaves_its_actor_and_names_are_unique_until_the_end() {
    runtime(Path::Direct).block_on(async {
        let script = Script::default();
        let node = Node::builder().build().unwrap();
        let first = node.actor("being", Being::new(&script)).start().unwrap();
        let client: LifeClient = first.client();
        let taken = node.actor("being", Being::new(&script)).start().unwrap_err();
        assert!(matches!(taken, RegisterError::Taken { present, .. } if present == first.id()));
        drop(first);
        script.open("turn");
        assert_eq!(client.turn("turn".into()).await.unwrap(), "turn");
    });
}

#[test]
fn an_actor_without_a_server_is_found_by_name_by_the_server_that_comes_later() {
    on_path(Path::Direct, async |fixture| {
        let actor = fixture.server.node().actor("being", Being::new(&fixture.script)).start().unwrap();
        fixture.script.open("turn");
        let client = LifeClient::on(&fixture.node, &fixture.server.resolver(), "being");
        assert_eq!(client.turn("turn".into()).await.unwrap(), "turn");
        fixture.server.shutdown(SECOND).await.unwrap();
        assert_eq!(actor.ended().await, StopReason::Shutdown);
    });
}

#[test]
fn the_bounds_are_settings() {
    runtime(Path::Direct).block_on(async {
        let script = Script::default();
        let config = Config { start_timeout: SECOND, ..Config::default() };
        let node = Node::builder().config(config).build().unwrap();
        let began = tokio::time::Instant::now();
        let actor = node.unnamed_actor(Being { start: Hook::Waits, ..Being::new(&script) }).start().unwrap();
        assert!(actor.ended().await.is_failure());
        assert_eq!(began.elapsed(), SECOND);
    });
}
