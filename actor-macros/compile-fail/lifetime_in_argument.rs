//! What arrives is owned by the call.

use actor_runtime::prelude::*;

use std::borrow::Cow;

#[actor_service]
trait Store {
    async fn put(&mut self, key: &'static str, value: Cow<'_, str>);
}

fn main() {}
