//! An id is a number above zero.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    #[id = 0]
    async fn put(&mut self);
    #[id = "get"]
    async fn get(&self);
    #[id(3)]
    async fn size(&self) -> usize;
}

fn main() {}
