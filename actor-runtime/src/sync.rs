//! Locks and atomics: the standard ones, or loom's where the interleavings are explored (`--cfg actor_loom`).

use std::task::Waker;

#[cfg(not(actor_loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
};

#[cfg(actor_loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
};

/// Locks, also after a panic under the lock: the code under our locks leaves no state half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Keeps a waker, and gives the one that it replaces: that is foreign code, to be dropped once no lock is held.
#[must_use = "to be dropped once no lock is held"]
pub(crate) fn park(slot: &mut Option<Waker>, waker: &Waker) -> Option<Waker> {
    match slot {
        Some(parked) if parked.will_wake(waker) => None,
        slot => slot.replace(waker.clone()),
    }
}

/// The content of a mutex that nobody else has.
pub(crate) fn lock_mut<T>(mutex: &mut Mutex<T>) -> &mut T {
    mutex.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner)
}
