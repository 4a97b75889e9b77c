//! An argument is a plain name.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn put(&mut self, (key, value): (u8, u8)) {
        let _ = (key, value);
    }
}

fn main() {}
