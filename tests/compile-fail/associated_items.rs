//! Clients know the trait and not the actor.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    type Key;
    const LIMIT: usize;
    async fn put(&mut self, value: u8);
}

fn main() {}
