//! Fields are written without their names, so that both sides have to have the same ones.

use actor_runtime::prelude::*;

#[message]
struct Profile {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nickname: Option<String>,
    #[serde(skip_serializing)]
    password: String,
    #[serde(flatten)]
    address: Address,
    #[serde(skip)]
    cached: Option<u64>,
}

#[message]
struct Address {
    city: String,
}

fn main() {}
