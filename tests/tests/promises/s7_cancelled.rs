//! S7, for `&mut self` turns that take part in it: `#[cancel_safe]`, and `ctx.cancelled()`.

#![allow(clippy::unwrap_used, reason = "an actor of a test may panic as the test may")]

use std::time::Duration;

use actor_runtime::{BoxFuture, Layer, LayerCall, Next, Status, prelude::*};
use futures::{FutureExt, future::join};
use tests::{Fixture, Path, Script, on_each_path, runtime};

#[actor_service]
trait Desk {
    /// Counts before and after it waits.
    #[cancel_safe]
    async fn safe(&mut self, name: &str);
    /// The same, and not to be dropped.
    async fn whole(&mut self, name: &str);
    /// Ends early when nobody waits for it any more, and tidies up.
    async fn tidy(&mut self, name: &str);
    /// Waits for another desk.
    #[cancel_safe]
    async fn relay(&mut self, other: &str, name: &str);
    /// Starts a task that logs when nobody waits for the call any more, and waits for `name` itself.
    async fn in_a_task(&mut self, name: &str);
    /// Whether a task of the actor's own, which has no call, could be cancelled.
    async fn own_task(&self) -> bool;
    /// So many are counted.
    async fn count(&self) -> u64;
}

struct Counter {
    script: Script,
    resolver: FixedResolver,
    count: u64,
}

#[actor_service]
impl Desk for Counter {
    async fn safe(&mut self, name: &str) {
        self.whole(name).await;
    }

    async fn whole(&mut self, name: &str) {
        self.count += 1;
        self.script.act(name).await;
        self.count += 1;
    }

    async fn tidy(&mut self, name: &str) {
        let ctx = current_ctx().unwrap();
        // Another one, dropped while it waits: it gives up its own place only.
        assert!(!ctx.is_cancelled() && ctx.cancelled().now_or_never().is_none());
        tokio::select! {
            () = self.script.act(name) => {}
            () = ctx.cancelled() => {
                assert!(ctx.is_cancelled());
                self.script.log(format!("{name} tidied up"));
            }
        }
    }

    async fn relay(&mut self, other: &str, name: &str) {
        let _ = DeskClient::new(&self.resolver, other).safe(name).await;
    }

    async fn in_a_task(&mut self, name: &str) {
        let (ctx, script, line) = (current_ctx().unwrap(), self.script.clone(), format!("{name} is over"));
        let _task = ctx.node().clone().spawn(async move {
            ctx.cancelled().await;
            script.log(line);
        });
        self.script.act(name).await;
    }

    async fn own_task(&self) -> bool {
        let task = current_ctx().unwrap().spawn(async {
            let ctx = current_ctx().unwrap();
            ctx.is_cancelled() || ctx.cancelled().now_or_never().is_some()
        });
        task.await.unwrap()
    }

    async fn count(&self) -> u64 {
        self.count
    }
}

fn desk(fixture: &Fixture, name: &str) -> DeskClient {
    let (script, resolver) = (fixture.script.clone(), fixture.resolver.clone());
    fixture.register(name, Counter { script, resolver, count: 0 });
    DeskClient::on(&fixture.node, &fixture.resolver, name)
}

/// How a call ends before its turn does.
#[derive(Clone, Copy, Debug)]
enum By {
    Leaving,
    Deadline,
}

/// Makes a call, and ends it once its turn has begun.
async fn end<T: std::fmt::Debug>(
    fixture: &Fixture,
    by: By,
    call: actor_runtime::Call<Result<T, Failure>>,
    begun: &str,
) {
    match by {
        By::Leaving => tokio::select! {
            end = call => unreachable!("nobody opens its door: {end:?}"),
            () = fixture.script.seen(begun) => {}
        },
        By::Deadline => {
            let (end, ()) = join(call.timeout(Duration::from_millis(300)), fixture.script.seen(begun)).await;
            assert_eq!(end.unwrap_err().kind(), FailureKind::DeadlineExceeded);
        }
    }
}

#[test]
fn a_cancel_safe_turn_is_dropped_at_its_next_await() {
    on_each_path(async |fixture| {
        let desk = desk(fixture, "desk");
        for (by, before) in [(By::Leaving, 0), (By::Deadline, 1)] {
            let name = format!("{by:?}");
            end(fixture, by, desk.safe(&name), &format!("{name} begins")).await;
            fixture.script.seen(&format!("{name} dropped")).await;
            assert_eq!(desk.count().await.unwrap(), before + 1, "the half that was done stays done");
        }
    });
}

#[test]
fn what_is_queued_behind_a_cancel_safe_turn_need_not_wait_for_it() {
    on_each_path(async |fixture| {
        let desk = desk(fixture, "desk");
        let behind = desk.clone();
        let mut left = Box::pin(desk.safe("left"));
        tokio::select! {
            _ = &mut left => unreachable!("nobody opens its door"),
            () = fixture.script.seen("left begins") => {}
        }
        let leave = async {
            fixture.settle().await;
            drop(left);
        };
        assert_eq!(join(behind.count(), leave).await.0.unwrap(), 1);
    });
}

#[test]
fn a_turn_that_is_not_cancel_safe_goes_on() {
    on_each_path(async |fixture| {
        let desk = desk(fixture, "desk");
        end(fixture, By::Leaving, desk.whole("left"), "left begins").await;
        fixture.settle().await;
        assert_eq!(fixture.script.lines(), ["left begins"]);
        fixture.script.open("left");
        assert_eq!(desk.count().await.unwrap(), 2);
    });
}

#[test]
fn a_cancel_safe_turn_takes_the_calls_that_it_made_with_it() {
    on_each_path(async |fixture| {
        let front = desk(fixture, "front");
        let back = desk(fixture, "back");
        end(fixture, By::Leaving, front.relay("back", "deep"), "deep begins").await;
        fixture.script.seen("deep dropped").await;
        assert_eq!((front.count().await.unwrap(), back.count().await.unwrap()), (0, 1));
    });
}

#[test]
fn a_turn_can_tidy_up_when_nobody_waits_for_it_any_more() {
    on_each_path(async |fixture| {
        let desk = desk(fixture, "desk");
        desk.count().await.unwrap();
        for by in [By::Leaving, By::Deadline] {
            let name = format!("{by:?}");
            end(fixture, by, desk.tidy(&name), &format!("{name} begins")).await;
            fixture.script.seen(&format!("{name} tidied up")).await;
        }
        // One that is waited for to its end is not told anything.
        fixture.script.open("whole");
        desk.tidy("whole").await.unwrap();
        assert!(!fixture.script.lines().contains(&"whole tidied up".to_owned()));
    });
}

#[test]
fn a_turn_can_tidy_up_when_a_shutdown_has_no_more_time() {
    on_each_path(async |fixture| {
        let desk = desk(fixture, "desk");
        let shut_down = async {
            fixture.script.seen("cut begins").await;
            fixture.server.shutdown(Duration::from_millis(100)).await.unwrap_err();
        };
        let (end, ()) = join(desk.tidy("cut"), shut_down).await;
        assert_eq!(end.unwrap_err().kind(), FailureKind::Stopped);
        fixture.script.seen("cut tidied up").await;
    });
}

#[test]
fn a_task_can_know_whether_the_call_is_over() {
    on_each_path(async |fixture| {
        let desk = desk(fixture, "desk");
        end(fixture, By::Leaving, desk.in_a_task("left"), "left begins").await;
        fixture.script.seen("left is over").await;
        fixture.script.open("left");

        fixture.script.open("answered");
        desk.in_a_task("answered").await.unwrap();
        fixture.script.seen("answered is over").await;

        assert!(!desk.own_task().await.unwrap(), "a task of the actor's own belongs to no call");
    });
}

/// Passes everything on, in a future of its own.
struct Through;

impl Layer for Through {
    fn call<'a>(&'a self, _: LayerCall<'a>, next: Next<'a>) -> BoxFuture<'a, Result<Status, Failure>> {
        Box::pin(next.run())
    }
}

#[test]
fn layers_change_nothing() {
    for path in Path::ALL {
        runtime(path).block_on(async {
            let fixture =
                &Fixture::with(path, |builder| builder.server_layer(Through).client_layer(Through)).await;
            let desk = desk(fixture, "desk");
            end(fixture, By::Leaving, desk.safe("left"), "left begins").await;
            fixture.script.seen("left dropped").await;
            end(fixture, By::Leaving, desk.tidy("neat"), "neat begins").await;
            fixture.script.seen("neat tidied up").await;
            assert_eq!(desk.count().await.unwrap(), 1);
        });
    }
}
