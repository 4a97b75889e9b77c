//! `Services` lists what the attribute made of each trait.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn size(&self) -> usize;
}

struct Disk;

impl Actor for Disk {
    type Services = (StoreClient,);
}

#[actor_service(part)]
impl Store for Disk {
    async fn size(&self) -> usize {
        0
    }
}

fn main() {}
