//! The trait has to be a service.

use actor_runtime::prelude::*;

struct Disk;

#[actor_service]
impl std::fmt::Debug for Disk {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}

fn main() {}
