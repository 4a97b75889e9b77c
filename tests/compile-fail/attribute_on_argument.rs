//! All callers send the same arguments.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn put(&mut self, #[cfg(unix)] mode: u32);
}

fn main() {}
