//! A name that is registered, refused, replaced and freed.

use actor_runtime::{FailureKind, Retry};

use super::{AMPLE, GRACE, Scene};
use crate::worker::Worker;

pub(super) async fn one(scene: &mut Scene<'_>) -> &'static str {
    let (tally, way) = (scene.tally, scene.way.name);
    let server = &scene.way.server;
    let name = scene.world.fresh("name");
    let first = scene.spawn(&name, Worker::default());
    let client = scene.way.client(&name);
    let add = async |expected: u64| {
        let sum = tally.good(way, "add", AMPLE, client.add(1).timeout(AMPLE)).await;
        tally.check(sum.is_none_or(|sum| sum == expected), || format!("{way}: {sum:?}, expected {expected}"));
    };
    add(1).await;
    let second = server.register(name.as_str(), Worker::default());
    tally.check(second.is_err(), || "a name was given twice".to_owned());
    let sum = if scene.random.bool() {
        let replaced = server.registration(name.as_str(), Worker::default()).replace();
        let replaced = tally.within(GRACE, "replace", replaced).await;
        tally.check(!matches!(replaced, Some(Err(_))), || "a name was not replaced".to_owned());
        tally.add("names replaced", 1);
        tally.add("spawns", 1);
        tally.within(GRACE, "what was replaced", first.ended()).await;
        1
    } else {
        2
    };
    add(sum).await;
    let had = tally.within(GRACE, "unregister", server.unregister(&name)).await;
    tally.check(had == Some(true), || format!("{way}: {name} was not there"));
    tally.add("names freed", 1);
    let gone = tally.call(way, AMPLE, client.add(1).timeout(AMPLE).retry(Retry::none())).await;
    let right = match &gone {
        Some(Err(failure)) => failure.kind() != FailureKind::Internal,
        Some(Ok(_)) => false,
        None => true,
    };
    tally.check(right, || format!("{way}: {name} is free, and answers {gone:?}"));
    "names"
}
