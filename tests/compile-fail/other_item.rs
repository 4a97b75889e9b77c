//! The attribute stands on traits and impls.

use actor_runtime::prelude::*;

#[actor_service]
struct Disk;

#[actor_service]
enum Kind {}

#[actor_service]
fn open() {}

#[actor_service]
mod store {}

fn main() {}
