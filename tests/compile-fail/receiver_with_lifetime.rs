//! A reply cannot borrow from the actor.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn size<'a>(&'a self) -> usize;
}

fn main() {}
