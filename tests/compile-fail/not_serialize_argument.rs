//! Everything that is sent has serde's traits; the error is on the argument's type.

use actor_runtime::prelude::*;

struct Plain;

#[actor_service]
trait Store {
    async fn put(&mut self, value: Plain);
}

fn main() {}
