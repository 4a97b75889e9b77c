//! The trait needs the attribute too.

use actor_runtime::prelude::*;

trait Store {
    fn size(&self) -> usize;
}

struct Disk;

#[actor_service]
impl Store for Disk {
    fn size(&self) -> usize {
        0
    }
}

trait Index {
    async fn keys(&self) -> Vec<String>;
}

struct Tape;

#[actor_service]
impl Index for Tape {
    async fn keys(&self) -> Vec<String> {
        Vec::new()
    }
}

fn main() {}
