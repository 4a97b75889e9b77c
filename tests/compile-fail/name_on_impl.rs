//! An actor gets the service's name from the trait.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn size(&self) -> usize;
}

struct Disk;

#[actor_service(name = "disk.Store")]
impl Store for Disk {
    async fn size(&self) -> usize {
        0
    }
}

fn main() {}
