//! The other side does not know the type of a trait object.

use actor_runtime::prelude::*;

use std::fmt::Display;

#[actor_service]
trait Store {
    async fn put(&mut self, value: Box<dyn Display + Send>, visit: fn(u8), at: *const u8);
}

fn main() {}
