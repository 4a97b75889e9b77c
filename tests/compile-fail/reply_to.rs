//! A `ReplyTo` at the wrong place, or beside another reply.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn first(&self, reply: ReplyTo<u64>, key: String);
    async fn twice(&self, one: ReplyTo<u64>, other: ReplyTo<u64>);
    async fn both(&self, reply: ReplyTo<u64>) -> u64;
    #[oneway]
    async fn neither(&self, reply: ReplyTo<u64>);
    async fn nothing(&self, reply: ReplyTo);
    async fn borrowed(&self, reply: ReplyTo<&str>);
}

fn main() {}
