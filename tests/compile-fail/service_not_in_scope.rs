//! The trait, and what is generated beside it, have to be imported.

use actor_runtime::prelude::*;

mod api {
    use actor_runtime::prelude::*;

    #[actor_service]
    pub(crate) trait Store {
        async fn size(&self) -> usize;
    }
}

struct Disk;

#[actor_service]
impl Store for Disk {
    async fn size(&self) -> usize {
        0
    }
}

struct Tape;

impl Actor for Tape {
    type Services = (StoreService,);
}

#[actor_service(part)]
impl api::Store for Tape {
    async fn size(&self) -> usize {
        0
    }
}

fn main() {}
