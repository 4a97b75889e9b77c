//! `ReplyTo`: answers that come later than their turns (S1, S4, S5, S6, S7, S8, S9).
#![expect(clippy::disallowed_methods, reason = "the bounds are bounds of time")]

use std::{sync::Arc, time::Duration};

use actor_runtime::{
    BoxFuture, CallError, FixedResolver, Layer, LayerCall, Next, ReplyTo, Status, prelude::*,
};
use futures::FutureExt;
use tests::{Fixture, Script, on_each_path, on_path};

#[message]
#[derive(Debug, PartialEq, Eq)]
enum NoAnswer {
    Refused(String),
}

#[actor_service]
trait Desk {
    /// Answered by `release`.
    async fn park(&mut self, name: String, reply: ReplyTo<String>);
    /// As `park`, with an error of its own, and a borrowed argument.
    async fn try_park(&self, name: &str, reply: ReplyTo<Result<u64, NoAnswer>>);
    /// Answers all that are parked; gives the names of those that have left.
    async fn release(&mut self) -> Vec<String>;
    /// Drops all that are parked.
    async fn forget(&mut self);
    /// Answered at once, within the turn, which goes on.
    async fn early(&self, name: String, reply: ReplyTo<u64>);
    /// Answered by a task when its door opens, or dropped by it if the name is "drop", or panicked in.
    async fn by_task(&self, name: String, reply: ReplyTo<Option<u64>>);
    /// Panics, holding the reply or having parked it.
    async fn panic(&mut self, parked: bool, reply: ReplyTo<String>);
    /// Answered by another desk's `park`.
    async fn forward(&self, to: String, name: String, reply: ReplyTo<String>);
    /// Answered by another desk's `forward_back`, which answers by this one's `park`.
    async fn forward_try(&self, to: String, name: String, reply: ReplyTo<Result<u64, NoAnswer>>);
    /// Asks another desk to answer by a call back here, while this turn has the actor for itself.
    async fn circle(&mut self, to: String, own: String) -> Result<String, String>;
    /// Fails the call by hand.
    async fn fail(&self, reply: ReplyTo<()>);
    /// An answer that is too large.
    async fn large(&self, reply: ReplyTo<Vec<u8>>);
    async fn alive(&self) -> bool;
}

struct Clerk {
    script: Script,
    resolver: FixedResolver,
    parked: Vec<(String, ReplyTo<String>)>,
}

#[actor_service]
impl Desk for Clerk {
    async fn park(&mut self, name: String, reply: ReplyTo<String>) {
        self.script.log(format!("{name} parked"));
        self.parked.push((name, reply));
    }

    async fn try_park(&self, name: &str, reply: ReplyTo<Result<u64, NoAnswer>>) {
        let answer = name.parse().map_err(|_| NoAnswer::Refused(name.to_owned()));
        // The caller may have left.
        let _ = reply.send(answer);
    }

    async fn release(&mut self) -> Vec<String> {
        let mut left = Vec::new();
        for (name, reply) in self.parked.drain(..) {
            let closed = reply.is_closed();
            if let Err(name) = reply.send(name) {
                assert!(closed, "nobody leaves in between");
                left.push(name);
            }
        }
        left
    }

    async fn forget(&mut self) {
        self.parked.clear();
    }

    async fn early(&self, name: String, reply: ReplyTo<u64>) {
        reply.send(7).expect("the caller waits");
        self.script.act(&name).await;
    }

    async fn by_task(&self, name: String, mut reply: ReplyTo<Option<u64>>) {
        let script = self.script.clone();
        drop(current_ctx().expect("a turn").spawn(async move {
            tokio::select! {
                () = script.act(&name) => {}
                () = reply.closed() => return script.log(format!("{name} closed")),
            }
            match name.as_str() {
                "drop" => drop(reply),
                "panic" => panic!("on purpose"),
                _ => {
                    let left = reply.remaining().map(|left| left.as_secs());
                    let _ = reply.send(left);
                }
            }
        }));
    }

    async fn panic(&mut self, parked: bool, reply: ReplyTo<String>) {
        if parked {
            self.parked.push((String::new(), reply));
        }
        panic!("on purpose");
    }

    async fn forward(&self, to: String, name: String, reply: ReplyTo<String>) {
        reply.forward(DeskClient::new(&self.resolver, to).park(name));
    }

    async fn forward_try(&self, to: String, name: String, reply: ReplyTo<Result<u64, NoAnswer>>) {
        reply.forward(DeskClient::new(&self.resolver, to).try_park(&name));
    }

    async fn circle(&mut self, to: String, own: String) -> Result<String, String> {
        let other = DeskClient::new(&self.resolver, to);
        other.forward(own, "circle".into()).await.map_err(|failure| format!("{:?}", failure.kind()))
    }

    async fn fail(&self, reply: ReplyTo<()>) {
        reply.fail(Failure::new(FailureKind::Denied, Delivery::NotDelivered, "by hand"));
    }

    async fn large(&self, reply: ReplyTo<Vec<u8>>) {
        reply.send(vec![0; 65 * 1024 * 1024]).expect("the caller waits");
    }

    async fn alive(&self) -> bool {
        true
    }
}

fn desk(fixture: &Fixture, name: &str) -> DeskClient {
    let clerk =
        Clerk { script: fixture.script.clone(), resolver: fixture.resolver.clone(), parked: Vec::new() };
    fixture.register(name, clerk);
    DeskClient::on(&fixture.node, &fixture.resolver, name)
}

/// S1: the turn ends, the call does not; a later exclusive turn answers.
#[test]
fn a_later_turn_answers() {
    on_each_path(async |fixture| {
        let desk = desk(fixture, "desk");
        let release = async {
            fixture.script.seen("b parked").await;
            assert_eq!(desk.release().await.unwrap(), [""; 0]);
        };
        let (a, b, ()) = tokio::join!(desk.park("a".into()), desk.park("b".into()), release);
        assert_eq!((a.unwrap(), b.unwrap()), ("a".to_owned(), "b".to_owned()));
        assert_eq!(desk.try_park("7").await, Ok(7));
        let refused = CallError::Application(NoAnswer::Refused("x".into()));
        assert_eq!(desk.try_park("x").await, Err(refused));
    });
}

#[test]
fn a_turn_that_has_answered_goes_on_to_its_end() {
    on_each_path(async |fixture| {
        let desk = desk(fixture, "desk");
        assert_eq!(desk.early("on".into()).await.unwrap(), 7);
        fixture.script.seen("on begins").await;
        assert!(desk.alive().await.unwrap());
        fixture.script.open("on");
        fixture.script.seen("on ends").await;
    });
}

/// S8: the deadline is known to who answers.
#[test]
fn a_task_answers() {
    on_each_path(async |fixture| {
        let desk = desk(fixture, "desk");
        fixture.script.open("task");
        let left = desk.by_task("task".into()).timeout(Duration::from_secs(1000)).await.unwrap();
        assert!(left.is_some_and(|left| (990..=1000).contains(&left)), "{left:?}");
        fixture.script.open("without");
        assert_eq!(desk.by_task("without".into()).no_timeout().await.unwrap(), None);
    });
}

/// S6: dropped without an answer, the call ends, and says why.
#[test]
fn dropping_it_fails_the_call() {
    on_each_path(async |fixture| {
        let desk = desk(fixture, "desk");
        let forget = async {
            fixture.script.seen("a parked").await;
            desk.forget().await.unwrap();
        };
        let (failure, ()) = tokio::join!(desk.park("a".into()), forget);
        let failure = failure.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Cancelled, Delivery::Unknown));
        assert_eq!(failure.detail(), "the actor dropped the `ReplyTo` of Desk/park without an answer");
        for (name, kind) in [("drop", FailureKind::Cancelled), ("panic", FailureKind::Panicked)] {
            fixture.script.open(name);
            let failure = desk.by_task(name.into()).await.unwrap_err();
            assert_eq!((failure.kind(), failure.delivery()), (kind, Delivery::Unknown), "{failure}");
        }
        let failure = desk.fail().await.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Denied, Delivery::Unknown));
        assert!(desk.alive().await.unwrap());
    });
}

/// S6, S8: no turn runs, and the deadline is met all the same.
#[test]
fn a_call_without_a_turn_has_its_deadline() {
    on_each_path(async |fixture| {
        let desk = desk(fixture, "desk");
        desk.alive().await.unwrap();
        let start = tokio::time::Instant::now();
        let failure = desk.park("late".into()).timeout(Duration::from_secs(2)).await.unwrap_err();
        fixture.check_time(start.elapsed(), Duration::from_secs(2));
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::DeadlineExceeded, Delivery::Unknown));
        assert_eq!(failure.detail(), "the actor has its `ReplyTo` and did not answer in time");
        assert_eq!(desk.release().await.unwrap(), ["late"]);
    });
}

/// S7: who holds it learns that the caller has left.
#[test]
fn it_is_closed_when_the_caller_leaves() {
    on_each_path(async |fixture| {
        let desk = desk(fixture, "desk");
        tokio::select! {
            _ = desk.by_task("left".into()) => unreachable!("nobody opens its door"),
            () = fixture.script.seen("left begins") => {}
        }
        fixture.script.seen("left closed").await;
        tokio::select! {
            _ = desk.park("gone".into()) => unreachable!("nobody answers"),
            () = fixture.script.seen("gone parked") => {}
        }
        fixture.settle().await;
        assert_eq!(desk.release().await.unwrap(), ["gone"]);
    });
}

/// S4.
#[test]
fn a_handler_that_panics_fails_its_call_with_its_text() {
    for parked in [false, true] {
        on_each_path(async |fixture| {
            let desk = desk(fixture, "desk");
            let other = desk.clone();
            let panics = async {
                fixture.script.seen("a parked").await;
                let failure = desk.panic(parked).await.unwrap_err();
                assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Panicked, Delivery::Unknown));
                assert!(failure.detail().contains("on purpose"), "{failure}");
            };
            let (parked, ()) = tokio::join!(other.park("a".into()), panics);
            // The actor has stopped, and what it held with it.
            let failure = parked.unwrap_err();
            assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Stopped, Delivery::Unknown));
        });
    }
}

/// S9: what the actor holds when its queue is empty cannot be answered any more, and nobody waits for that.
#[test]
fn stopping_fails_what_the_actor_holds_at_once() {
    on_each_path(async |fixture| {
        let desk = desk(fixture, "desk");
        let stop = async {
            fixture.script.seen("a parked").await;
            let start = tokio::time::Instant::now();
            fixture.server.shutdown(Duration::from_secs(20)).await.unwrap();
            assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        };
        let (failure, ()) = tokio::join!(desk.park("a".into()).no_timeout(), stop);
        let failure = failure.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Stopped, Delivery::Unknown));
    });
}

/// S9: what a task holds is answered within the grace, and queued turns may answer too.
#[test]
fn a_shutdown_waits_for_tasks_that_answer() {
    on_each_path(async |fixture| {
        let desk = desk(fixture, "desk");
        let stop = async {
            fixture.script.seen("task begins").await;
            let open = async {
                fixture.settle().await;
                fixture.script.open("task");
            };
            let (ended, ()) = tokio::join!(fixture.server.shutdown(Duration::from_secs(20)), open);
            ended.unwrap();
        };
        let (answer, ()) = tokio::join!(desk.by_task("task".into()), stop);
        assert!(answer.unwrap().is_some());
    });
}

/// S9: beyond the grace it fails, and so does what comes too late.
#[test]
fn a_shutdown_beyond_its_grace_ends_what_is_unanswered() {
    on_each_path(async |fixture| {
        let desk = desk(fixture, "desk");
        let stop = async {
            fixture.script.seen("task begins").await;
            let ended = fixture.server.shutdown(Duration::from_millis(100)).await.unwrap_err();
            assert_eq!(ended.cut_off, ["desk"]);
        };
        let (failure, ()) = tokio::join!(desk.by_task("task".into()).no_timeout(), stop);
        assert_eq!(failure.unwrap_err().kind(), FailureKind::Stopped);
        fixture.script.seen("task closed").await;
    });
}

/// S9: a server that is dropped without a shutdown.
#[test]
fn a_dropped_server_ends_what_is_unanswered() {
    on_path(tests::Path::Direct, async |fixture| {
        let server = fixture.another_server("another").await;
        let clerk =
            Clerk { script: fixture.script.clone(), resolver: fixture.resolver.clone(), parked: Vec::new() };
        server.register("desk", clerk).unwrap();
        fixture.resolver.set("desk", [server.address()]);
        let desk = DeskClient::on(&fixture.node, &fixture.resolver, "desk");
        let drops = async {
            fixture.script.seen("a parked").await;
            drop(server);
        };
        let (failure, ()) = tokio::join!(desk.park("a".into()).no_timeout(), drops);
        let failure = failure.unwrap_err();
        assert!(matches!(failure.kind(), FailureKind::Stopped | FailureKind::ConnectionLost), "{failure}");
    });
}

/// The call is handed to another actor, which answers it.
#[test]
fn forwarding_gives_the_answer_of_the_other_actor() {
    on_each_path(async |fixture| {
        let front = desk(fixture, "front");
        let back = desk(fixture, "back");
        let release = async {
            fixture.script.seen("a parked").await;
            assert!(front.alive().await.unwrap(), "no turn waits");
            back.release().await.unwrap();
        };
        let (answer, ()) = tokio::join!(front.forward("back".into(), "a".into()), release);
        assert_eq!(answer.unwrap(), "a");
        assert_eq!(front.forward_try("back".into(), "7".into()).await, Ok(7));
        let refused = CallError::Application(NoAnswer::Refused("x".into()));
        assert_eq!(front.forward_try("back".into(), "x".into()).await, Err(refused));
    });
}

/// S6, S8: the other actor's failures come back as this call's, once: whoever forwards has run.
#[test]
fn forwarding_gives_the_failure_of_the_other_actor() {
    on_each_path(async |fixture| {
        let front = desk(fixture, "front");
        let back = desk(fixture, "back");
        let failure = front.forward("nobody".into(), "a".into()).await.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::NotFound, Delivery::Unknown));
        assert_eq!((failure.method(), failure.actor()), ("Desk/park", "nobody"));
        let start = tokio::time::Instant::now();
        let call = front.forward("back".into(), "late".into()).timeout(Duration::from_secs(2));
        assert_eq!(call.await.unwrap_err().kind(), FailureKind::DeadlineExceeded);
        fixture.check_time(start.elapsed(), Duration::from_secs(2));
        fixture.settle().await;
        assert_eq!(back.release().await.unwrap(), ["late"], "it was cancelled there too");
    });
}

/// S7: the caller's leaving goes all the way.
#[test]
fn leaving_cancels_the_forwarded_call() {
    on_each_path(async |fixture| {
        let front = desk(fixture, "front");
        let back = desk(fixture, "back");
        tokio::select! {
            _ = front.forward("back".into(), "a".into()) => unreachable!("nobody answers"),
            () = fixture.script.seen("a parked") => {}
        }
        fixture.settle().await;
        assert_eq!(back.release().await.unwrap(), ["a"]);
    });
}

/// S5: a forwarded call belongs to the chain of the one that it answers.
#[test]
fn forwarding_to_one_that_waits_is_a_cycle() {
    on_each_path(async |fixture| {
        let front = desk(fixture, "front");
        desk(fixture, "back");
        let circle = front.circle("back".into(), "front".into()).await;
        assert_eq!(circle, Err(CallError::Application("Cycle".into())));
    });
}

#[test]
fn an_answer_that_is_too_large_fails_the_call() {
    on_path(tests::Path::Loopback, async |fixture| {
        let desk = desk(fixture, "desk");
        let failure = desk.large().await.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::TooLarge, Delivery::Executed));
    });
}

struct Ends(Script);

impl Layer for Ends {
    fn call<'a>(&'a self, call: LayerCall<'a>, next: Next<'a>) -> BoxFuture<'a, Result<Status, Failure>> {
        Box::pin(async move {
            let end = next.run().await;
            self.0.log(format!("{} {:?}", call.method().name, end.as_ref().ok()));
            end
        })
    }
}

/// A server's layers see the end of the turn; a client's see the answer.
#[test]
fn layers_of_the_server_see_the_turn() {
    for path in tests::Path::ALL {
        tests::runtime(path).block_on(async {
            let layers = Script::default();
            let layer = Arc::new(Ends(layers.clone()));
            let fixture = Fixture::with(path, |builder| builder.server_layer(Ends(layer.0.clone()))).await;
            let desk = desk(&fixture, "desk");
            let release = async {
                fixture.script.seen("a parked").await;
                layers.seen("park Some(Replied)").await;
                desk.release().await.unwrap();
            };
            let (answer, ()) = tokio::join!(desk.park("a".into()), release);
            assert_eq!(answer.unwrap(), "a");
            assert_eq!(desk.early("b".into()).await.unwrap(), 7);
        });
    }
}

/// Says that the turn has ended, and has not run it.
struct Idle;

impl Layer for Idle {
    fn call<'a>(&'a self, _: LayerCall<'a>, _: Next<'a>) -> BoxFuture<'a, Result<Status, Failure>> {
        Box::pin(async { Ok(Status::Replied) })
    }
}

/// S6: there is no `ReplyTo` then, and nobody else who would end the call.
#[test]
fn a_layer_of_the_server_that_does_not_run_the_turn_is_told_off() {
    for path in tests::Path::ALL {
        tests::runtime(path).block_on(async {
            let fixture = Fixture::with(path, |builder| builder.server_layer(Idle)).await;
            let desk = desk(&fixture, "desk");
            let failure = desk.park("a".into()).timeout(Duration::from_secs(2)).await.unwrap_err();
            let found = (failure.kind(), failure.delivery());
            assert_eq!(found, (FailureKind::Internal, Delivery::NotDelivered), "{failure}, over {path:?}");
        });
    }
}

/// Fails the call when its turn has ended, and the task that it left behind waits.
struct Fails(Script);

impl Layer for Fails {
    fn call<'a>(&'a self, _: LayerCall<'a>, next: Next<'a>) -> BoxFuture<'a, Result<Status, Failure>> {
        Box::pin(async move {
            next.run().await?;
            self.0.seen("held begins").await;
            Err(Failure::new(FailureKind::Denied, Delivery::Executed, "by a layer"))
        })
    }
}

/// S7: whoever holds the `ReplyTo` learns that a layer has ended the call.
#[test]
fn it_is_closed_when_a_layer_of_the_server_fails_the_call() {
    for path in tests::Path::ALL {
        tests::runtime(path).block_on(async {
            let script = Script::default();
            let mut fixture =
                Fixture::with(path, |builder| builder.server_layer(Fails(script.clone()))).await;
            fixture.script = script.clone();
            let desk = desk(&fixture, "desk");
            let failure = desk.by_task("held".into()).await.unwrap_err();
            assert_eq!(failure.detail(), "by a layer");
            let closed = tokio::time::timeout(Duration::from_secs(5), script.seen("held closed"));
            assert!(closed.await.is_ok(), "the task is not told, over {path:?}");
        });
    }
}

/// Nothing is kept of calls that were answered, left or dropped.
#[test]
fn many_calls_leave_nothing_behind() {
    on_each_path(async |fixture| {
        let desk = desk(fixture, "desk");
        for n in 0..200_u64 {
            assert_eq!(desk.try_park(&n.to_string()).await, Ok(n));
            drop(desk.try_park("1").now_or_never());
        }
        assert!(desk.alive().await.unwrap());
    });
}

#[test]
fn the_description_says_what_callers_see() {
    let description = <DeskService as actor_runtime::service::Service>::description();
    let park = description.methods.iter().find(|method| method.name == "park").unwrap();
    assert_eq!(park.arguments.len(), 1);
    assert_eq!(park.signature, "async fn park(&mut self, name: String, reply: ReplyTo<String>)");
}
