//! Only a whole argument can be borrowed.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn put(&mut self, key: Option<&str>, values: Vec<&str>, pair: (u8, &u8));
}

fn main() {}
