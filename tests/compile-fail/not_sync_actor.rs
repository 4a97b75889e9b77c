//! `&self` methods may overlap, so that their actor is `Sync`.

use actor_runtime::prelude::*;

use std::cell::Cell;

#[actor_service]
trait Store {
    async fn size(&self) -> usize;
}

struct Disk(Cell<usize>);

#[actor_service]
impl Store for Disk {
    async fn size(&self) -> usize {
        self.0.get()
    }
}

fn main() {}
