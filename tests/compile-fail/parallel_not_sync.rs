//! Only turns of a `Sync` actor run on several tasks.

use actor_runtime::prelude::*;

use std::cell::Cell;

#[actor_service]
trait Store {
    async fn grow(&mut self) -> usize;
}

struct Disk(Cell<usize>);

#[actor_service]
impl Store for Disk {
    async fn grow(&mut self) -> usize {
        self.0.get()
    }
}

fn register(server: &ActorServer) {
    let _ = server.registration("disk", Disk(Cell::new(0))).parallel(2).register();
}

fn main() {}
