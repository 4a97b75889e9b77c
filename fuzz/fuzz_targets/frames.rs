//! Cuts bytes into frames: chunks of any length, each with its length in front.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| actor_runtime::__fuzz::frames(bytes));
