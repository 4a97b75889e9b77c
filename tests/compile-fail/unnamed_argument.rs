//! An argument's name is a part of the service's description.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn put(&mut self, _: u8);
}

fn main() {}
