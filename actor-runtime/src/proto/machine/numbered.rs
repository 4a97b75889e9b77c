//! Calls by their numbers, which their makers count up.
//!
//! ```text
//!   older ones that have not ended │ row: first, first + 1, …, each there or not │ what is far ahead
//!             rest (a tree)        │             at most ROW of them              │       rest
//! ```
//!
//! Calls end nearly in the order in which they are made, so the ones that live lie close together: a row of places, of
//! which each is found by counting. What lives for long goes into a tree when the row comes to its end; so does a number that
//! a peer chose far away from the others.

use std::collections::{BTreeMap, VecDeque};

/// Entries by number.
pub(super) struct Numbered<T> {
    /// The number of the first place of the row, which is taken unless the row is empty.
    first: u64,
    row: VecDeque<Option<T>>,
    /// How many places of the row are taken.
    taken: usize,
    /// In a tree: a peer may choose its numbers so that any simple hash is a bad one.
    rest: BTreeMap<u64, T>,
}

/// Places of the row: more than calls that are under way at once, mostly.
const ROW: u64 = 1024;

/// So many places may be left out before a number.
const GAP: u64 = 16;

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { first: 0, row: VecDeque::new(), taken: 0, rest: BTreeMap::new() }
    }
}

impl<T> Numbered<T> {
    pub(super) fn len(&self) -> usize {
        self.taken + self.rest.len()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub(super) fn get(&self, number: u64) -> Option<&T> {
        match self.row.get(self.place(number)) {
            Some(Some(entry)) => Some(entry),
            _ if self.rest.is_empty() => None,
            _ => self.rest.get(&number),
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let place = self.place(number);
        match self.row.get_mut(place) {
            Some(Some(entry)) => Some(entry),
            _ if self.rest.is_empty() => None,
            _ => self.rest.get_mut(&number),
        }
    }

    #[inline]
    pub(super) fn contains(&self, number: u64) -> bool {
        self.get(number).is_some()
    }

    /// Puts an entry where none is.
    #[inline]
    pub(super) fn insert(&mut self, number: u64, entry: T) {
        if self.row.is_empty() {
            self.first = number;
        }
        let place = number.wrapping_sub(self.first);
        if place == self.row.len() as u64 && place < ROW {
            self.row.push_back(Some(entry));
            self.taken += 1;
        } else {
            self.insert_elsewhere(number, entry);
        }
    }

    #[cold]
    #[inline(never)]
    fn insert_elsewhere(&mut self, number: u64, entry: T) {
        let place = number.wrapping_sub(self.first);
        let end = self.row.len() as u64;
        // A number before the row has a place beyond all others, by the wrapping.
        if place >= end + GAP {
            self.rest.insert(number, entry);
            return;
        }
        if place < end {
            if let Some(place) = self.row.get_mut(place as usize) {
                self.taken += usize::from(place.is_none());
                *place = Some(entry);
            }
            return;
        }
        while self.row.len() as u64 <= place {
            self.row.push_back(None);
        }
        if let Some(place) = self.row.back_mut() {
            *place = Some(entry);
            self.taken += 1;
        }
        while self.row.len() as u64 > ROW {
            if let Some(Some(old)) = self.row.pop_front() {
                self.rest.insert(self.first, old);
                self.taken -= 1;
            }
            self.first = self.first.wrapping_add(1);
        }
        self.trim();
    }

    #[inline]
    pub(super) fn remove(&mut self, number: u64) -> Option<T> {
        let place = self.place(number);
        match self.row.get_mut(place).and_then(Option::take) {
            Some(entry) => {
                self.taken -= 1;
                if place == 0 {
                    self.trim();
                }
                Some(entry)
            }
            None if self.rest.is_empty() => None,
            None => self.rest.remove(&number),
        }
    }

    /// Has the row begin with a place that is taken.
    #[inline]
    fn trim(&mut self) {
        while let Some(None) = self.row.front() {
            self.row.pop_front();
            self.first = self.first.wrapping_add(1);
        }
    }

    /// Where the number is in the row; beyond its end if it is not there.
    #[inline]
    fn place(&self, number: u64) -> usize {
        usize::try_from(number.wrapping_sub(self.first)).unwrap_or(usize::MAX)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.iter().map(|(_, entry)| entry)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.row.iter_mut().flatten().chain(self.rest.values_mut())
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// In no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        let number = |place: usize| self.first.wrapping_add(place as u64);
        let row = self.row.iter().enumerate();
        let row = row.filter_map(move |(place, entry)| Some((number(place), entry.as_ref()?)));
        row.chain(self.rest.iter().map(|(number, entry)| (*number, entry)))
    }

    /// All of them, in the order of their numbers.
    pub(super) fn into_sorted(self) -> Vec<(u64, T)> {
        let Self { first, row, rest, .. } = self;
        let number = |place: usize| first.wrapping_add(place as u64);
        let row = row.into_iter().enumerate();
        let row = row.filter_map(|(place, entry)| Some((number(place), entry?)));
        let mut all: Vec<(u64, T)> = rest.into_iter().chain(row).collect();
        all.sort_unstable_by_key(|(number, _)| *number);
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Act {
        /// The next number, after leaving so many out.
        Next(u64),
        /// Any number, whatever it is.
        Any(u64),
        /// The one at this place among those that are there.
        Remove(usize),
        /// The oldest.
        RemoveFirst,
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            8 => Just(Act::Next(0)),
            1 => (0..40_u64).prop_map(Act::Next),
            1 => any::<u64>().prop_map(Act::Any),
            1 => (0..5000_u64).prop_map(Act::Any),
            4 => any::<usize>().prop_map(Act::Remove),
            3 => Just(Act::RemoveFirst),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_map(acts in proptest::collection::vec(act(), 0..3000), start in prop_oneof![Just(1_u64), any::<u64>()]) {
            let (mut numbered, mut map) = (Numbered::default(), BTreeMap::new());
            let mut next = start;
            for act in acts {
                match act {
                    Act::Next(_) | Act::Any(_) => {
                        let number = match act {
                            Act::Any(number) => number,
                            Act::Next(left_out) => {
                                next = next.wrapping_add(left_out + 1);
                                next
                            }
                            _ => unreachable!(),
                        };
                        if let std::collections::btree_map::Entry::Vacant(vacant) = map.entry(number) {
                            prop_assert!(!numbered.contains(number));
                            vacant.insert(number ^ 7);
                            numbered.insert(number, number ^ 7);
                        }
                        prop_assert_eq!(numbered.get(number), map.get(&number));
                    }
                    Act::Remove(_) | Act::RemoveFirst => {
                        let at = if let Act::Remove(at) = act { at % map.len().max(1) } else { 0 };
                        let Some(number) = map.keys().nth(at).copied() else { continue };
                        prop_assert_eq!(numbered.get_mut(number).copied(), map.get(&number).copied());
                        prop_assert_eq!(numbered.remove(number), map.remove(&number));
                        prop_assert_eq!(numbered.remove(number), None);
                    }
                }
                prop_assert_eq!(numbered.len(), map.len());
                prop_assert!(numbered.row.len() as u64 <= ROW);
                prop_assert!(!matches!(numbered.row.front(), Some(None)));
            }
            prop_assert_eq!(numbered.iter().map(|(number, _)| number).max(), map.keys().copied().max());
            prop_assert_eq!(numbered.values().count(), map.len());
            prop_assert_eq!(numbered.into_sorted(), map.into_iter().collect::<Vec<_>>());
        }
    }

    /// One that waits for long keeps neither the row long nor others slow.
    #[test]
    fn what_stays_goes_aside_when_the_row_is_full() {
        let mut numbered = Numbered::default();
        numbered.insert(1, 1);
        for number in 2..10_000 {
            numbered.insert(number, number);
            assert_eq!(numbered.remove(number), Some(number));
        }
        assert_eq!((numbered.rest.len(), numbered.row.len()), (1, 0));
        assert_eq!(numbered.remove(1), Some(1));
    }
}
