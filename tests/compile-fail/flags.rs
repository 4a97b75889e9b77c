//! Attributes that do not go with the method, or with each other.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    #[idempotent]
    #[dedup]
    async fn put(&mut self);
    #[oneway]
    async fn tell(&mut self) -> u64;
    #[oneway]
    #[idempotent]
    async fn note(&mut self);
    #[cancel_safe]
    async fn get(&self);
    #[dedup(100)]
    async fn add(&mut self);
}

fn main() {}
