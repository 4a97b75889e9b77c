//! The order of one handle's calls (S2).
//!
//! Calls that are not large keep it on the lane. The body of a large one comes on a stream of its own, which may be
//! slower than the lane: so each call names the last large one before it that has not ended.

use std::{
    collections::{BTreeSet, HashMap},
    sync::atomic::{AtomicU64, Ordering},
};

/// The order of one handle's calls: a number for those that make large ones.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// 0 before the first large call.
    number: AtomicU64,
}

impl Order {
    /// The number, or 0.
    pub(super) fn number(&self) -> u64 {
        self.number.load(Ordering::Relaxed)
    }

    /// The number, which the first large call makes.
    pub(super) fn numbered(&self) -> u64 {
        static LAST: AtomicU64 = AtomicU64::new(0);
        match self.number() {
            0 => {
                let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
                match self.number.compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => number,
                    Err(other) => other,
                }
            }
            number => number,
        }
    }
}

/// The large calls of each order that have not ended.
#[derive(Debug, Default)]
pub(super) struct Large(HashMap<u64, BTreeSet<u64>>);

impl Large {
    pub(super) fn insert(&mut self, order: u64, call: u64) {
        self.0.entry(order).or_default().insert(call);
    }

    pub(super) fn remove(&mut self, order: u64, call: u64) {
        if let Some(calls) = self.0.get_mut(&order) {
            calls.remove(&call);
            if calls.is_empty() {
                self.0.remove(&order);
            }
        }
    }

    /// The large call that one of this order has to come after.
    pub(super) fn before(&self, order: u64, call: u64) -> Option<u64> {
        self.0.get(&order)?.range(..call).next_back().copied()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_comes_after_the_last_large_one_before_it_that_has_not_ended() {
        let mut large = Large::default();
        for (order, call) in [(1, 3), (1, 5), (2, 4)] {
            large.insert(order, call);
        }
        assert_eq!([3, 4, 5, 6].map(|call| large.before(1, call)), [None, Some(3), Some(3), Some(5)]);
        large.remove(1, 5);
        assert_eq!((large.before(1, 6), large.before(2, 6), large.before(3, 6)), (Some(3), Some(4), None));
        large.remove(1, 3);
        large.remove(2, 4);
        assert!(large.is_empty());
    }

    #[test]
    fn only_orders_with_large_calls_have_numbers_and_each_its_own() {
        let orders = [(); 3].map(|()| Order::default());
        assert!(orders.iter().all(|order| order.number() == 0));
        let numbers: BTreeSet<u64> = orders.iter().map(Order::numbered).collect();
        assert_eq!((numbers.len(), numbers.contains(&0)), (3, false));
        assert!(orders.iter().all(|order| order.number() == order.numbered()));
    }
}
