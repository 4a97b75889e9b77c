//! The clock. Tokio's, so that a test that pauses it pauses every node.
#![expect(clippy::disallowed_methods, reason = "the node is where time comes from")]

use tokio::time::{Instant, Sleep};

pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) fn sleep_until(at: Instant) -> Sleep {
    tokio::time::sleep_until(at)
}
