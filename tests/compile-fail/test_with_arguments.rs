//! A test is called by nobody.

#[allow(unused_imports)]
use actor_runtime::prelude::*;

#[actor_runtime::test]
async fn reads(path: String) {
    let _ = path;
}

fn main() {}
