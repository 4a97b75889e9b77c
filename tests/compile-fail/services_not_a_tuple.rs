//! `Services` is a tuple, also of one.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn size(&self) -> usize;
}

struct Disk;

impl Actor for Disk {
    type Services = StoreService;
}

#[actor_service(part)]
impl Store for Disk {
    async fn size(&self) -> usize {
        0
    }
}

fn main() {}
