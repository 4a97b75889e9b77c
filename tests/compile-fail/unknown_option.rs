//! The known options are listed.

use actor_runtime::prelude::*;

#[actor_service(timeout = "2s")]
trait Store {
    async fn put(&mut self);
}

fn main() {}
