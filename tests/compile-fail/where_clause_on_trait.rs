//! What actors must implement is a supertrait.

use actor_runtime::prelude::*;

#[actor_service]
trait Store
where
    Self: std::fmt::Debug,
{
    async fn put(&mut self, value: u8);
}

fn main() {}
