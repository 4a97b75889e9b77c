//! An id names one method.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    #[id = 7]
    async fn put(&mut self);
    #[id = 7]
    async fn get(&self);
}

fn main() {}
