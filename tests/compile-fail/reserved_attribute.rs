//! Settled in name, not supported yet.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    #[since(2)]
    async fn size(&self) -> usize;
}

fn main() {}
