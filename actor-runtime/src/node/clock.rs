//! The clock. Tokio's, so that a test that pauses it pauses every node.
#![expect(clippy::disallowed_methods, reason = "the node is where time comes from")]

use std::time::{Duration, SystemTime};

use tokio::time::{Instant, Sleep};

pub(crate) fn now() -> Instant {
    Instant::now()
}

/// So long after that time, or as much later as no program runs, if no clock can tell it.
pub(crate) fn later(at: Instant, time: Duration) -> Instant {
    const THIRTY_YEARS: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    at.checked_add(time).unwrap_or_else(|| at + THIRTY_YEARS)
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
