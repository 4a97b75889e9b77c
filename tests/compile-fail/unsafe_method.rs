//! Callers may be other programs.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async unsafe fn size(&self) -> usize;
}

fn main() {}
