//! Every method is a call.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    fn size(&self) -> usize;
}

fn main() {}
