//! A call of another type is not the answer.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn get(&self, reply: ReplyTo<u64>);
    async fn name(&self) -> String;
}

struct Front {
    back: StoreClient,
}

#[actor_service]
impl Store for Front {
    async fn get(&self, reply: ReplyTo<u64>) {
        reply.forward(self.back.name());
    }
    async fn name(&self) -> String {
        String::new()
    }
}

fn main() {}
