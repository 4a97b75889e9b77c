//! A timeout has a unit.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    #[timeout = "2 seconds"]
    async fn put(&mut self);
    #[timeout = 500]
    async fn get(&self);
    #[timeout = "0ms"]
    async fn size(&self) -> usize;
}

fn main() {}
