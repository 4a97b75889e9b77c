//! A hierarchical timing wheel: what is to happen at which tick, with no clock of its own.
//!
//! G. Varghese and T. Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987, scheme 7. A tick has seven digits of six
//! bits, and an entry lies at the highest digit in which its tick differs from the present one, in the slot of that digit:
//!
//! ```text
//!   level 2   · · · [slot 5] · ·      each slot 4096 ticks   ─┐ reached: its entries fall to the levels below
//!   level 1   · [slot 2] · · · ·      each slot 64 ticks     ◄┘
//!   level 0   · · · · [slot 9] ·      each slot one tick        reached: its entries have expired
//! ```
//!
//! So an entry is put in its place, and taken out of it, by a few operations on words, and is moved six times at most until
//! it expires. A slot is a list through the entries, which lie in chunks that never move: a million entries cost no long
//! copy.
//!
//! Invariants:
//! 1. What expires, expires in the order of ticks, and within a tick in the order of insertion.
//! 2. Every occupied slot of level 0 is at or behind the present tick's digit, of a higher level behind it; so the lowest
//!    occupied level has what is next.
//! 3. While a slot falls, the levels below it hold only what fell from it: whatever is inserted meanwhile is for that slot's
//!    first tick at the earliest, and lies behind what has still to fall.
//! 4. A key finds its entry or nothing, also when the place is in use again.
//! 5. A wheel without entries holds one chunk at most.

/// Ticks that are further away than this, 139 years of milliseconds, count as this one.
pub(super) const LAST_TICK: u64 = (1 << (BITS * LEVELS as u32)) - 1;

const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
const LEVELS: usize = 7;
const CHUNK: usize = 256;
const NIL: u32 = u32::MAX;

/// Values, each with the tick at which it expires.
pub(super) struct Wheel<T> {
    /// The present tick: what is before it has expired, and was taken.
    present: u64,
    /// The level and slot whose entries are on their way to the levels below.
    falling: Option<(usize, usize)>,
    levels: Box<[Level; LEVELS]>,
    chunks: Vec<Box<[Entry<T>]>>,
    /// The first of the places that are free, through `next`.
    free: u32,
    len: usize,
    serial: u32,
}

/// An entry of a wheel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    index: u32,
    serial: u32,
}

/// What a step of [`Wheel::step`] has done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<T> {
    /// This has expired.
    Expired(Key, T),
    /// An entry fell to a lower level.
    Fell,
    /// Nothing is left to do by now.
    Idle,
}

#[derive(Clone, Copy)]
struct Level {
    occupied: u64,
    slots: [List; SLOTS],
}

#[derive(Clone, Copy)]
struct List {
    first: u32,
    last: u32,
}

struct Entry<T> {
    tick: u64,
    previous: u32,
    next: u32,
    serial: u32,
    level: u8,
    slot: u8,
    /// None if the place is free.
    value: Option<T>,
}

impl<T> Wheel<T> {
    pub(super) fn new() -> Self {
        const EMPTY: Level = Level { occupied: 0, slots: [List { first: NIL, last: NIL }; SLOTS] };
        Self {
            present: 0,
            falling: None,
            levels: Box::new([EMPTY; LEVELS]),
            chunks: Vec::new(),
            free: NIL,
            len: 0,
            serial: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Puts in a value that expires at `tick`, or at the next step if that is over. `now` is the present tick as the caller
    /// knows it.
    pub(super) fn insert(&mut self, now: u64, tick: u64, value: T) -> Key {
        if self.len == 0 && self.falling.is_none() {
            // Nothing is between: what comes need not fall from where it would lie as seen from long ago.
            self.present = self.present.max(now.min(LAST_TICK));
        }
        let earliest = self.falling.map_or(self.present, |(level, slot)| self.start_of(level, slot));
        let tick = tick.clamp(earliest, LAST_TICK);
        let (level, slot) = place(self.present, tick);
        self.serial = self.serial.wrapping_add(1);
        let serial = self.serial;
        let entry = Entry { tick, previous: NIL, next: NIL, serial, level: 0, slot: 0, value: Some(value) };
        let index = self.take_place(entry);
        self.link(index, level, slot);
        self.len += 1;
        Key { index, serial }
    }

    /// Takes out an entry that has not expired.
    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let chunk = self.chunks.get(key.index as usize / CHUNK)?;
        let entry = &chunk[key.index as usize % CHUNK];
        if entry.serial != key.serial || entry.value.is_none() {
            return None;
        }
        self.unlink(key.index);
        self.give_back(key.index)
    }

    /// The tick before which there is nothing to do. At it there may be nothing but entries that fall.
    pub(super) fn next(&self) -> Option<u64> {
        let (level, slot) = self.falling.or_else(|| self.lowest())?;
        Some(self.start_of(level, slot))
    }

    /// Does one thing of what is to be done by `now`.
    pub(super) fn step(&mut self, now: u64) -> Step<T> {
        loop {
            let Some((level, slot)) = self.falling.or_else(|| self.lowest()) else { return Step::Idle };
            let start = self.start_of(level, slot);
            if start > now {
                return Step::Idle;
            }
            let first = self.levels[level].slots[slot].first;
            if level == 0 {
                self.present = start;
                let key = Key { index: first, serial: self.entry(first).serial };
                self.unlink(first);
                match self.give_back(first) {
                    Some(value) => return Step::Expired(key, value),
                    None => continue,
                }
            }
            if first == NIL {
                // Now the levels below are as seen from its start.
                self.present = start;
                self.falling = None;
                continue;
            }
            self.falling = Some((level, slot));
            self.unlink(first);
            let (level, slot) = place(start, self.entry(first).tick);
            self.link(first, level, slot);
            return Step::Fell;
        }
    }

    /// The lowest occupied level and its first occupied slot (2).
    fn lowest(&self) -> Option<(usize, usize)> {
        let level = self.levels.iter().position(|level| level.occupied != 0)?;
        Some((level, self.levels[level].occupied.trailing_zeros() as usize))
    }

    /// The first tick of a slot.
    fn start_of(&self, level: usize, slot: usize) -> u64 {
        let shift = BITS * level as u32;
        let above = self.present >> (shift + BITS) << (shift + BITS);
        above | (slot as u64) << shift
    }

    fn link(&mut self, index: u32, level: usize, slot: usize) {
        let lists = &mut self.levels[level];
        lists.occupied |= 1 << slot;
        let last = std::mem::replace(&mut lists.slots[slot].last, index);
        if last == NIL {
            lists.slots[slot].first = index;
        } else {
            self.entry_mut(last).next = index;
        }
        let entry = self.entry_mut(index);
        (entry.previous, entry.next) = (last, NIL);
        (entry.level, entry.slot) = (level as u8, slot as u8);
    }

    fn unlink(&mut self, index: u32) {
        let entry = self.entry(index);
        let (previous, next) = (entry.previous, entry.next);
        let (level, slot) = (usize::from(entry.level), usize::from(entry.slot));
        if previous == NIL {
            self.levels[level].slots[slot].first = next;
        } else {
            self.entry_mut(previous).next = next;
        }
        if next == NIL {
            self.levels[level].slots[slot].last = previous;
        } else {
            self.entry_mut(next).previous = previous;
        }
        if self.levels[level].slots[slot].first == NIL {
            self.levels[level].occupied &= !(1 << slot);
        }
    }

    fn take_place(&mut self, entry: Entry<T>) -> u32 {
        if self.free == NIL {
            self.grow();
        }
        let index = self.free;
        self.free = std::mem::replace(self.entry_mut(index), entry).next;
        index
    }

    #[cold]
    fn grow(&mut self) {
        let first = (self.chunks.len() * CHUNK) as u32;
        assert!(first < NIL - CHUNK as u32, "four billion timers need more memory than there is");
        let free = |index| Entry {
            tick: 0,
            previous: NIL,
            next: index + 1,
            serial: 0,
            level: 0,
            slot: 0,
            value: None,
        };
        let mut chunk: Box<[Entry<T>]> = (first..first + CHUNK as u32).map(free).collect();
        chunk[CHUNK - 1].next = NIL;
        self.chunks.push(chunk);
        self.free = first;
    }

    fn give_back(&mut self, index: u32) -> Option<T> {
        let free = std::mem::replace(&mut self.free, index);
        let entry = self.entry_mut(index);
        entry.next = free;
        let value = entry.value.take();
        self.len -= 1;
        if self.len == 0 && self.chunks.len() > 1 {
            self.chunks = Vec::new();
            self.free = NIL;
        }
        value
    }

    fn entry(&self, index: u32) -> &Entry<T> {
        &self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }

    fn entry_mut(&mut self, index: u32) -> &mut Entry<T> {
        &mut self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }
}

/// Where an entry lies as seen from `present`, which is not behind it.
fn place(present: u64, tick: u64) -> (usize, usize) {
    let differs = (present ^ tick) | 1;
    let level = (u64::BITS - 1 - differs.leading_zeros()) / BITS;
    let slot = (tick >> (BITS * level)) & (SLOTS as u64 - 1);
    (level as usize, slot as usize)
}

#[cfg(all(test, not(actor_loom)))]
mod tests;
