//! Calls that go well, and calls that do not.

use std::time::Duration;

use actor_runtime::{CallError, FailureKind, Overflow, Retry};
use futures::future::join_all;

use super::{AMPLE, Scene};
use crate::{worker::Worker, world::ANCHOR};

/// Calls of an actor that is always there.
pub(super) async fn some(scene: &mut Scene<'_>) -> &'static str {
    let (tally, way) = (scene.tally, scene.way.name);
    let anchor = scene.way.client(ANCHOR);
    for _ in 0..scene.random.u32(1..20) {
        let n = scene.random.u64(..);
        match scene.random.u32(..20) {
            0 => {
                let bytes = vec![7; scene.random.usize(..200_000)];
                let length = bytes.len();
                let back = tally.good(way, "bytes", AMPLE, anchor.turn_around(bytes).timeout(AMPLE)).await;
                tally.check(back.is_none_or(|back| back.len() == length), || "other bytes".to_owned());
            }
            1 => {
                let ended = tally.call(way, AMPLE, anchor.fail(n).timeout(AMPLE)).await;
                let right =
                    matches!(&ended, Some(Err(CallError::Application(text))) if *text == format!("no {n}"));
                let lost = matches!(&ended, None | Some(Err(CallError::Failed(_))));
                tally.check(right || lost, || format!("{way}: an error became {ended:?}"));
            }
            2 => {
                tally.good(way, "note", AMPLE, anchor.note().timeout(AMPLE)).await;
            }
            3 => {
                let millis = scene.random.u64(..20);
                let later = anchor.later(millis, true).timeout(AMPLE);
                let answer = tally.good(way, "later", AMPLE, later).await;
                tally.check(answer.is_none_or(|answer| answer == millis), || "another answer".to_owned());
            }
            4 => {
                let all = (0..16).map(|n| tally.good(way, "echo", AMPLE, anchor.echo(n).timeout(AMPLE)));
                let all = join_all(all).await;
                let right = (0..).zip(all).all(|(n, echo)| echo.is_none_or(|echo| echo == n));
                tally.check(right, || "another echo".to_owned());
            }
            _ => {
                let echo = tally.good(way, "echo", AMPLE, anchor.echo(n).timeout(AMPLE)).await;
                tally
                    .check(echo.is_none_or(|echo| echo == n), || format!("{way}: {n} came back as {echo:?}"));
            }
        }
    }
    "calls"
}

/// Calls that cannot go well, or are given up.
pub(super) async fn in_trouble(scene: &mut Scene<'_>) -> &'static str {
    let (tally, way) = (scene.tally, scene.way.name);
    let anchor = scene.way.client(ANCHOR);
    let short = Duration::from_millis(scene.random.u64(1..30));
    match scene.random.u32(..7) {
        0 => {
            let ended = tally.call(way, short, anchor.hold(60_000).timeout(short)).await;
            let late =
                matches!(&ended, Some(Err(failure)) if failure.kind() == FailureKind::DeadlineExceeded);
            tally.check(late || ended.is_none(), || format!("{way}: no deadline, {ended:?}"));
        }
        1 => {
            // In its turn, alone: a call of another one behind it has to wait, and is out of time.
            let (actor, client) = scene.worker("slow");
            let first = tally.call(way, AMPLE, client.hold_alone(50).timeout(AMPLE));
            let second = tally.call(way, short, client.add(1).timeout(short));
            futures::join!(first, second);
            scene.end(&actor, &client).await;
        }
        2 => {
            // Given up by its caller.
            let _ = tokio::time::timeout(short, anchor.hold(60_000).no_timeout()).await;
            tally.add(&format!("call {way}: given up"), 1);
        }
        3 => {
            let dropped = anchor.later(scene.random.u64(..10), false).timeout(AMPLE);
            let ended = tally.call(way, AMPLE, dropped).await;
            tally.check(!matches!(ended, Some(Ok(_))), || format!("{way}: an answer that nobody gave"));
        }
        4 => {
            let nobody = scene.way.client("nobody");
            let ended = tally.call(way, AMPLE, nobody.echo(1).timeout(AMPLE).retry(Retry::none())).await;
            tally.check(!matches!(ended, Some(Ok(_))), || format!("{way}: nobody answered"));
        }
        5 => {
            let name = scene.world.fresh("full");
            let full = scene.way.server.registration(&name, Worker::default());
            let actor = full.mailbox(2).overflow(Overflow::Fail).start().expect("a new name");
            tally.add("spawns", 1);
            let client = scene.way.client(&name);
            let calls = (0..8)
                .map(|_| tally.call(way, AMPLE, client.hold_alone(2).timeout(AMPLE).retry(Retry::none())));
            join_all(calls).await;
            scene.end(&actor, &client).await;
        }
        _ => {
            // Its actor is killed meanwhile.
            let (actor, client) = scene.worker("killed");
            let call = tally.call(way, AMPLE, client.hold(60_000).timeout(AMPLE));
            let kill = async {
                tokio::time::sleep(short).await;
                actor.kill().await
            };
            let (ended, _) = futures::join!(call, kill);
            tally.add("kills", 1);
            tally.check(!matches!(ended, Some(Ok(()))), || format!("{way}: a killed actor answered"));
        }
    }
    "trouble"
}
