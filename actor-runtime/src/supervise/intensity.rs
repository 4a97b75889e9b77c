//! How often children may be restarted, and how long the pauses before are.

use std::{collections::VecDeque, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

/// At most so many restarts in so much time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intensity {
    pub(super) restarts: u32,
    pub(super) within: Duration,
}

/// The restarts of one supervisor.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    recent: VecDeque<Instant>,
}

impl Restarts {
    /// A child is to be restarted. The number of times within the window, this one included, if that is once too often.
    pub(super) fn count(&mut self, now: Instant, allowed: Intensity) -> Result<(), u32> {
        if allowed.restarts == u32::MAX {
            // No bound: nothing is kept, however often it fails.
            return Ok(());
        }
        let recent = |at: &Instant| now.saturating_duration_since(*at) < allowed.within;
        while self.recent.front().is_some_and(|at| !recent(at)) {
            self.recent.pop_front();
        }
        if self.recent.len() >= allowed.restarts as usize {
            return Err(allowed.restarts.saturating_add(1));
        }
        self.recent.push_back(now);
        Ok(())
    }
}

/// The pauses before restarts: doubled each time, and drawn from the upper half of their length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    pub(super) first: Duration,
    pub(super) longest: Duration,
}

impl Backoff {
    pub(super) fn pauses(&self, seed: u64) -> ExponentialBackoff {
        // The library adds up to the whole of a pause to it.
        ExponentialBuilder::new()
            .with_min_delay(self.first / 2)
            .with_max_delay(self.longest / 2)
            .with_factor(2.0)
            .with_jitter()
            .with_jitter_seed(seed)
            .without_max_times()
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::clock;

    #[test]
    fn restarts_that_are_older_than_the_window_do_not_count() {
        let (start, mut restarts) = (clock::now(), Restarts::default());
        let allowed = Intensity { restarts: 2, within: Duration::from_secs(5) };
        let mut at = |seconds| restarts.count(start + Duration::from_secs(seconds), allowed);
        assert_eq!(
            [at(0), at(1), at(4), at(5), at(5), at(6)],
            [Ok(()), Ok(()), Err(3), Ok(()), Err(3), Ok(())]
        );
    }

    #[test]
    fn restarts_without_a_bound_take_no_memory() {
        let (start, mut restarts) = (clock::now(), Restarts::default());
        let allowed = Intensity { restarts: u32::MAX, within: Duration::MAX };
        for _ in 0..100 {
            assert_eq!(restarts.count(start, allowed), Ok(()));
        }
        assert_eq!(restarts.recent.capacity(), 0);
        let none = Intensity { restarts: 0, within: Duration::MAX };
        assert_eq!(restarts.count(start, none), Err(1));
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_keep_to_the_upper_half() {
        let backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(1) };
        for seed in 0..50 {
            let pauses: Vec<_> = backoff.pauses(seed).take(8).collect();
            for (pause, full) in pauses.iter().zip([100, 200, 400, 800, 1000, 1000, 1000, 1000]) {
                let full = Duration::from_millis(full);
                assert!((full / 2..=full).contains(pause), "{pause:?} of {full:?}");
            }
        }
    }
}
