//! Serde says so at the field.

use actor_runtime::prelude::*;

struct Plain;

#[message]
struct Key {
    plain: Plain,
}

fn main() {}
