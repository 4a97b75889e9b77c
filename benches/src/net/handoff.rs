//! A place where many leave things and one takes all of them at once.
//!
//! ```text
//!   put ─┐
//!   put ─┼─► one vector under a mutex ──► take: the whole of it, and the next is empty
//!   put ─┘   wakes only a taker that waits
//! ```

use std::{
    future::poll_fn,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

pub(crate) struct Handoff<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    things: Vec<T>,
    /// Set while the taker waits.
    taker: Option<Waker>,
    closed: bool,
}

impl<T> Handoff<T> {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State { things: Vec::new(), taker: None, closed: false }) }
    }

    /// Lets the closure append.
    pub(crate) fn put(&self, append: impl FnOnce(&mut Vec<T>)) {
        let mut state = self.lock();
        append(&mut state.things);
        wake(state);
    }

    /// The taker gets what is there, and then the end.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        wake(state);
    }

    /// Waits until there is something, and exchanges it for the given vector, which is emptied. False is the end.
    pub(crate) async fn take(&self, into: &mut Vec<T>) -> bool {
        into.clear();
        poll_fn(|context| {
            let mut state = self.lock();
            if !state.things.is_empty() {
                mem::swap(&mut state.things, into);
                Poll::Ready(true)
            } else if state.closed {
                Poll::Ready(false)
            } else {
                state.taker = Some(context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes a taker that waits, after the mutex is free.
fn wake<T>(mut state: MutexGuard<'_, State<T>>) {
    let taker = state.taker.take();
    drop(state);
    if let Some(taker) = taker {
        taker.wake();
    }
}
