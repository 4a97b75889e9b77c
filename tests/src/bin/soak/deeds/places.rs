//! Threads and nodes that come and go.

use actor_runtime::{FixedResolver, Group, NetworkMode};

use super::{AMPLE, Scene};
use crate::{
    worker::{WorkClient, Worker},
    world::{ANCHOR, networked},
};

/// An actor on a thread of its own.
pub(super) async fn group(scene: &mut Scene<'_>) -> &'static str {
    let (tally, way) = (scene.tally, scene.way.name);
    let group = Group::builder().name("soak").threads(1).build().expect("a thread");
    let name = scene.world.fresh("grouped");
    let registration = scene.way.server.registration(name.as_str(), Worker::default());
    let actor = registration.group(&group).start().expect("a new name");
    tally.add("spawns", 1);
    let client = scene.way.client(&name);
    for n in 1..scene.random.u64(2..20) {
        let sum = tally.good(way, "add", AMPLE, client.add(1).timeout(AMPLE)).await;
        tally.check(sum.is_none_or(|sum| sum == n), || format!("{way}: {sum:?}, expected {n}"));
    }
    scene.end(&actor, &client).await;
    tally.add("groups", 1);
    "groups"
}

/// A node that connects to the server, calls, and is dropped.
pub(super) async fn visitor(scene: &mut Scene<'_>) -> &'static str {
    let tally = scene.tally;
    let far = scene.world.ways.iter().find(|way| way.is_far()).expect("there is one");
    let mode = if scene.random.bool() { NetworkMode::Shared } else { NetworkMode::OwnThread };
    let node = networked("visitor", mode);
    let anchor = WorkClient::on(&node, &FixedResolver::new([(ANCHOR, far.server.address())]), ANCHOR);
    for n in 0..scene.random.u64(1..5) {
        let echo = tally.good("visitor", "echo", AMPLE, anchor.echo(n).timeout(AMPLE)).await;
        tally.check(echo.is_none_or(|echo| echo == n), || format!("visitor: {n} came back as {echo:?}"));
    }
    // What it leaves behind ends with it.
    let stream = match scene.random.bool() {
        true => tally.good("visitor", "for ever", AMPLE, anchor.for_ever().timeout(AMPLE)).await,
        false => None,
    };
    drop((anchor, node));
    drop(stream);
    tally.add("visitors", 1);
    "visitors"
}
