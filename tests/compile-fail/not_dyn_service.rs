//! A supertrait whose name says nothing rules out `dyn Store` as well.

use actor_runtime::prelude::*;

trait Named {
    fn name() -> String;
}

#[actor_service]
trait Store: Named {
    async fn size(&self) -> usize;
}

fn main() {}
