//! Settled in name, not supported yet.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    #[idempotent]
    async fn put(&mut self);
    #[dedup]
    async fn add(&mut self);
    #[oneway]
    async fn tell(&mut self);
    #[cancel_safe]
    async fn get(&self);
    #[since(2)]
    async fn size(&self) -> usize;
}

fn main() {}
