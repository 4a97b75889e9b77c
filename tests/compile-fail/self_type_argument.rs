//! `Self` stays where it runs.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn merge(&mut self, other: Vec<Self>)
    where
        Self: Sized;
}

fn main() {}
