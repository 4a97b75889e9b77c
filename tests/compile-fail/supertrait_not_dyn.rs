//! `dyn Store` has to be a type.

use actor_runtime::prelude::*;

#[actor_service]
trait Store: Clone + Default {
    async fn put(&mut self, value: u8);
}

fn main() {}
