//! A value that many wait for, who are woken in the order in which they came.
//!
//! `tokio::sync::watch` spreads its waiters at random, and so wakes them: no simulated run would repeat.

use std::pin::pin;

use tokio::sync::Notify;

use crate::sync::{Mutex, lock};

#[derive(Debug, Default)]
pub(super) struct Signal<T> {
    value: Mutex<T>,
    changed: Notify,
}

impl<T: Clone> Signal<T> {
    pub(super) fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Notify::new() }
    }

    pub(super) fn get(&self) -> T {
        lock(&self.value).clone()
    }

    /// Changes the value, and wakes those who wait if it says that it did.
    pub(super) fn change(&self, change: impl FnOnce(&mut T) -> bool) {
        let changed = change(&mut lock(&self.value));
        if changed {
            self.changed.notify_waiters();
        }
    }

    pub(super) fn set(&self, value: T) {
        self.change(|present| {
            *present = value;
            true
        });
    }

    /// Waits until the value is such.
    pub(super) async fn wait_for(&self, such: impl Fn(&T) -> bool) -> T {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Before the look: a change in between is seen by one of the two.
            changed.as_mut().enable();
            let value = self.get();
            if such(&value) {
                return value;
            }
            changed.await;
        }
    }
}
