//! A turn may move between threads; the error is in the actor's method.

use actor_runtime::prelude::*;

use std::rc::Rc;

#[actor_service]
trait Store {
    async fn size(&self) -> usize;
}

struct Disk;

#[actor_service]
impl Store for Disk {
    async fn size(&self) -> usize {
        let size = Rc::new(3);
        std::future::ready(()).await;
        *size
    }
}

fn main() {}
