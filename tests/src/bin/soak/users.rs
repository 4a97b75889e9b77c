//! Who does it all: some at a time, each with a random number generator of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fastrand::Rng;
use futures::future::join_all;

use crate::{
    deeds::{self, Scene},
    tally::Tally,
    world::World,
};

/// How many do something at once. Each has some ten actors at most.
const USERS: u64 = 24;

/// Has them do things for so long, and waits until all have ended what they did.
pub(crate) async fn run(world: &Arc<World>, tally: &Arc<Tally>, seed: u64, time: Duration) {
    let until = Instant::now() + time;
    let users = (0..USERS).map(async |user| {
        let mut random = Rng::with_seed(seed.wrapping_mul(USERS).wrapping_add(user));
        while Instant::now() < until {
            let way = &world.ways[random.usize(..world.ways.len())];
            deeds::one(&mut Scene { world, tally, way, random: &mut random }).await;
            tokio::time::sleep(Duration::from_millis(random.u64(0..4))).await;
        }
    });
    join_all(users).await;
}
