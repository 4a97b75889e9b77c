//! Where replies meet those who wait for them: a slab of slots that are used again and again.
//!
//! An id is a slot's number and, above it, how often the slot was used before, so that a late reply meets nobody.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::task::AtomicWaker;

const BLOCK: usize = 64;
const BLOCKS: usize = 64;

/// The slots of one connection: made in blocks as they are needed, never moved.
pub(crate) struct Slots {
    blocks: [OnceLock<Box<[Slot; BLOCK]>>; BLOCKS],
    free: Mutex<Free>,
    closed: AtomicBool,
}

#[derive(Default)]
struct Free {
    numbers: Vec<u32>,
    /// Numbers from here on were never used.
    fresh: u32,
}

struct Slot {
    waker: AtomicWaker,
    state: Mutex<State>,
}

struct State {
    used: u32,
    reply: Option<Bytes>,
}

impl Slots {
    pub(crate) fn new() -> Self {
        Self {
            blocks: [const { OnceLock::new() }; BLOCKS],
            free: Mutex::default(),
            closed: AtomicBool::new(false),
        }
    }

    /// A slot to wait in.
    pub(crate) fn wait(&self) -> io::Result<Reply<'_>> {
        let mut free = lock(&self.free);
        let number = if let Some(number) = free.numbers.pop() {
            number
        } else {
            let number = free.fresh;
            if number as usize >= BLOCK * BLOCKS {
                return Err(io::Error::other("too many calls at once"));
            }
            free.fresh += 1;
            number
        };
        drop(free);
        let slot = &self.blocks[number as usize / BLOCK]
            .get_or_init(|| Box::new([const { Slot::new() }; BLOCK]))[number as usize % BLOCK];
        let used = lock(&slot.state).used;
        Ok(Reply { slots: self, slot, number, used })
    }

    /// Gives a reply to the one who waits for it, if he still does.
    pub(crate) fn reply(&self, id: u64, body: Bytes) {
        let (number, used) = (id as u32 as usize, (id >> 32) as u32);
        let Some(block) = self.blocks.get(number / BLOCK).and_then(OnceLock::get) else { return };
        let slot = &block[number % BLOCK];
        let mut state = lock(&slot.state);
        if state.used == used {
            state.reply = Some(body);
            drop(state);
            slot.waker.wake();
        }
    }

    /// Nothing comes any more: all who wait get an error.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        for block in self.blocks.iter().filter_map(OnceLock::get) {
            for slot in block.iter() {
                slot.waker.wake();
            }
        }
    }
}

impl Slot {
    const fn new() -> Self {
        Self { waker: AtomicWaker::new(), state: Mutex::new(State { used: 0, reply: None }) }
    }
}

/// Waits for a reply.
pub(crate) struct Reply<'a> {
    slots: &'a Slots,
    slot: &'a Slot,
    number: u32,
    used: u32,
}

impl Reply<'_> {
    pub(crate) fn id(&self) -> u64 {
        u64::from(self.used) << 32 | u64::from(self.number)
    }
}

impl Future for Reply<'_> {
    type Output = io::Result<Bytes>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.slot.waker.register(context.waker());
        if let Some(body) = lock(&self.slot.state).reply.take() {
            Poll::Ready(Ok(body))
        } else if self.slots.closed.load(Ordering::SeqCst) {
            Poll::Ready(Err(io::Error::from(io::ErrorKind::ConnectionAborted)))
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Reply<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.slot.state);
        state.used = state.used.wrapping_add(1);
        state.reply = None;
        drop(state);
        lock(&self.slots.free).numbers.push(self.number);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_late_reply_meets_nobody() {
        let slots = Slots::new();
        let late = slots.wait().unwrap().id();
        let mut next = slots.wait().unwrap();
        assert_eq!(late as u32, next.id() as u32, "the slot is used again");
        slots.reply(late, Bytes::from("late"));
        assert!((&mut next).now_or_never().is_none());
        slots.reply(next.id(), Bytes::from("own"));
        assert_eq!(next.now_or_never().unwrap().unwrap(), "own");
    }

    #[test]
    fn whoever_waits_learns_of_the_end() {
        let slots = Slots::new();
        let reply = slots.wait().unwrap();
        slots.reply(u64::MAX, Bytes::new());
        slots.close();
        assert!(reply.now_or_never().unwrap().is_err());
    }
}
