//! What is sent cannot be changed where it came from.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn fill(&self, buffer: &mut [u8]);
}

fn main() {}
