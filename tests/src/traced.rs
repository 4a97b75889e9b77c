//! A subscriber for the thread of one test.

use std::sync::OnceLock;

use tracing::{
    Dispatch, Subscriber,
    subscriber::{DefaultGuard, NoSubscriber, set_default},
};

/// Sees the spans and events of this thread until the guard is dropped.
///
/// While a process has one subscriber alone, tracing asks the thread that comes to a span first whether anybody wants it,
/// and keeps that answer for all threads. The thread of another test, which has none, would say no. So there are others.
#[must_use]
pub fn traced(subscriber: impl Subscriber + Send + Sync + 'static) -> DefaultGuard {
    static OTHERS: OnceLock<[Dispatch; 2]> = OnceLock::new();
    OTHERS.get_or_init(|| [(); 2].map(|()| Dispatch::new(NoSubscriber::default())));
    set_default(subscriber)
}
