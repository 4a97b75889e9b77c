//! A stream outlives its turn, so it cannot borrow from the actor.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    fn keys(&self) -> impl Stream<Item = String>;
}

struct Shelf(Vec<String>);

#[actor_service]
impl Store for Shelf {
    fn keys(&self) -> impl Stream<Item = String> {
        stream::iter(self.0.iter().cloned())
    }
}

fn main() {}
