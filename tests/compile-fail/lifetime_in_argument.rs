//! What arrives is owned by the call. Inside of a type `'static` says just that.

use actor_runtime::prelude::*;

use std::borrow::Cow;

#[actor_service]
trait Store {
    async fn put(&mut self, key: &'static str, value: Cow<'_, str>);
    async fn name(&self, fine: Cow<'static, str>) -> Cow<'static, str>;
}

fn main() {}
