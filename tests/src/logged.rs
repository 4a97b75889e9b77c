//! What the process logs, and its panics, for tests to look at. Of one process, so tests look for what is their own.

use std::{
    fmt::{Debug, Write},
    panic,
    sync::{Mutex, Once, PoisonError},
    time::Duration,
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Begins to collect lines of `INFO` and above, and panics of the runtime.
pub fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        // Nobody else in these tests sets one.
        let _ = tracing::subscriber::set_global_default(Collector);
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if info.location().is_some_and(|at| !at.file().starts_with("tests/")) {
                lock(&PANICS).push(info.to_string());
            }
            before(info);
        }));
    });
}

/// The lines that contain all of these.
#[must_use]
pub fn lines(with: &[&str]) -> Vec<String> {
    lock(&LINES).iter().filter(|line| with.iter().all(|part| line.contains(part))).cloned().collect()
}

/// The lines that contain all of these, once there is one; none if there is none for two seconds.
pub async fn awaited(with: &[&str]) -> Vec<String> {
    for _ in 0..200 {
        let found = lines(with);
        if !found.is_empty() {
            return found;
        }
        #[expect(clippy::disallowed_methods, reason = "it belongs to no node")]
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Vec::new()
}

/// Forgets the lines that contain this: of a peer that had the same port before.
pub fn forget(with: &str) {
    lock(&LINES).retain(|line| !line.contains(with));
}

/// The panics outside the tests themselves.
#[must_use]
pub fn panics() -> Vec<String> {
    lock(&PANICS).clone()
}

fn lock(lines: &Mutex<Vec<String>>) -> std::sync::MutexGuard<'_, Vec<String>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Collector;

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO && metadata.target().starts_with("actor_runtime")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        lock(&LINES).push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}
