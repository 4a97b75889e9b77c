//! An actor moves to its task, and so is `Send`.

use actor_runtime::prelude::*;

use std::rc::Rc;

#[actor_service]
trait Store {
    async fn grow(&mut self) -> usize;
}

struct Disk(Rc<usize>);

#[actor_service]
impl Store for Disk {
    async fn grow(&mut self) -> usize {
        *self.0
    }
}

fn main() {}
