//! `#[message]` derives these already.

use actor_runtime::prelude::*;

#[message]
#[derive(Debug, Serialize)]
struct Key(u8);

fn main() {}
