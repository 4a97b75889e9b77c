//! An actor has one `impl Actor`; with several services the user writes it.

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

#[actor_service]
impl Store for Disk {
    async fn size(&self) -> usize {
        0
    }
}

#[actor_service]
impl Index for Disk {
    async fn keys(&self) -> Vec<String> {
        Vec::new()
    }
}

fn main() {}
