//! An actor that watches others: each end is told exactly once, and not at all if it watches no more.

use std::{collections::BTreeMap, time::Duration};

use super::{AMPLE, Scene, until};
use crate::worker::{WorkClient, Worker};

pub(super) async fn some(scene: &mut Scene<'_>) -> &'static str {
    let (tally, way) = (scene.tally, scene.way.name);
    let address = scene.way.server.address().to_string();
    // It lives where calls come from.
    let watcher = scene.way.caller.unnamed_actor(Worker::default()).start().expect("the node runs");
    tally.add("spawns", 1);
    let client: WorkClient = watcher.client();
    let watched: Vec<_> = (0..scene.random.u32(1..6)).map(|_| scene.worker("watched")).collect();
    let mut expected = BTreeMap::new();
    for (actor, _) in &watched {
        let name = actor.name().to_owned();
        let watch = client.watch(name.clone(), address.clone()).timeout(AMPLE);
        if tally.good(way, "watch", AMPLE, watch).await.is_some() {
            expected.insert(name, 1);
        }
    }
    tally.add("watches", expected.len() as u64);
    if let Some((name, _)) = expected.first_key_value().filter(|_| scene.random.bool()) {
        let name = name.clone();
        if tally.good(way, "unwatch", AMPLE, client.unwatch(name.clone()).timeout(AMPLE)).await == Some(true)
        {
            expected.remove(&name);
            tally.add("watches ended", 1);
        }
    }
    for (actor, worker) in &watched {
        scene.end(actor, worker).await;
    }
    let told =
        async || tally.good(way, "downs", AMPLE, client.downs().timeout(AMPLE)).await.unwrap_or_default();
    until(tally, "ends that are told", async || told().await.len() >= expected.len()).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    let downs = told().await;
    // A lost connection is told before its actor ends, also if it is watched no more by then.
    tally.check(downs == expected, || format!("{way}: told {downs:?}, expected {expected:?}"));
    tally.add("downs told", downs.values().sum());
    scene.stop(&watcher).await;
    "watches"
}
