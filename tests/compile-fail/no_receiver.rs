//! A method is called on an actor.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn open(path: String);
    async fn close();
}

fn main() {}
