//! A reply has one concrete type.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn keys(&self) -> impl Iterator<Item = String>;
}

fn main() {}
