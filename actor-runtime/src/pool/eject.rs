//! Members that misbehave are left out for a while: outlier ejection, as Envoy calls it.
//!
//! ```text
//!            failures in a row, or much slower than the others
//!     in ────────────────────────────────────────────────────► out for a pause, which grows each time
//!      ▲                                                        │ the pause is over
//!      └──────────── its call went well ───── probe ◀───────────┘
//!                                               └── it failed: out again
//! ```
//!
//! Nothing here knows a clock, a call or a member: it is decided from numbers and times. What is counted, and the pauses that
//! double, follow Envoy's "outlier detection" (its architecture overview, upstream); that one call is the probe follows the
//! half-open state of a circuit breaker (Nygard, "Release It!", 2007).

use std::time::Duration;

use tokio::time::Instant;

/// When members of a pool are left out, and for how long.
///
/// ```
/// use std::time::Duration;
/// use actor_runtime::pool::Ejection;
///
/// let strict = Ejection::default().failures(2).pauses(Duration::from_millis(200), Duration::from_secs(5));
/// let off = Ejection::none();
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ejection {
    pub(super) failures: u32,
    pub(super) slower: f64,
    pub(super) share: f64,
    pub(super) first_pause: Duration,
    pub(super) longest_pause: Duration,
    pub(super) interval: Duration,
}

/// Five failures in a row, or five times as slow as the median; at most half of the pool; pauses of 1 s to 60 s.
impl Default for Ejection {
    fn default() -> Self {
        Self {
            failures: 5,
            slower: 5.0,
            share: 0.5,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            interval: Duration::from_secs(1),
        }
    }
}

impl Ejection {
    /// Nobody is left out, however it behaves. One whose connection is lost is still not called.
    pub fn none() -> Self {
        Self { failures: u32::MAX, slower: f64::INFINITY, ..Self::default() }
    }

    /// How many failures in a row leave a member out; 0 counts as 1. Failures are those of the infrastructure, panics and
    /// calls that ran out of time; what a method returns as its own error is none.
    #[must_use]
    pub fn failures(mut self, failures: u32) -> Self {
        self.failures = failures.max(1);
        self
    }

    /// How many times as slow as the median of the pool a member is that is left out. Judged once a second, in a pool of
    /// three or more, among members that have answered ten calls or more, and only if the difference is more than 10 ms.
    #[must_use]
    pub fn slower(mut self, times: f64) -> Self {
        self.slower = if times.is_nan() { f64::INFINITY } else { times.max(1.0) };
        self
    }

    /// The largest share of the pool that may be left out at a time, from 0 to 1.
    #[must_use]
    pub fn share(mut self, share: f64) -> Self {
        self.share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
        self
    }

    /// The first pause, and the length that further ones double up to.
    #[must_use]
    pub fn pauses(mut self, first: Duration, longest: Duration) -> Self {
        self.first_pause = first;
        self.longest_pause = longest.max(first);
        self
    }

    /// How many of so many members may be out.
    pub(super) fn allowed(&self, members: usize) -> usize {
        (members as f64 * self.share).floor() as usize
    }

    /// The pause after so many ejections in a row, the present one included.
    fn pause(&self, times: u32) -> Duration {
        let doubled = self.first_pause.saturating_mul(1 << times.saturating_sub(1).min(20));
        doubled.min(self.longest_pause)
    }

    /// Those that are much slower than the others: their places among these mean times of members that have answered enough
    /// calls to be judged.
    pub(super) fn outliers(&self, times: &[Duration]) -> Vec<usize> {
        if times.len() < FEWEST || self.slower.is_infinite() {
            return Vec::new();
        }
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        let median = sorted[(sorted.len() - 1) / 2];
        let limit = (median.as_secs_f64() * self.slower).max(median.saturating_add(NOTICEABLE).as_secs_f64());
        let slow = times.iter().enumerate().filter(|(_, time)| time.as_secs_f64() > limit);
        slow.map(|(place, _)| place).collect()
    }
}

/// In smaller pools nobody can tell who is slow.
const FEWEST: usize = 3;

/// Calls that a member has answered before its speed is judged.
pub(super) const ENOUGH: u32 = 10;

/// A smaller difference is no reason.
const NOTICEABLE: Duration = Duration::from_millis(10);

/// How one member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    In,
    /// It is not called until then.
    Out {
        until: Instant,
    },
    /// The next call is to show whether it is well; `asked` once there is one.
    Probe {
        asked: bool,
    },
}

/// What is known of one member's behaviour.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) standing: Standing,
    /// Failures since the last call that went well.
    pub(super) failures: u32,
    /// Ejections since it last was well for as long as the last pause was.
    times: u32,
    /// Since when it is in.
    since: Option<Instant>,
}

impl Default for Record {
    fn default() -> Self {
        Self { standing: Standing::In, failures: 0, times: 0, since: None }
    }
}

impl Record {
    /// A call went well. True if that was the probe, and the member is back.
    pub(super) fn succeeded(&mut self, now: Instant) -> bool {
        self.failures = 0;
        let back = matches!(self.standing, Standing::Probe { .. });
        if back {
            self.standing = Standing::In;
            self.since = Some(now);
        }
        back
    }

    /// Whether there is nothing that a good call would change.
    pub(super) fn is_well(&self) -> bool {
        self.standing == Standing::In && self.failures == 0
    }

    /// A call failed. True if the member is to be left out now, if that is allowed.
    pub(super) fn failed(&mut self, rules: &Ejection) -> bool {
        self.failures = self.failures.saturating_add(1);
        match self.standing {
            Standing::In => self.failures >= rules.failures,
            // If it is not left out for that, as when it is not there any more, another call is to show.
            Standing::Probe { .. } => {
                self.standing = Standing::Probe { asked: false };
                true
            }
            Standing::Out { .. } => false,
        }
    }

    /// Leaves it out, from now on; gives until when.
    pub(super) fn eject(&mut self, rules: &Ejection, now: Instant) -> Instant {
        // Who was well for long begins anew.
        if self.since.is_some_and(|since| now.saturating_duration_since(since) > rules.pause(self.times)) {
            self.times = 0;
        }
        self.times = self.times.saturating_add(1);
        self.since = None;
        let until = now.checked_add(rules.pause(self.times)).unwrap_or(now + FAR);
        self.standing = Standing::Out { until };
        until
    }

    /// The pause is over: the next call is the probe. True if that is news.
    pub(super) fn rested(&mut self, now: Instant) -> bool {
        let over = matches!(self.standing, Standing::Out { until } if until <= now);
        if over {
            self.standing = Standing::Probe { asked: false };
        }
        over
    }

    /// Takes the place of the one call that is the probe.
    pub(super) fn ask(&mut self) -> bool {
        let free = self.standing == Standing::Probe { asked: false };
        if free {
            self.standing = Standing::Probe { asked: true };
        }
        free
    }

    /// The probe ended and nobody learned how: the next call is one.
    pub(super) fn unanswered(&mut self) {
        if self.standing == (Standing::Probe { asked: true }) {
            self.standing = Standing::Probe { asked: false };
        }
    }
}

/// As good as never.
const FAR: Duration = Duration::from_secs(86_400 * 365);

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn at(millis: u64) -> Instant {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *START.get_or_init(crate::node::clock::now) + Duration::from_millis(millis)
    }

    #[test]
    fn failures_in_a_row_eject_and_one_good_call_between_them_does_not() {
        let rules = Ejection::default().failures(3);
        let mut record = Record::default();
        assert!(!record.failed(&rules) && !record.failed(&rules));
        record.succeeded(at(0));
        assert!(!record.failed(&rules) && !record.failed(&rules) && record.failed(&rules));
    }

    #[test]
    fn pauses_double_and_begin_anew_after_a_time_that_was_well() {
        let rules = Ejection::default();
        let mut record = Record::default();
        let (mut now, mut pauses) = (0, Vec::new());
        for _ in 0..8 {
            let until = record.eject(&rules, at(now));
            pauses.push((until - at(now)).as_secs());
            now = (until - at(0)).as_millis() as u64;
            assert!(record.rested(at(now)) && record.ask() && record.failed(&rules));
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        record.eject(&rules, at(now));
        assert!(record.rested(at(now + 60_000)) && record.ask());
        assert!(record.succeeded(at(now + 60_000)));
        let much_later = now + 60_000 + 61_000;
        assert_eq!(record.eject(&rules, at(much_later)) - at(much_later), Duration::from_secs(1));
    }

    #[test]
    fn one_call_is_the_probe_and_another_one_if_nobody_learned_of_its_end() {
        let rules = Ejection::default();
        let mut record = Record::default();
        record.eject(&rules, at(0));
        assert!(!record.rested(at(999)) && !record.ask());
        assert!(record.rested(at(1_000)) && record.ask() && !record.ask());
        record.unanswered();
        assert!(record.ask() && record.succeeded(at(1_001)));
        assert_eq!(record.standing, Standing::In);
    }

    #[test]
    fn who_is_much_slower_than_the_median_is_an_outlier_in_a_pool_that_can_tell() {
        let rules = Ejection::default();
        let millis = |times: &[u64]| times.iter().map(|&t| Duration::from_millis(t)).collect::<Vec<_>>();
        assert_eq!(rules.outliers(&millis(&[10, 12, 90, 11])), [2]);
        assert!(rules.outliers(&millis(&[10, 90])).is_empty());
        // Less than 10 ms is no reason.
        assert!(rules.outliers(&millis(&[1, 1, 9])).is_empty());
        assert!(Ejection::none().outliers(&millis(&[1, 1, 9_000])).is_empty());
        assert!(rules.outliers(&[Duration::MAX, Duration::MAX, Duration::ZERO]).is_empty());
    }

    #[test]
    fn strange_settings_are_bounded() {
        let rules = Ejection::default().share(f64::NAN).slower(f64::NAN).failures(0);
        assert_eq!((rules.allowed(10), rules.failures), (0, 1));
        assert!(rules.slower.is_infinite());
        let rules = Ejection::default().share(7.0).pauses(Duration::MAX, Duration::ZERO);
        assert_eq!(rules.allowed(10), 10);
        let mut record = Record::default();
        assert!(record.eject(&rules, at(0)) > at(1_000_000));
    }

    /// What may happen to a member.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Succeeds,
        Fails { is_allowed: bool },
        Asked,
        Forgotten,
        Passes(u64),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Succeeds),
            any::<bool>().prop_map(|is_allowed| Event::Fails { is_allowed }),
            Just(Event::Asked),
            Just(Event::Forgotten),
            (0..5_000_u64).prop_map(Event::Passes),
        ]
    }

    proptest! {
        /// Whatever happens: failures in a row are counted, nobody is out for longer than the longest pause, and one probe
        /// that goes well after it is enough.
        #[test]
        fn nobody_is_out_for_longer_than_a_pause_and_a_probe(events in vec(event(), 0..60), failures in 1..5_u32) {
            let rules = Ejection::default().failures(failures).pauses(Duration::from_secs(1), Duration::from_secs(4));
            let (mut record, mut now, mut in_a_row) = (Record::default(), 0, 0);
            for event in events {
                match event {
                    Event::Succeeds => {
                        in_a_row = 0;
                        record.succeeded(at(now));
                        let is_probe = matches!(record.standing, Standing::Probe { .. });
                        prop_assert!(!is_probe);
                    }
                    Event::Fails { is_allowed } => {
                        in_a_row += 1;
                        let before = record.standing;
                        let is_enough = record.failed(&rules);
                        prop_assert_eq!(is_enough, match before {
                            Standing::In => in_a_row >= failures,
                            Standing::Probe { .. } => true,
                            Standing::Out { .. } => false,
                        });
                        if is_enough && is_allowed {
                            let pause = record.eject(&rules, at(now)) - at(now);
                            prop_assert!(pause >= Duration::from_secs(1) && pause <= Duration::from_secs(4));
                        }
                    }
                    Event::Asked => prop_assert_eq!(
                        matches!(record.standing, Standing::Probe { asked: false }),
                        record.ask()
                    ),
                    Event::Forgotten => record.unanswered(),
                    Event::Passes(millis) => {
                        now += millis;
                        record.rested(at(now));
                    }
                }
            }
            // A probe that is under way ends, one way or another.
            record.unanswered();
            now += 4_000;
            record.rested(at(now));
            if record.standing != Standing::In {
                prop_assert!(record.ask() && record.succeeded(at(now)));
            }
            record.succeeded(at(now));
            prop_assert!(record.is_well());
        }

        /// As many may be out as the share says, and of any times the slow ones are few.
        #[test]
        fn outliers_are_much_slower_than_half_of_the_others(times in vec(0..100_000_u64, 0..20), slower in 1.0..10.0_f64) {
            let rules = Ejection::default().slower(slower);
            let times: Vec<Duration> = times.into_iter().map(Duration::from_micros).collect();
            let slow = rules.outliers(&times);
            prop_assert!(slow.len() <= times.len() / 2);
            for place in slow {
                let limit = times[place].div_f64(slower).min(times[place].saturating_sub(NOTICEABLE));
                let quicker = times.iter().filter(|time| **time <= limit).count();
                prop_assert!(quicker * 2 >= times.len(), "{quicker} of {times:?}");
            }
        }

        #[test]
        fn a_share_of_the_members_is_no_more_than_that(members in 0..10_000_usize, share in 0.0..=1.0_f64) {
            let allowed = Ejection::default().share(share).allowed(members);
            prop_assert!(allowed as f64 <= members as f64 * share && allowed <= members);
        }
    }
}
