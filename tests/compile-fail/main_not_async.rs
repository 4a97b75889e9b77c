//! `main` runs a future.

#[allow(unused_imports)]
use actor_runtime::prelude::*;

#[actor_runtime::main]
fn main() {}
