//! `part` is for impls.

use actor_runtime::prelude::*;

#[actor_service(part)]
trait Store {
    async fn size(&self) -> usize;
}

fn main() {}
