//! What users do. Each deed ends what it began, and checks what it was told.

mod calls;
mod lives;
mod names;
mod places;
mod streams;
mod timers;
mod watches;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actor_runtime::{ActorHandle, ActorId, StopReason};
use fastrand::Rng;

use crate::{
    tally::Tally,
    worker::{WorkClient, Worker},
    world::{Way, World},
};

/// The time of a call that has to go well.
const AMPLE: Duration = Duration::from_secs(30);

/// The grace of an actor that is to end by itself.
const GRACE: Duration = Duration::from_secs(30);

/// Where something is done, and by whom.
pub(crate) struct Scene<'a> {
    pub(crate) world: &'a Arc<World>,
    pub(crate) tally: &'a Arc<Tally>,
    pub(crate) way: &'a Way,
    pub(crate) random: &'a mut Rng,
}

/// Does one thing.
pub(crate) async fn one(scene: &mut Scene<'_>) {
    let what = match scene.random.u32(..1000) {
        0..300 => calls::some(scene).await,
        300..420 => calls::in_trouble(scene).await,
        420..560 => lives::one(scene).await,
        560..640 => lives::supervised(scene).await,
        640..690 => lives::family(scene).await,
        690..760 => timers::some(scene).await,
        760..830 => watches::some(scene).await,
        830..890 => names::one(scene).await,
        890..980 => streams::some(scene).await,
        980..985 => places::group(scene).await,
        _ => places::visitor(scene).await,
    };
    scene.tally.add(&format!("deed {what}"), 1);
}

impl Scene<'_> {
    /// Starts an actor at the server.
    fn spawn(&self, name: &str, worker: Worker) -> ActorHandle {
        self.tally.add("spawns", 1);
        self.way.server.registration(name, worker).start().expect("a new name")
    }

    /// An actor of a new name, and a client of the caller.
    fn worker(&self, what: &str) -> (ActorHandle, WorkClient) {
        let name = self.world.fresh(what);
        (self.spawn(&name, Worker::default()), self.way.client(&name))
    }

    /// Ends an actor in one of the ways that there are.
    async fn end(&mut self, actor: &ActorHandle, client: &WorkClient) {
        let (tally, way) = (self.tally, self.way.name);
        let (how, right): (_, fn(&StopReason) -> bool) = match self.random.u32(..5) {
            0 => {
                drop(actor.stop(GRACE));
                ("stops", |reason| *reason == StopReason::Stopped)
            }
            1 => {
                drop(actor.stop_now());
                ("stops at once", |reason| *reason == StopReason::Stopped)
            }
            2 => {
                drop(actor.kill());
                ("kills", |reason| *reason == StopReason::Killed)
            }
            3 => {
                let ended = tally.call(way, AMPLE, client.panic().timeout(AMPLE)).await;
                tally.check(ended.is_none_or(|ended| ended.is_err()), || "a panic went well".to_owned());
                // The call may not have got there.
                if !self.has_ended(actor).await {
                    drop(actor.kill());
                }
                ("panics", |reason| matches!(reason, StopReason::Panicked { .. } | StopReason::Killed))
            }
            _ => {
                if tally.good(way, "finish", AMPLE, client.finish().timeout(AMPLE)).await.is_none() {
                    drop(actor.stop(GRACE));
                }
                ("actors that ended themselves", |reason| {
                    matches!(reason, StopReason::Finished | StopReason::Stopped)
                })
            }
        };
        tally.add(how, 1);
        if let Some(reason) = tally.within(GRACE, how, actor.ended()).await {
            tally.check(right(&reason), || format!("{way}, {how}: {reason:?}"));
        }
    }

    /// Whether it has ended, or does so in a moment.
    async fn has_ended(&self, actor: &ActorHandle) -> bool {
        tokio::time::timeout(Duration::from_secs(5), actor.ended()).await.is_ok()
    }

    /// Ends an actor without much ado.
    async fn stop(&self, actor: &ActorHandle) {
        self.tally.add("stops", 1);
        self.tally.within(GRACE, "a stop", actor.stop(GRACE)).await;
    }

    /// Whether actors are gone from the server's node.
    fn are_gone(&self, actors: &[ActorId]) -> bool {
        let running = self.way.server.node().actors();
        !running.actors.iter().any(|actor| actors.contains(&actor.id))
    }
}

/// Looks again and again until it is so, as long as it may take.
async fn until(tally: &Tally, what: &str, mut so: impl AsyncFnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !so().await {
        if begun.elapsed() > Duration::from_secs(60) {
            tally.wrong(format!("{what}: not after {:?}", begun.elapsed()));
            return false;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    true
}
