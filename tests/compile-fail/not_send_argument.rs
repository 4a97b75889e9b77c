//! Everything that is sent is `Send`; the error is on the argument's type.

use actor_runtime::prelude::*;

use std::rc::Rc;

#[actor_service]
trait Store {
    async fn put(&mut self, value: Rc<u8>);
}

fn main() {}
