//! The attribute marks the impl of a service trait.

use actor_runtime::prelude::*;

struct Disk;

#[actor_service]
impl Disk {
    async fn size(&self) -> usize {
        0
    }
}

fn main() {}
