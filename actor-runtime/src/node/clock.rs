//! The clock. Tokio's, so that a test that pauses it pauses every node.
#![expect(clippy::disallowed_methods, reason = "the node is where time comes from")]

use std::time::SystemTime;

use tokio::time::{Instant, Sleep};

pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The time of day, in milliseconds since 1970.
pub(crate) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

pub(crate) fn sleep_until(at: Instant) -> Sleep {
    tokio::time::sleep_until(at)
}

/// The calendar's time. For certificates and for people; everything that measures asks [`now`].
pub(crate) fn calendar() -> SystemTime {
    SystemTime::now()
}
