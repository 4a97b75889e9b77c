//! How often calls of this process were tried again: the runtime says so in its log.

use std::sync::{
    Once,
    atomic::{AtomicU64, Ordering},
};

use tracing::{Event, Level, Metadata, Subscriber, span, subscriber::Interest};

static COUNTED: AtomicU64 = AtomicU64::new(0);

/// How often it was, since this was first asked.
pub fn counted() -> u64 {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        // Another one that counts something else may be there; then nothing is counted here.
        let _ = tracing::subscriber::set_global_default(Counter);
    });
    COUNTED.load(Ordering::Relaxed)
}

struct Counter;

impl Counter {
    fn is_meant(metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::DEBUG && metadata.target() == "actor_runtime::client::again"
    }
}

impl Subscriber for Counter {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if Self::is_meant(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        Self::is_meant(metadata)
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &Event<'_>) {
        COUNTED.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
