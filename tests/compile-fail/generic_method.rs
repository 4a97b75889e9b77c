//! The type is not known where the call arrives.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn put<T: Send>(&mut self, value: T);
    async fn fill<const N: usize>(&mut self, values: [u8; N]);
}

fn main() {}
