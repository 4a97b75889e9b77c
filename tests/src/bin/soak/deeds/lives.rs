//! Lives of actors, alone, with a supervisor, with children.

use std::time::Duration;

use actor_runtime::{
    DownReason, FailureKind, Monitor, StopReason,
    supervise::{Child, Strategy, Supervisor},
};

use super::{AMPLE, GRACE, Scene, until};
use crate::worker::{WorkClient, Worker};

/// One actor, which is called, watched and ended.
pub(super) async fn one(scene: &mut Scene<'_>) -> &'static str {
    let (tally, way) = (scene.tally, scene.way);
    let (actor, client) = scene.worker("life");
    for _ in 0..scene.random.u32(..8) {
        tally.good(way.name, "add", AMPLE, client.add(1).timeout(AMPLE)).await;
    }
    let monitor = Monitor::begin(&client).await;
    scene.end(&actor, &client).await;
    let reason = actor.ended().await;
    if let Some(down) = tally.within(GRACE, "a monitor", monitor).await {
        tally.add("downs told", 1);
        let right = match &down.reason {
            DownReason::Stopped(_) => !reason.is_failure() && reason != StopReason::Killed,
            DownReason::Killed(_) => reason == StopReason::Killed,
            DownReason::Failed(_) => reason.is_failure(),
            DownReason::Gone => false,
            DownReason::Lost(_) => {
                tally.add("downs told of a lost node", 1);
                way.is_far()
            }
            _ => false,
        };
        tally.check(right, || format!("{}: {reason:?} was told as {:?}", way.name, down.reason));
    }
    // One that has ended is down at once.
    if scene.random.u32(..4) == 0 {
        let late = async { Monitor::begin(&client).await.await };
        if let Some(down) = tally.within(GRACE, "a late monitor", late).await {
            tally.add("downs told", 1);
            let right = matches!(down.reason, DownReason::Gone) || way.is_far();
            tally.check(right, || format!("{}: long after, {:?}", way.name, down.reason));
        }
    }
    "life"
}

/// Some actors whose supervisor restarts them.
pub(super) async fn supervised(scene: &mut Scene<'_>) -> &'static str {
    let (tally, way) = (scene.tally, scene.way.name);
    let strategy = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne][scene.random.usize(..3)];
    let children = scene.random.u64(1..4);
    let names: Vec<String> = (0..children).map(|_| scene.world.fresh("child")).collect();
    let gives_up = scene.random.u32(..4) == 0;
    let allowed = if gives_up { 1 } else { 1000 };
    let mut supervisor = Supervisor::new(strategy)
        .intensity(allowed, Duration::from_secs(600))
        .backoff(Duration::from_millis(1), Duration::from_millis(5));
    for name in &names {
        supervisor = supervisor.child(Child::new(name, Worker::default).mailbox(16));
    }
    let supervisor = supervisor.start(scene.way.server.node()).expect("new names");
    tally.add("spawns", children);
    let clients: Vec<WorkClient> = names.iter().map(|name| scene.way.client(name)).collect();
    for _ in 0..scene.random.u32(1..4) {
        if gives_up {
            break;
        }
        let client = &clients[scene.random.usize(..clients.len())];
        crash(scene, client).await;
        for client in &clients {
            // It may have been queued in a run that makes way for the next one.
            for _ in 0..20 {
                let Some(Err(failure)) = tally.call(way, AMPLE, client.add(1).timeout(AMPLE)).await else {
                    break;
                };
                tally
                    .check(failure.kind() != FailureKind::NotFound, || format!("a child is gone: {failure}"));
            }
        }
    }
    if gives_up {
        for _ in 0..2 {
            crash(scene, &clients[0]).await;
        }
        if scene.way.is_far() {
            // A connection may have been lost, and with it the second panic.
            drop(supervisor.stop(GRACE));
        }
        if let Some(reason) = tally.within(GRACE, "a supervisor that gives up", supervisor.ended()).await {
            let right = matches!(reason, StopReason::RestartsExhausted { .. }) || scene.way.is_far();
            tally.check(right, || format!("{way}: it gave up as {reason:?}"));
            tally.add("supervisors that gave up", 1);
        }
    } else {
        let kill = scene.random.bool();
        let ended = if kill { supervisor.kill() } else { supervisor.stop(GRACE) };
        tally.within(GRACE, "a supervisor", ended).await;
        tally.add("supervisors ended", 1);
    }
    let ids: Vec<_> = names.iter().filter_map(|name| Some(supervisor.child(name)?.id())).collect();
    let scene = &*scene;
    until(tally, "a supervisor's children", async || scene.are_gone(&ids)).await;
    "supervised"
}

async fn crash(scene: &Scene<'_>, client: &WorkClient) {
    let ended = scene.tally.call(scene.way.name, AMPLE, client.panic().timeout(AMPLE)).await;
    if matches!(ended, Some(Err(failure)) if failure.kind() == FailureKind::Panicked) {
        scene.tally.add("restarts", 1);
    }
}

/// An actor that has started others.
pub(super) async fn family(scene: &mut Scene<'_>) -> &'static str {
    let (tally, way) = (scene.tally, scene.way.name);
    let (actor, client) = scene.worker("parent");
    let children = scene.random.u64(1..5);
    let mut all = vec![actor.id()];
    if let Some(hired) = tally.good(way, "hire", AMPLE, client.hire(children).timeout(AMPLE)).await {
        tally.add("spawns", children);
        all.extend(hired);
    }
    scene.end(&actor, &client).await;
    let scene = &*scene;
    until(tally, "a parent's children", async || scene.are_gone(&all)).await;
    "family"
}
