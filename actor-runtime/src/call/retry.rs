//! How often a call is tried, and what is known of the tries so far.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Delivery, Failure, FailureKind};
use crate::actor_id::ActorId;

/// How often a call is tried, and how long it rests in between.
///
/// A call is tried again only where that cannot do anything twice: it provably never reached a handler, or its method is
/// `#[idempotent]` or `#[dedup]` (S10). What an actor answered is never asked again, and neither is a call whose
/// deadline is over: all tries together have the one deadline.
///
/// The first try after an actor has moved or stopped is made at once, since its name may lead elsewhere by now; the
/// pauses before the others double, and are drawn at random from the upper half of their length, so that callers who
/// lost the same server do not come back together.
///
/// A client that has never reached its actor does not wait for one to appear, unless its options say how often to try:
/// a wrong name or address is told at once.
///
/// ```
/// use std::time::Duration;
/// use actor_runtime::{CallOptions, Retry};
///
/// let patient = Retry::default().attempts(20).pauses(Duration::from_millis(20), Duration::from_secs(1));
/// let options = CallOptions::new().retry(patient);
/// let once = CallOptions::new().retry(Retry::none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    attempts: u32,
    first_pause: Duration,
    longest_pause: Duration,
}

/// Six attempts, with pauses from 50 ms to 2 s.
impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 6, first_pause: Duration::from_millis(50), longest_pause: Duration::from_secs(2) }
    }
}

impl Retry {
    /// Nothing is tried a second time.
    pub fn none() -> Self {
        Self::default().attempts(1)
    }

    /// How often a call is tried in all; 0 counts as 1.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// The first pause, and the length that the others double up to.
    #[must_use]
    pub fn pauses(mut self, first: Duration, longest: Duration) -> Self {
        self.first_pause = first;
        self.longest_pause = longest.max(first);
        self
    }

    fn backoff(&self, seed: u64) -> ExponentialBackoff {
        // The library adds up to the whole of a pause to it.
        ExponentialBuilder::new()
            .with_min_delay(self.first_pause / 2)
            .with_max_delay(self.longest_pause / 2)
            .with_factor(2.0)
            .with_jitter()
            .with_jitter_seed(seed)
            .without_max_times()
            .build()
    }
}

/// What is known of a call that was tried before.
#[derive(Debug)]
pub(crate) struct Tried {
    /// How often it was.
    attempts: u32,
    retry: Retry,
    pauses: ExponentialBackoff,
    /// What its caller is told if it is not tried again: the failure that leaves the most open.
    told: Failure,
    /// The registration that may have run it.
    may_have_run: Option<ActorId>,
    /// Whether somebody may have run it.
    unknown: bool,
    /// It is not to be tried before.
    not_before: Option<Instant>,
}

impl Tried {
    /// It was tried for the first time, and failed so.
    pub(crate) fn first(failure: Failure, retry: Retry, seed: impl FnOnce() -> u64) -> Box<Self> {
        Box::new(Self {
            attempts: 1,
            retry,
            pauses: retry.backoff(seed()),
            unknown: failure.delivery() != Delivery::NotDelivered,
            told: failure,
            may_have_run: None,
            not_before: None,
        })
    }

    /// It was tried once more.
    pub(crate) fn failed(&mut self, failure: Failure) {
        self.attempts += 1;
        let known = |failure: &Failure| failure.delivery() == Delivery::NotDelivered;
        // That it ran says more than that nobody knows, and so does what became of it.
        let connection = matches!(
            failure.kind(),
            FailureKind::ConnectionLost | FailureKind::Unreachable | FailureKind::Stopped
        );
        let says_more = match (failure.delivery(), self.told.delivery()) {
            (Delivery::Executed, _) => true,
            (Delivery::Unknown, Delivery::Unknown) => !connection,
            _ => false,
        };
        self.unknown |= !known(&failure);
        let nothing = matches!(failure.kind(), FailureKind::NotFound | FailureKind::Unreachable);
        // That an actor stopped says more than that nothing is found in its place.
        let said_more = nothing && self.told.kind() == FailureKind::Stopped;
        if says_more || known(&self.told) && !(known(&failure) && said_more) {
            self.told = failure;
        }
    }

    /// Remembers who may have run it.
    pub(crate) fn may_have_run(&mut self, actor: Option<ActorId>) {
        self.may_have_run = self.may_have_run.or(actor);
    }

    /// Whether this registration may be asked again: no other one knows what the first one did, and if nobody knows
    /// which one that was, there is none.
    pub(crate) fn may_ask(&self, actor: Option<ActorId>) -> bool {
        !self.unknown || self.may_have_run.is_some() && self.may_have_run == actor
    }

    /// The registration that may have run it, if it is known which one that was.
    pub(crate) fn who_may_have_run(&self) -> Option<ActorId> {
        self.may_have_run
    }

    /// Whether somebody may have run it.
    pub(crate) fn is_unknown(&self) -> bool {
        self.unknown
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether it was tried as often as it may be.
    pub(crate) fn is_spent(&self) -> bool {
        self.attempts >= self.retry.attempts
    }

    /// Lets it rest before it is tried again. False if its deadline is sooner.
    pub(crate) fn rest(&mut self, now: Instant, deadline: Option<Instant>) -> bool {
        let pause = self.pauses.next().unwrap_or(self.retry.longest_pause);
        let until = now + pause;
        self.not_before = Some(until);
        deadline.is_none_or(|deadline| until < deadline)
    }

    /// Until when it rests.
    pub(crate) fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    /// What its caller is told.
    pub(crate) fn told(&self) -> &Failure {
        &self.told
    }

    /// The same, with what happened.
    pub(crate) fn tell(self) -> Failure {
        // That a name was looked up a second time says nothing.
        if self.attempts <= 2 {
            return self.told;
        }
        self.told.after(self.attempts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: FailureKind, delivery: Delivery) -> Failure {
        Failure::new(kind, delivery, "a test")
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_differ() {
        let retry = Retry::default().pauses(Duration::from_millis(100), Duration::from_millis(400));
        let pauses = |seed| retry.backoff(seed).take(5).collect::<Vec<_>>();
        for (pause, longest) in pauses(1).into_iter().zip([100, 200, 400, 400, 400]) {
            let pause = pause.as_millis();
            assert!((longest / 2..=longest).contains(&pause), "{pause} of {longest}");
        }
        assert_eq!(pauses(1), pauses(1));
        assert_ne!(pauses(1), pauses(2));
    }

    #[test]
    fn the_caller_is_told_what_leaves_the_most_open() {
        use FailureKind::{ConnectionLost, NotFound, Stopped, Unreachable};
        let mut tried = Tried::first(failure(Stopped, Delivery::NotDelivered), Retry::default(), || 1);
        tried.failed(failure(NotFound, Delivery::NotDelivered));
        assert_eq!(tried.told().kind(), Stopped);
        tried.failed(failure(ConnectionLost, Delivery::Unknown));
        tried.failed(failure(Unreachable, Delivery::NotDelivered));
        let told = tried.tell();
        assert_eq!((told.kind(), told.delivery()), (ConnectionLost, Delivery::Unknown));
        assert!(told.detail().contains("4 attempts"), "{told}");
    }

    #[test]
    fn what_the_actor_said_of_a_call_is_told_rather_than_that_a_connection_was_lost() {
        use FailureKind::{ConnectionLost, NotFound, Panicked, TooLarge};
        for (kind, delivery) in [(Panicked, Delivery::Unknown), (TooLarge, Delivery::Executed)] {
            let lost = failure(ConnectionLost, Delivery::Unknown);
            let mut tried = Tried::first(lost, Retry::default(), || 1);
            tried.failed(failure(kind, delivery));
            tried.failed(failure(ConnectionLost, Delivery::Unknown));
            tried.failed(failure(NotFound, Delivery::NotDelivered));
            assert_eq!((tried.told().kind(), tried.told().delivery()), (kind, delivery));
        }
    }

    #[test]
    fn only_the_one_who_may_have_run_it_is_asked_again() {
        let (a, b) = (Some(ActorId::from_bytes([1; 16])), Some(ActorId::from_bytes([2; 16])));
        let mut tried =
            Tried::first(failure(FailureKind::Unreachable, Delivery::NotDelivered), Retry::none(), || 1);
        assert!(tried.may_ask(a) && tried.may_ask(b) && tried.is_spent());
        tried.failed(failure(FailureKind::ConnectionLost, Delivery::Unknown));
        assert!(!tried.may_ask(a) && !tried.may_ask(None));
        tried.may_have_run(a);
        tried.may_have_run(b);
        assert!(tried.may_ask(a) && !tried.may_ask(b) && !tried.may_ask(None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_does_not_rest_beyond_its_deadline() {
        let now = crate::node::clock::now();
        let failed = failure(FailureKind::Unreachable, Delivery::NotDelivered);
        let mut tried = Tried::first(failed, Retry::default(), || 1);
        assert!(tried.rest(now, None));
        assert!(!tried.rest(now, Some(now + Duration::from_millis(1))));
    }
}
