//! As for arguments.

use actor_runtime::prelude::*;

struct Plain;

#[actor_service]
trait Store {
    async fn get(&self) -> Plain;
    async fn find(&self) -> Result<u8, Plain>;
}

fn main() {}
