//! A macro cannot be seen through.

use actor_runtime::prelude::*;

macro_rules! methods {
    () => {
        async fn put(&mut self, value: u8);
    };
}

#[actor_service]
trait Store {
    methods!();
}

fn main() {}
