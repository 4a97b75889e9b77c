//! A service has one meaning on the wire, so its trait is not generic.

use actor_runtime::prelude::*;

#[actor_service]
trait Store<T> {
    async fn put(&mut self, value: u8);
}

fn main() {}
