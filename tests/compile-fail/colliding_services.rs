//! An id names one method of an actor.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    #[id = 7]
    async fn size(&self) -> usize;
}

#[actor_service]
trait Index {
    #[id = 7]
    async fn keys(&self) -> Vec<String>;
}

struct Disk;

impl Actor for Disk {
    type Services = (StoreService, IndexService);
}

#[actor_service(part)]
impl Store for Disk {
    async fn size(&self) -> usize {
        0
    }
}

#[actor_service(part)]
impl Index for Disk {
    async fn keys(&self) -> Vec<String> {
        Vec::new()
    }
}

fn main() {
    let server: Option<ActorServer> = None;
    if let Some(server) = server {
        let _ = server.register("disk", Disk);
    }
}
