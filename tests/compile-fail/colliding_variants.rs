//! Both would be `PutAll` in the request.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn put_all(&mut self);
    async fn put__all(&mut self);
}

fn main() {}
