//! Raw datagrams in `network`, endpoints of QUIC in `endpoints`, whether runs repeat in `repeats`.

mod endpoints;
mod network;
mod quic;
mod repeats;

use std::time::Duration;

use tokio::time::Instant;

use crate::node::clock;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

async fn sleep(duration: Duration) {
    clock::sleep_until(clock::now() + duration).await;
}

/// Runs with a paused clock, as `#[tokio::test(start_paused = true)]` does, but as often as one likes.
fn simulate<T>(run: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(run)
}

fn since(start: Instant) -> Duration {
    clock::now() - start
}
