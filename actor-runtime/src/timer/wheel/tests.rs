//! The wheel against a model that is a sorted map: whatever is done to it, it does the same.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Act {
    /// So many ticks from now; a tick that is over if it is less than nothing.
    Insert(i64),
    /// One of those that were ever inserted.
    Remove(usize),
    /// So many ticks pass, and so many steps are done, so that things happen in the midst of a fall.
    Pass(u64, usize),
    /// So many ticks pass, and all is done.
    PassAll(u64),
}

/// Spans of every level.
fn span() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0..200_u64, 3 => 0..10_000_u64, 2 => 0..3_000_000_u64, 1 => any::<u64>().prop_map(|n| n >> 20)]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        10 => span().prop_map(|after| Act::Insert(after as i64)),
        1 => (0..100_i64).prop_map(|before| Act::Insert(-before)),
        4 => any::<usize>().prop_map(Act::Remove),
        4 => (span(), 0..6_usize).prop_map(|(ticks, steps)| Act::Pass(ticks, steps)),
        2 => span().prop_map(Act::PassAll),
    ]
}

struct Pair {
    wheel: Wheel<usize>,
    /// By tick and number: the order in which they are to expire.
    model: BTreeMap<(u64, usize), Key>,
    /// All that were ever inserted, by number.
    ever: Vec<(Key, u64)>,
    now: u64,
}

impl Pair {
    fn new() -> Self {
        Self { wheel: Wheel::new(), model: BTreeMap::new(), ever: Vec::new(), now: 0 }
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Insert(after) => self.insert(self.now.saturating_add_signed(after)),
            Act::Remove(any) => {
                let Some(number) = any.checked_rem(self.ever.len()) else { return };
                let (key, tick) = self.ever[number];
                let expected = self.model.remove(&(tick, number)).map(|_| number);
                assert_eq!(self.wheel.remove(key), expected);
            }
            Act::Pass(ticks, steps) => {
                self.now = self.now.saturating_add(ticks).min(LAST_TICK);
                for _ in 0..steps {
                    self.step();
                }
            }
            Act::PassAll(ticks) => {
                self.now = self.now.saturating_add(ticks).min(LAST_TICK);
                while self.step() {}
                let left = self.model.keys().next();
                assert!(left.is_none_or(|(tick, _)| *tick > self.now), "{left:?} by {}", self.now);
            }
        }
        assert_eq!(self.wheel.len(), self.model.len());
        if let Some((first, _)) = self.model.keys().next() {
            let next = self.wheel.next();
            assert!(next.is_some_and(|next| next <= *first), "{next:?} is behind {first}");
        }
    }

    fn insert(&mut self, tick: u64) {
        let number = self.ever.len();
        // A tick that is over counts as the one at which the wheel is.
        let fresh = self.wheel.len() == 0 && self.wheel.falling.is_none();
        let at = self.wheel.falling.map(|(level, slot)| self.wheel.start_of(level, slot));
        let at = at.unwrap_or(if fresh { self.now.max(self.wheel.present) } else { self.wheel.present });
        let key = self.wheel.insert(self.now, tick, number);
        let tick = tick.clamp(at, LAST_TICK);
        self.model.insert((tick, number), key);
        self.ever.push((key, tick));
    }

    /// One step; false if there was nothing to do.
    fn step(&mut self) -> bool {
        match self.wheel.step(self.now) {
            Step::Idle => return false,
            Step::Fell => {}
            Step::Expired(key, number) => {
                let ((tick, expected), known) = self.model.pop_first().expect("it has not expired before");
                assert_eq!((number, key), (expected, known));
                assert!(tick <= self.now, "{tick} expired at {}", self.now);
            }
        }
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_a_sorted_map_does(acts in prop::collection::vec(act(), 0..120)) {
        let mut pair = Pair::new();
        for act in &acts {
            pair.act(act);
        }
        pair.act(&Act::PassAll(LAST_TICK));
        prop_assert_eq!(pair.wheel.len(), 0);
        prop_assert!(pair.wheel.chunks.len() <= 1);
    }
}

/// 1, also for what is inserted while the slot of the same tick falls.
#[test]
fn entries_of_one_tick_expire_in_the_order_of_insertion() {
    let mut wheel = Wheel::new();
    for number in 0..10 {
        wheel.insert(0, 100, number);
    }
    assert_eq!(wheel.next(), Some(64), "where they fall");
    assert_eq!(wheel.step(70), Step::Fell);
    for number in 10..20 {
        wheel.insert(70, 100, number);
    }
    let mut order = Vec::new();
    loop {
        match wheel.step(100) {
            Step::Expired(_, number) => order.push(number),
            Step::Fell => {}
            Step::Idle => break,
        }
    }
    assert_eq!(order, (0..20).collect::<Vec<i32>>());
}

/// 4 and 5.
#[test]
fn a_key_finds_nothing_once_its_entry_is_gone_and_the_chunks_are_given_back() {
    let mut wheel = Wheel::new();
    let keys: Vec<Key> = (0..10_000).map(|number| wheel.insert(0, number, number)).collect();
    assert_eq!(wheel.chunks.len(), 10_000_usize.div_ceil(CHUNK));
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(wheel.remove(*key), Some(number as u64));
    }
    assert_eq!((wheel.len(), wheel.chunks.len()), (0, 0));
    let again = wheel.insert(0, 5, 5);
    assert!(keys.iter().all(|key| wheel.remove(*key).is_none()));
    assert_eq!(wheel.remove(again), Some(5));
}

#[test]
fn a_tick_that_is_too_far_away_is_the_last_one() {
    let mut wheel = Wheel::new();
    let key = wheel.insert(0, u64::MAX, ());
    assert_eq!(wheel.step(1 << 40), Step::Idle);
    assert_eq!(wheel.remove(key), Some(()));
}
