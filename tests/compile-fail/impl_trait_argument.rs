//! An argument has one concrete type.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn put(&mut self, value: impl Into<String>);
}

fn main() {}
