//! What the compiler says about mistakes, word for word.
//!
//! Each `compile-fail/*.rs` is one mistake, and the file beside it what its author reads. To write those files anew:
//! `TRYBUILD=overwrite cargo test -p tests --test compile_fail`; then read the difference.

use std::{env, io::Write, process::Command};

/// The words around ours are the compiler's own, and change with it.
const COMPILER: &str = "rustc 1.95.";

#[test]
fn mistakes_are_explained() {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().expect("rustc runs");
    let version = String::from_utf8_lossy(&output.stdout);
    if version.starts_with(COMPILER) {
        trybuild::TestCases::new().compile_fail("compile-fail/*.rs");
    } else {
        // Not `eprintln!`, which the test harness keeps to itself.
        let line =
            format!("SKIPPED: compile-fail/*.stderr are written for {COMPILER}x, and this is {version}\n");
        std::io::stderr().write_all(line.as_bytes()).expect("stderr is open");
    }
}
