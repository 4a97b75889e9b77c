//! A backend that has had too much asks for a pause.

use std::time::Duration;

use hyper::{HeaderMap, header::RETRY_AFTER};
use tokio::time::Instant;

use crate::{
    clock,
    sync::{Mutex, lock},
};

/// The longest pause that a backend can ask for.
const LONGEST: Duration = Duration::from_secs(300);

/// Until when a backend is left alone.
#[derive(Debug, Default)]
pub(crate) struct Holdoff {
    until: Mutex<Option<Instant>>,
}

impl Holdoff {
    /// It is left alone for this long from now on, at most five minutes.
    pub(crate) fn begin(&self, time: Duration) {
        let until = clock::now() + time.min(LONGEST);
        let mut present = lock(&self.until);
        *present = (*present).max(Some(until));
    }

    /// Ends when it may be asked again.
    pub(crate) async fn passed(&self) {
        loop {
            let until = *lock(&self.until);
            let left = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(clock::now()));
            if left.is_zero() {
                return;
            }
            clock::sleep(left).await;
        }
    }
}

/// The pause that an answer asks for, in seconds. A date is not understood: a clock that differs would make it anything.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_backend_is_left_alone_for_as_long_as_it_asks_but_not_for_ever() {
        let (holdoff, began) = (Holdoff::default(), clock::now());
        holdoff.passed().await;
        assert_eq!(clock::now(), began);
        holdoff.begin(Duration::from_secs(7));
        holdoff.begin(Duration::from_secs(2));
        holdoff.passed().await;
        assert_eq!(began.elapsed().as_secs(), 7);
        holdoff.begin(Duration::from_secs(u64::MAX));
        holdoff.passed().await;
        assert_eq!(began.elapsed().as_secs(), 307);
    }
}
