//! Streams stand where their items have a place to go, and their readers see how they end.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    fn keys(&self) -> impl Stream;
    async fn values(&self) -> Option<impl Stream<Item = u8>>;
    async fn all(&self) -> Streaming<u8>;
    async fn load(&mut self, values: impl Stream<Item = u8>);
    async fn load_some(&mut self, values: Vec<Streaming<u8>>);
    async fn merge(&mut self, left: Streaming<u8>, right: Streaming<u8>);
    #[idempotent]
    async fn again(&mut self, values: Streaming<u8>);
    #[dedup]
    fn remembered(&self) -> impl Stream<Item = u8>;
}

fn main() {}
