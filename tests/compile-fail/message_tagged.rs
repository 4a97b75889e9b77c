//! Serde's other ways to write an enum need an encoding that says what its bytes are.

use actor_runtime::prelude::*;

#[message]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
enum Shape {
    Circle { radius: f64 },
    #[serde(skip_deserializing)]
    Unknown,
}

#[message]
#[serde(untagged)]
enum Id {
    Number(u64),
    Name(String),
}

fn main() {}
