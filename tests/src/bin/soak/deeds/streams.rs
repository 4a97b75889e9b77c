//! Streams both ways: read to their end, left in the middle, cut off by the end of their actor.

use actor_runtime::prelude::*;

use super::{AMPLE, GRACE, Scene};
use crate::world::ANCHOR;

pub(super) async fn some(scene: &mut Scene<'_>) -> &'static str {
    let (tally, way) = (scene.tally, scene.way.name);
    let anchor = scene.way.client(ANCHOR);
    let n = scene.random.u64(..3000);
    tally.add("streams", 1);
    match scene.random.u32(..4) {
        0 => {
            let numbers = tally.good(way, "count", AMPLE, anchor.count_to(n).timeout(AMPLE)).await;
            let Some(numbers) = numbers else { return "streams" };
            let all = tally.within(GRACE, "a stream", numbers.try_collect::<Vec<u64>>()).await;
            let right = all.as_ref().is_none_or(|all| match all {
                Ok(all) => all.iter().copied().eq(0..n),
                Err(failure) => scene.way.is_far() && failure.kind() == FailureKind::ConnectionLost,
            });
            tally.check(right, || {
                format!("{way}: a stream of {n} gave {:?}", all.map(|all| all.map(|all| all.len())))
            });
        }
        1 => {
            let numbers = tally.good(way, "for ever", AMPLE, anchor.for_ever().timeout(AMPLE)).await;
            let Some(mut numbers) = numbers else { return "streams" };
            for expected in 0..n {
                let Some(Ok(Some(number))) = tally.within(GRACE, "an item", numbers.try_next()).await else {
                    break;
                };
                tally.check(number == expected, || format!("{way}: item {expected} is {number}"));
            }
            tally.add("streams left", 1);
        }
        2 => {
            let sum = tally.good(way, "sum", AMPLE, anchor.sum(stream::iter(0..n)).timeout(AMPLE));
            let sum = sum.await;
            tally.check(sum.is_none_or(|sum| sum == (0..n).sum()), || format!("{way}: a sum of {sum:?}"));
        }
        _ => {
            let (actor, client) = scene.worker("reel");
            let numbers = tally.good(way, "for ever", AMPLE, client.for_ever().timeout(AMPLE)).await;
            drop(actor.kill());
            tally.add("kills", 1);
            if let Some(mut numbers) = numbers {
                let rest = async { while let Ok(Some(_)) = numbers.try_next().await {} };
                tally.within(GRACE, &format!("{way}: a stream whose actor is killed"), rest).await;
            }
            tally.within(GRACE, "a kill", actor.ended()).await;
        }
    }
    "streams"
}
