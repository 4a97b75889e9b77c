//! Room for calls, as a server grants it.
//!
//! Credit is for calls that have not begun: it comes back when a call leaves the mailbox's queue, not when it ends, so
//! turns that wait for something hold up nobody. It is told in steps of half of what was granted. That cannot starve a
//! caller: one that has used up its credit has as many calls in the queue as were not told, at least half of them, and
//! each that begins brings the step nearer.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

use super::{Machine, Weight, serving::Serving};
use crate::proto::{Grants, credit::Credit};

/// What one target's calls have given back and the peer has not been told.
#[derive(Debug)]
pub(crate) struct Account {
    target: u32,
    calls: AtomicU32,
    bytes: AtomicU64,
    released: AtomicBool,
    grants: Grants,
    /// The same of all targets of the connection.
    total: Arc<AtomicU64>,
}

impl Account {
    pub(super) fn new(target: u32, grants: Grants, total: Arc<AtomicU64>) -> Arc<Self> {
        Arc::new(Self {
            target,
            calls: AtomicU32::new(0),
            bytes: AtomicU64::new(0),
            released: AtomicBool::new(false),
            grants,
            total,
        })
    }

    /// A call with so many bytes of arguments has begun, or will never begin. True if it is time for
    /// [`Machine::tell_credit`].
    pub(crate) fn give_back(&self, length: u64) -> bool {
        // In this order: whoever takes bytes out of the account takes them out of the total, where they are by then.
        let total = self.total.fetch_add(length, Ordering::SeqCst) + length;
        let bytes = self.bytes.fetch_add(length, Ordering::SeqCst) + length;
        let calls = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        // Either this sees the release, or the release sees these bytes.
        if self.released.load(Ordering::SeqCst) {
            self.empty();
            return false;
        }
        let Grants { calls: all_calls, bytes: all_bytes, total_bytes, .. } = self.grants;
        calls == (all_calls / 2).max(1)
            || crossed(bytes, length, (all_bytes / 2).max(1))
            || crossed(total, length, (total_bytes / 2).max(1))
    }

    pub(super) fn release(&self) {
        self.released.store(true, Ordering::SeqCst);
        self.empty();
    }

    fn empty(&self) {
        let bytes = self.bytes.swap(0, Ordering::SeqCst);
        self.total.fetch_sub(bytes, Ordering::SeqCst);
    }

    /// A call that gives back meanwhile may be in it with its bytes only: its one call is in the next one.
    fn take(&self) -> Credit {
        let calls = self.calls.swap(0, Ordering::SeqCst);
        let bytes = self.bytes.swap(0, Ordering::SeqCst);
        self.total.fetch_sub(bytes, Ordering::SeqCst);
        Credit { target: self.target, calls, bytes }
    }

    fn is_due(&self) -> bool {
        self.calls.load(Ordering::Relaxed) >= (self.grants.calls / 2).max(1)
            || self.bytes.load(Ordering::Relaxed) >= (self.grants.bytes / 2).max(1)
    }
}

/// Whether the last step passed a mark.
fn crossed(now: u64, step: u64, mark: u64) -> bool {
    now >= mark && now - step < mark
}

impl<C, I> Machine<C, I> {
    /// Tells the peer what was given back, unless it does not read: then it gets no room to ask for more.
    pub(crate) fn tell_credit(&mut self) {
        if self.is_ending() {
            return;
        }
        if self.out.lane.len() as u64 + self.out.leaving.replies > self.settings.backlog as u64 {
            self.out.credit_held = true;
            return;
        }
        let Serving { targets, total, bytes, .. } = &mut self.serving;
        let all = total.load(Ordering::Relaxed) >= (self.local.grants.total_bytes / 2).max(1);
        for target in targets.values_mut().filter(|target| all || target.account.is_due()) {
            let credit = target.account.take();
            if credit.calls == 0 && credit.bytes == 0 {
                continue;
            }
            target.calls = target.calls.saturating_sub(credit.calls);
            target.bytes = target.bytes.saturating_sub(credit.bytes);
            *bytes = bytes.saturating_sub(credit.bytes);
            credit.encode(&mut self.out.lane);
        }
    }

    /// The driver has taken a body of this weight, and has not sent it.
    pub(crate) fn body_leaves(&mut self, weight: Weight) {
        self.out.leaving += weight;
    }

    /// Such a body was sent, or broken off: credit that was held back can go.
    pub(crate) fn body_left(&mut self, weight: Weight) {
        self.out.leaving -= weight;
        self.lane_was_taken();
    }

    /// The driver has taken what was to be written, or sent it: credit that was held back can go.
    pub(crate) fn lane_was_taken(&mut self) {
        self.streams.release();
        if std::mem::take(&mut self.out.credit_held) {
            self.tell_credit();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::proto::{Event, Frame, FrameReader, Hello, Settings, samples};

    const GRANTS: Grants = Grants { calls: 4, bytes: 100, total_bytes: 150, targets: 2, message: 1000 };

    fn bound() -> (Machine<u64, u64>, Arc<Account>) {
        let settings = Settings { own_stream: 64, backlog: 1000, max_backlog: 1000 };
        let hello = Hello { grants: GRANTS, ..samples::hello() };
        let mut machine = Machine::new(hello.clone(), settings, now());
        let mut events = Vec::new();
        machine.control(Frame::Hello(hello), &mut events);
        machine.lane(now(), Frame::Bind(samples::bind()), &mut events);
        let Some(Event::Bound(_, account)) = events.pop() else { panic!("{events:?}") };
        (machine, account)
    }

    fn now() -> Instant {
        crate::node::clock::now().into_std()
    }

    fn told(machine: &mut Machine<u64, u64>) -> Vec<(u32, u64)> {
        machine.tell_credit();
        let mut frames = Vec::new();
        FrameReader::default().read(machine.out.take_lane(), &mut frames).unwrap();
        let credit = |frame| match frame {
            Frame::Credit(credit) => (credit.calls, credit.bytes),
            frame => panic!("{frame:?}"),
        };
        frames.into_iter().map(credit).collect()
    }

    #[test]
    fn it_is_time_to_tell_at_each_half_and_only_there() {
        for (lengths, when) in [
            (&[0_u64, 0, 0][..], &[false, true, false][..]),
            (&[49, 0], &[false, true]),
            (&[50], &[true]),
            (&[1000], &[true]),
        ] {
            let (_, account) = bound();
            let due: Vec<bool> = lengths.iter().map(|length| account.give_back(*length)).collect();
            assert_eq!(due, when, "{lengths:?}");
        }
    }

    #[test]
    fn what_is_told_while_a_call_gives_back_is_told_in_two_parts_and_none_is_lost() {
        let (mut machine, account) = bound();
        // As far as `give_back` has come when another thread tells.
        account.total.fetch_add(60, Ordering::SeqCst);
        account.bytes.fetch_add(60, Ordering::SeqCst);
        assert_eq!(told(&mut machine), [(0, 60)]);
        account.calls.fetch_add(1, Ordering::SeqCst);
        assert!(account.give_back(0));
        assert_eq!(told(&mut machine), [(2, 0)]);
        assert_eq!(account.total.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_call_that_gives_back_while_its_target_is_released_leaves_nothing_in_the_total() {
        let (mut machine, account) = bound();
        account.total.fetch_add(60, Ordering::SeqCst);
        machine.lane(now(), Frame::Release(7), &mut Vec::new());
        account.bytes.fetch_add(60, Ordering::SeqCst);
        account.calls.fetch_add(1, Ordering::SeqCst);
        account.empty();
        assert!(!account.give_back(10));
        assert_eq!(machine.serving.total.load(Ordering::SeqCst), 0);
    }
}
