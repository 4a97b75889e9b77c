//! A method has no `where` clause.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn size(&self) -> usize
    where
        u8: Copy;
}

fn main() {}
