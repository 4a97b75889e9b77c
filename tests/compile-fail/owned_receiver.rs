//! A call cannot consume its actor.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn close(self)
    where
        Self: Sized;
}

fn main() {}
