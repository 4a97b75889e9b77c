//! Timers: once, again and again, cancelled, replaced, and left behind by their actor.

use std::time::Duration;

use super::{AMPLE, Scene, until};
use crate::worker::Worker;

const ONCE: u64 = 1;
const CANCELLED: u64 = 2;
const PERIODIC: u64 = 3;
const REPLACED: u64 = 4;
const NEVER: u64 = 5;

pub(super) async fn some(scene: &mut Scene<'_>) -> &'static str {
    let (tally, way) = (scene.tally, scene.way.name);
    let name = scene.world.fresh("timers");
    let worker = Worker::default();
    let set = worker.timers.clone();
    let actor = scene.spawn(&name, worker);
    let client = scene.way.client(&name);
    let done = async {
        let good =
            async |call: actor_runtime::Call<_>| tally.good(way, "a timer", AMPLE, call.timeout(AMPLE)).await;
        good(client.once(ONCE, scene.random.u64(..20))).await?;
        good(client.once(CANCELLED, 60_000)).await?;
        good(client.periodic(PERIODIC, scene.random.u64(1..5))).await?;
        good(client.once(REPLACED, 60_000)).await?;
        good(client.once(REPLACED, scene.random.u64(..10))).await?;
        good(client.once(NEVER, 60_000)).await?;
        tally.add("timers set", 6);
        let fired = async |id| tally.good(way, "fired", AMPLE, client.fired(id).timeout(AMPLE)).await;
        let cancel = async |id| tally.good(way, "cancel", AMPLE, client.cancel(id).timeout(AMPLE)).await;
        tally.check(cancel(CANCELLED).await? == 0, || "a timer of a minute fired".to_owned());
        until(tally, "timers that fire", async || {
            let all = async {
                Some(fired(ONCE).await? > 0 && fired(REPLACED).await? > 0 && fired(PERIODIC).await? > 2)
            };
            all.await.unwrap_or(true)
        })
        .await;
        let times = cancel(PERIODIC).await?;
        tally.add("timers cancelled", 2);
        tokio::time::sleep(Duration::from_millis(10)).await;
        let after = fired(PERIODIC).await?;
        tally.check(times == after, || {
            format!("{way}: cancelled after {times} times, it fired {after} times")
        });
        for (id, times) in [(ONCE, 1), (REPLACED, 1), (CANCELLED, 0), (NEVER, 0)] {
            let fired = fired(id).await?;
            tally.check(fired == times, || format!("{way}: timer {id} fired {fired} times"));
        }
        tally.add("timers fired", 2 + times);
        Some(())
    };
    let _ = done.await;
    scene.end(&actor, &client).await;
    let gone = async || set.get().is_none_or(actor_runtime::Timers::is_empty);
    until(tally, "the timers of an actor that has ended", gone).await;
    "timers"
}
