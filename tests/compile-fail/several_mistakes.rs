//! All mistakes of a trait are reported at once, and the trait stays: its impl is not an error.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    fn size(&self) -> usize;
    async fn put(&mut self, key: Option<&str>);
    async fn name(&self) -> &str;
}

struct Disk;

impl Store for Disk {
    fn size(&self) -> usize {
        0
    }
    async fn put(&mut self, key: Option<&str>) {
        let _ = key;
    }
    async fn name(&self) -> &str {
        "disk"
    }
}

fn main() {}
