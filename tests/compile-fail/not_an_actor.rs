//! Without the attribute on the impl the type is not an actor.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn size(&self) -> usize;
}

struct Disk;

impl Store for Disk {
    async fn size(&self) -> usize {
        0
    }
}

fn register(server: &ActorServer) {
    let _ = server.register("disk", Disk);
}

fn main() {}
