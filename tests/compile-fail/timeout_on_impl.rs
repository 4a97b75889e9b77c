//! What clients see stands in the trait.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn size(&self) -> usize;
}

struct Disk;

#[actor_service]
impl Store for Disk {
    #[timeout = "2s"]
    async fn size(&self) -> usize {
        0
    }
}

fn main() {}
