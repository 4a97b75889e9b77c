//! `StoreClient` has these itself.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn new(&self);
    async fn on(&self);
    async fn pool(&self);
    async fn with_options(&self);
}

fn main() {}
