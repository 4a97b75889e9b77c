//! Streams are not there yet.

use actor_runtime::prelude::*;

trait Stream {
    type Item;
}

#[actor_service]
trait Store {
    fn keys(&self) -> impl Stream<Item = String>;
    async fn values(&self) -> Result<impl Stream<Item = u8>, String>;
    async fn load(&mut self, values: impl Stream<Item = u8>);
}

fn main() {}
