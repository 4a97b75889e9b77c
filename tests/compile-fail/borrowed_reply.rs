//! A reply is sent to the caller.

use actor_runtime::prelude::*;

use std::borrow::Cow;

#[actor_service]
trait Store {
    async fn name(&self) -> &str;
    async fn title(&self) -> Cow<'_, str>;
    async fn find(&self) -> Option<&u8>;
}

fn main() {}
