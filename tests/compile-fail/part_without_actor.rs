//! `part` leaves `impl Actor` to the user.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn size(&self) -> usize;
}

struct Disk;

#[actor_service(part)]
impl Store for Disk {
    async fn size(&self) -> usize {
        0
    }
}

fn register(server: &ActorServer) {
    let _ = server.register("disk", Disk);
}

fn main() {}
