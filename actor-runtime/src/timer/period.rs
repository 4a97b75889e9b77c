//! When a periodic timer fires, and what becomes of the ticks that nobody had time for. Nanoseconds of the node's clock;
//! nothing here looks at one.

use std::time::Duration;

/// How a periodic timer ticks: every so often, from when, and what becomes of ticks that are missed.
///
/// ```
/// use actor_runtime::{MissedTicks, Period};
/// use std::time::Duration;
///
/// // Now, and then once a second after each turn.
/// let poll = Period::every(Duration::from_secs(1)).first_after(Duration::ZERO).missed(MissedTicks::Delay);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "give it to `Timers::periodic`"]
pub struct Period {
    pub(super) every: Duration,
    pub(super) first: Duration,
    pub(super) missed: MissedTicks,
}

/// What becomes of the ticks of a periodic timer that come due before the actor has time for the one before them.
///
/// The names are those of tokio's `MissedTickBehavior`. Whatever is chosen, one [`Timeout`](crate::Timeout) of a timer at
/// most waits in the mailbox; the rest is arithmetic. The schedule of `Skip` and `Burst` does not drift, however late the
/// turns are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTicks {
    /// One timeout stands for all ticks that have come due by the time its turn begins
    /// ([`Timeout::ticks`](crate::Timeout::ticks)); the next tick is the next one of the schedule.
    #[default]
    Skip,
    /// As `Skip`, but the schedule begins anew: the next tick is a whole period after the turn has begun.
    Delay,
    /// Each tick gets a timeout and a turn of its own. Those that were missed follow one behind the other, each with a new
    /// place in the mailbox, so that calls come between them.
    Burst,
}

impl Period {
    /// The shortest period.
    pub const MIN: Duration = Duration::from_millis(1);

    /// A tick every so often, the first one after as much time.
    pub const fn every(period: Duration) -> Self {
        Self { every: period, first: period, missed: MissedTicks::Skip }
    }

    /// The first tick after so much time, in place of a period.
    pub const fn first_after(mut self, first: Duration) -> Self {
        self.first = first;
        self
    }

    /// What becomes of ticks that are missed; [`MissedTicks::Skip`] unless this is called.
    pub const fn missed(mut self, missed: MissedTicks) -> Self {
        self.missed = missed;
        self
    }
}

impl From<Duration> for Period {
    fn from(period: Duration) -> Self {
        Self::every(period)
    }
}

/// A turn of a periodic timer begins at `now`, for a tick that was due at `due`: for how many ticks it stands, and when the
/// next one is due.
pub(super) fn begin(missed: MissedTicks, every: u64, due: u64, now: u64) -> (u64, u64) {
    let every = every.max(1);
    let passed = now.saturating_sub(due) / every;
    match missed {
        MissedTicks::Skip => (passed + 1, due.saturating_add(every.saturating_mul(passed + 1))),
        MissedTicks::Delay => (passed + 1, now.saturating_add(every)),
        MissedTicks::Burst => (1, due.saturating_add(every)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_in_time_stands_for_one_tick() {
        for missed in [MissedTicks::Skip, MissedTicks::Burst] {
            assert_eq!(begin(missed, 100, 500, 503), (1, 600));
        }
        assert_eq!(begin(MissedTicks::Delay, 100, 500, 503), (1, 603));
    }

    #[test]
    fn a_late_turn_stands_for_all_ticks_that_were_due_or_for_its_own() {
        assert_eq!(begin(MissedTicks::Skip, 100, 500, 850), (4, 900));
        assert_eq!(begin(MissedTicks::Delay, 100, 500, 850), (4, 950));
        assert_eq!(begin(MissedTicks::Burst, 100, 500, 850), (1, 600));
    }

    #[test]
    fn times_at_the_end_of_the_clock_do_not_wrap() {
        for missed in [MissedTicks::Skip, MissedTicks::Delay, MissedTicks::Burst] {
            assert_eq!(begin(missed, u64::MAX, u64::MAX - 1, u64::MAX).1, u64::MAX);
        }
    }
}
