//! The runtime owns the actor.

use actor_runtime::prelude::*;

use std::sync::Arc;

#[actor_service]
trait Store {
    async fn size(self: Arc<Self>) -> usize;
}

fn main() {}
