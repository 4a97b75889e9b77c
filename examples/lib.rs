//! The programs stand beside this file: `cargo run --example quickstart`.
