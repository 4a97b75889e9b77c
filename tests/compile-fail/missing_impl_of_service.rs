//! What `Services` lists, the actor implements.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn size(&self) -> usize;
}

#[actor_service]
trait Index {
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

fn main() {}
