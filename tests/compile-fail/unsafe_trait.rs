//! Callers may be other programs.

use actor_runtime::prelude::*;

#[actor_service]
unsafe trait Store {
    async fn put(&mut self, value: u8);
}

fn main() {}
