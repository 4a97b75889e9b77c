//! The clock. Tokio's, so that a test that pauses it pauses every node.
#![expect(clippy::disallowed_methods, reason = "the node is where time comes from")]

use std::time::SystemTime;

use tokio::time::{Instant, Sleep};

pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) fn sleep_until(at: Instant) -> Sleep {
    tokio::time::sleep_until(at)
}

/// The calendar's time. For certificates; everything that measures asks [`now`].
pub(crate) fn calendar() -> SystemTime {
    SystemTime::now()
}
