//! A message is a struct or an enum.

use actor_runtime::prelude::*;

#[message]
fn open() {}

fn main() {}
