//! Time that a test lets pass.

use std::time::Duration;

use crate::node::clock;

/// Lets time pass on the runtime's clock: under `#[actor_runtime::test(start_paused = true)]` at once, with everything that is
/// due meanwhile at its time and in its order; elsewhere it takes as long as it says.
///
/// A paused clock goes on by itself when every task waits, to the next time that somebody waits for. So deadlines, timers and
/// pauses take no real time, and a test says how long they took.
///
/// ```
/// # use actor_runtime::{prelude::*, testing};
/// #[actor_runtime::test(start_paused = true)]
/// async fn an_hour_takes_no_time() {
///     testing::pass(Duration::from_secs(3_600)).await;
/// }
/// ```
///
/// # Cancel safety
/// It can be dropped at any time.
pub async fn pass(time: Duration) {
    clock::sleep_until(clock::now() + time).await;
}
