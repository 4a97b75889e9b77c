//! Panics of code that is not ours.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Waker,
};

/// What a panic said.
pub(crate) fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "not a text".to_owned())
}

/// Drops a value of a user's type, often for somebody else who has nothing to do with it: one that panics must not
/// keep the calls behind it from ending.
pub(crate) fn discard<T>(value: T) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        let message = text_of(&*panic);
        tracing::error!(%message, "an argument or a reply panicked while it was dropped");
    }
}

/// Wakes somebody whose executor is not ours, often from a task that serves many: one that panics, as where it has ended,
/// must not keep the others from being told.
pub(crate) fn wake(waker: Waker) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
        let message = text_of(&*panic);
        tracing::error!(%message, "a waker panicked");
    }
}
