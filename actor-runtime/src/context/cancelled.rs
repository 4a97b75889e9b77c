use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use crate::call::AnyCall;

/// The future of [`ActorContext::cancelled`](super::ActorContext::cancelled).
///
/// It keeps its waker in a place of its own in the call: the turn's place belongs to the turn, which is dropped by it.
#[must_use = "nothing is waited for unless this is awaited"]
pub struct Cancelled {
    /// None if there is nobody who could leave.
    call: Option<Arc<dyn AnyCall>>,
    place: Option<usize>,
}

impl Cancelled {
    pub(crate) fn new(call: Option<Arc<dyn AnyCall>>) -> Self {
        Self { call, place: None }
    }
}

impl Future for Cancelled {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { call, place } = &mut *self;
        match call {
            Some(call) if !call.watch(place, cx.waker()) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

impl Drop for Cancelled {
    fn drop(&mut self) {
        if let (Some(call), Some(place)) = (&self.call, self.place) {
            call.unwatch(place);
        }
    }
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancelled")
            .field("method", &self.call.as_ref().map(|call| call.head().method.to_string()))
            .finish_non_exhaustive()
    }
}
