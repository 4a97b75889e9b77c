//! A list of operations against one machine of the protocol, its bounds checked after each.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| actor_runtime::__fuzz::machine(bytes));
