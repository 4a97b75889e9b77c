//! What `#[actor_runtime::main]` and `#[actor_runtime::test]` run a program in.

use std::future::Future;

use tokio::runtime::Builder;

use crate::{LocalCalls, Node};

/// Runs a program on a multi-threaded runtime.
pub fn main<T>(future: impl Future<Output = T>) -> T {
    run(Builder::new_multi_thread(), future)
}

/// Runs a test on a runtime of its own, inside the scope of a node of its own that encodes every call.
pub fn test<T>(future: impl Future<Output = T>) -> T {
    run(Builder::new_current_thread(), scoped(future))
}

/// As [`test()`], on a clock that stands until every task waits.
#[cfg(feature = "testing")]
pub fn test_paused<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = Builder::new_current_thread();
    runtime.start_paused(true);
    run(runtime, scoped(future))
}

async fn scoped<T>(future: impl Future<Output = T>) -> T {
    match Node::builder().local_calls(LocalCalls::Encoded).build() {
        Ok(node) => node.scope(future).await,
        Err(error) => panic!("{error}"),
    }
}

fn run<T>(mut runtime: Builder, future: impl Future<Output = T>) -> T {
    match runtime.enable_all().build() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => panic!("the tokio runtime could not be started: {error}"),
    }
}
